"""The HTTP edge of referral: parse, authorise, call, map errors."""
