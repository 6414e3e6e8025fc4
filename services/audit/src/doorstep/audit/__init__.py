"""The audit log: a transparency log that anybody can check."""
