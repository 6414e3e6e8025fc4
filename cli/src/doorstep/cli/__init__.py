"""The command `doorstep`: other members add their commands by entry points."""
