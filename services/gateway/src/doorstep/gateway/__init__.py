"""The gateway: one front door to every service, and the journey of each record."""
