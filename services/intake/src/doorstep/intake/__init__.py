"""Intake: takes the record that a worker or a resident wrote, once, and publishes it."""
