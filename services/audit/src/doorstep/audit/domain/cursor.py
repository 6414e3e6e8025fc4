"""Cursors: where a search goes on, bound to its criteria, so that none can be made up or used for another search."""

import base64
import binascii
import hmac
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from doorstep.audit.domain.criteria import micros, moment_of
from doorstep.audit.domain.errors import Malformed

Mac = Callable[[str], bytes]
"""A keyed hash of 16 bytes."""
_FORM = struct.Struct(">qqq16s16s")


@dataclass(frozen=True, slots=True)
class Cursor:
    """The search of what was done from `since` up to `until` goes on behind the entry `entry_id` of `hour`."""

    since: datetime
    until: datetime
    hour: datetime
    entry_id: UUID

    def encode(self, mac: Mac, asked: str) -> str:
        """Return the text for the search whose criteria have the text `asked`."""
        packed = _FORM.pack(*self._times(), self.entry_id.bytes, self._seal(mac, asked))
        return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Read a cursor without believing it: `check` does; raises Malformed."""
        try:
            packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            since, until, hour, entry_id, _ = _FORM.unpack(packed)
            return cls(moment_of(since), moment_of(until), moment_of(hour), UUID(bytes=entry_id))
        except (ValueError, OverflowError, binascii.Error, struct.error) as error:
            raise Malformed("cursor: it is none") from error

    def check(self, text: str, mac: Mac, asked: str) -> None:
        """Raise Malformed unless `text` is this cursor as it was made for the search `asked`."""
        if not hmac.compare_digest(text.encode(), self.encode(mac, asked).encode()):
            raise Malformed("cursor: of another search")

    def _times(self) -> tuple[int, int, int]:
        return micros(self.since), micros(self.until), micros(self.hour)

    def _seal(self, mac: Mac, asked: str) -> bytes:
        return mac(f"{asked}|{self._times()}|{self.entry_id}")
