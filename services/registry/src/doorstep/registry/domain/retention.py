"""Until when a fact may be held without being stated anew."""

from datetime import datetime, timedelta

from doorstep.contracts.facts import CATALOGUE, Fact


def refresh_by(fact: Fact) -> datetime:
    """When `fact` must have been stated anew: its own end, or the catalogue's retention from when it held."""
    kept = fact.since + timedelta(days=CATALOGUE[fact.code].keep_days)
    return min(kept, fact.until) if fact.until is not None else kept
