"""When the duty desk is told again of a request that is to be answered within the hour."""

from datetime import datetime, timedelta

AGAIN = timedelta(minutes=5)
"""Between two calls of one request, until a named human acknowledges it."""

AFTER_FAILURE = timedelta(minutes=1)
"""After a call that could not be placed."""


def next_call(now: datetime, placed: bool) -> datetime:
    """When to call again."""
    return now + (AGAIN if placed else AFTER_FAILURE)
