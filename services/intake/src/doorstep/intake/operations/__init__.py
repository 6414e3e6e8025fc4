"""The use cases of intake."""
