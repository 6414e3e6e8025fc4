"""Triage: published rules read facts and suggest needs; a human decides."""
