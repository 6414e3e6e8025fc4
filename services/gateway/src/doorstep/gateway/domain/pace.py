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
        seconds = self.closed(key, at)
        if not seconds:
            self._now[key] = self._now.get(key, 0) + 1
        return seconds

    def count(self, key: str, at: float) -> None:
        """Count what `key` asked for, and was answered, at the time `at`, as far as it may ask in a minute."""
        self._turn(at)
        self._now[key] = min(self._now.get(key, 0) + 1, self._a_minute)

    def closed(self, key: str, at: float) -> int:
        """In how many seconds `key` is to come again, 0 if it may pass now; nothing is counted."""
        self._turn(at)
        gone = at % WINDOW
        before, now = self._before.get(key, 0), self._now.get(key, 0)
        if before * (1 - gone / WINDOW) + now < self._a_minute:
            return 0
        if now >= self._a_minute:
            return math.floor(WINDOW - gone) + 1
        free = WINDOW * (1 - (self._a_minute - now) / before)  # then so much of the window before has left
        return math.floor(free - gone) + 1

    def _turn(self, at: float) -> None:
        window = int(at // WINDOW)
        if window != self._window:
            self._before = self._now if window == self._window + 1 else {}
            self._now, self._window = {}, window
