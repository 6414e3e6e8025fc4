"""doorstep.risk."""
