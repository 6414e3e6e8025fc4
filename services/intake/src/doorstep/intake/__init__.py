"""doorstep.intake."""
