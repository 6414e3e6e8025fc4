"""How often somebody asks: requests counted over the minute before, by two counters for each key."""

import math

WINDOW = 60.0


class Pace:
    """Counts requests by key, and says when one is too many.

    What was counted in the window before weighs as much as of it lies within the last minute (a sliding window
    counter). What nobody asked for in two windows is forgotten with its window, at once, so that no request pays for
    many keys.
    """

    def __init__(self, a_minute: int) -> None:
        """Let so many through in a minute."""
        self._a_minute = a_minute
        self._window = 0
        self._now: dict[str, int] = {}
        self._before: dict[str, int] = {}

    def wait(self, key: str, at: float) -> int:
        """Count a request of `key` at the time `at` (seconds); 0 if it may pass, else in how many seconds to come
        again. What may not pass is not counted.
        """
        window, gone = int(at // WINDOW), at % WINDOW
        if window != self._window:
            self._before = self._now if window == self._window + 1 else {}
            self._now, self._window = {}, window
        before, now = self._before.get(key, 0), self._now.get(key, 0)
        if before * (1 - gone / WINDOW) + now < self._a_minute:
            self._now[key] = now + 1
            return 0
        if now >= self._a_minute:
            return math.floor(WINDOW - gone) + 1
        free = WINDOW * (1 - (self._a_minute - now) / before)  # then so much of the window before has left
        return math.floor(free - gone) + 1
