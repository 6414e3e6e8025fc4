"""How often residents' codes may be looked at: what one code, and what guessing can add to the log, is bounded."""

import math
import time
from collections import Counter

LOOKS_A_MINUTE = 20
"""So often one code is answered in a minute by one process."""
UNKNOWN_A_MINUTE = 60
"""So many looks by codes that nobody has are logged in a minute by one process; all are answered."""

_MINUTE = 60.0


class Pace:
    """The looks of one process, by the index of their code, for a minute at a time."""

    def __init__(self, *, looks: int = LOOKS_A_MINUTE, unknown: int = UNKNOWN_A_MINUTE) -> None:
        """Allow so many looks of one code, and log so many of unknown ones."""
        self._most = looks
        self._most_unknown = unknown
        self._ends = 0.0
        self._looks: Counter[bytes] = Counter()

    def look(self, code: bytes) -> int:
        """Count a look; for how many seconds the code is closed, mostly 0, whether anybody has it or not."""
        now = time.monotonic()
        if now >= self._ends:
            self._looks.clear()
            self._ends = now + _MINUTE
        self._looks[code] += 1
        return math.ceil(self._ends - now) if self._looks[code] > self._most else 0

    @property
    def quiet(self) -> bool:
        """Whether so few codes were looked at in this minute that a look by one which nobody has is logged too."""
        return len(self._looks) <= self._most_unknown
