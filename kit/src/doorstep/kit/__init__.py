"""doorstep.kit."""
