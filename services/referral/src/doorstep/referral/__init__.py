"""doorstep.referral."""
