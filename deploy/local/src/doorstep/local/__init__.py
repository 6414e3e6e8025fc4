"""doorstep.local."""
