"""When an epoch of the key-encryption key ends."""
