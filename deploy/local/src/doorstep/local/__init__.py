"""The whole stack on one machine, with nothing installed beforehand: engines, services, issuer, demonstration."""
