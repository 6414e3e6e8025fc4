"""What referral adds to the command line."""
