"""doorstep.audit."""
