"""The pure rules of triage: no database, no HTTP, no broker."""
