"""The registry: household and person files, each fact with its provenance."""
