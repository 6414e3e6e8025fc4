"""doorstep.gateway."""
