"""The pure rules of a record: what it may state, and which papers are genuine in form."""
