"""What every service is built with: one transaction, ordered delivery, effectively-once consumption, a vault."""
