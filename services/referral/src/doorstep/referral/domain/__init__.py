"""The pure rules of referral: states, routes, deadlines."""
