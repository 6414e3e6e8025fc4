"""doorstep.cli."""
