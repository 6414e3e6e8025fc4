"""The HTTP edge of the registry: files are read, subjects erased."""
