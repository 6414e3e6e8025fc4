"""The pure rules of files."""
