"""The HTTP edge of the gateway: what it answers itself, and what it hands on."""
