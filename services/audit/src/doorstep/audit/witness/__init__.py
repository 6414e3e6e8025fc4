"""A witness of logs: a program of its own, which another agency runs (C2SP tlog-witness)."""
