"""The key store: a data key for each subject, wrapped by key-encryption keys that nobody else knows."""
