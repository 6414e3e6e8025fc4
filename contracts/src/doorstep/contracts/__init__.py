"""doorstep.contracts."""
