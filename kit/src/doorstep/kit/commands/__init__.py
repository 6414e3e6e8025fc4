"""Commands of the kit: dead letters of any service, and what the policies say."""
