"""The HTTP edge of the log: the log itself for everybody, its details for those who may see them."""
