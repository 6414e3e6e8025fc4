"""doorstep.registry."""
