"""Figures about many times."""

from collections.abc import Sequence

EDGES = (20.0, 40.0, 60.0, 80.0, 120.0, 160.0, 250.0, 500.0, 1000.0)


def percentiles(ordered: Sequence[float]) -> dict[str, float]:
    """p50, p90, p95, p99 and the greatest of values in ascending order."""
    if not ordered:
        return {}
    shown = {f"p{one}": ordered[min(len(ordered) - 1, len(ordered) * one // 100)] for one in (50, 90, 95, 99)}
    return {**shown, "max": ordered[-1]}


def histogram(ordered: Sequence[float]) -> dict[str, int]:
    """How many values in ascending order lie below each edge and not below the one before, and how many beyond."""
    counts: dict[str, int] = {}
    below = 0
    for edge in EDGES:
        until = sum(1 for value in ordered if value < edge)
        counts[f"<{edge:g}"], below = until - below, until
    return {**counts, "more": len(ordered) - below}
