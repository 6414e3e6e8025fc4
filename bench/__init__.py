"""Benchmarks: what the machine can do, what the product does on it, and what a plain peer does, in one run."""
