"""Who takes notices: a folder, from which a gateway of the operator's sends them; else a log says which wait.

Invariants: what leaves is a channel, a number or name, and words without content; a notice that is sent twice is one
file; a number stands in that file alone, in no log. A line of a log reaches nobody, and nothing is sent by it.
"""

import asyncio
import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from uuid import UUID

from doorstep.referral.domain.noticing import Reach

log = logging.getLogger(__name__)

TAKEN = "taken"
"""A folder beside the notices: whoever takes one moves it there, and it is not written again."""


class NotSent(Exception):
    """The notice was not taken; it is tried again."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A notice as it leaves. `notice_id` is the same at every try; `station` is who hands it over on paper."""

    notice_id: UUID
    station: str
    reach: Reach


class Sender(Protocol):
    """Takes notices by text message, WeChat, voice or paper."""

    async def send(self, outgoing: Outgoing) -> None:
        """Take a notice; one that comes again under its id is the same one. Raises NotSent or OSError."""
        ...


class FolderSender:
    """Writes each notice as a file of its own, called by its id, which the operator's gateway takes."""

    def __init__(self, folder: Path) -> None:
        """Write into `folder`, which is made if it is not there."""
        self._folder = folder

    async def send(self, outgoing: Outgoing) -> None:
        """Write the file, whole or not at all; one that was taken already is not written again. Raises OSError."""
        await asyncio.to_thread(self._write, outgoing)

    def _write(self, outgoing: Outgoing) -> None:
        name, how = f"{outgoing.notice_id}.json", outgoing.reach
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (self._folder / TAKEN / name).exists() or (self._folder / name).exists():
            return
        notice = {
            "id": str(outgoing.notice_id),
            "channel": how.channel,
            "to": how.to,
            "template": how.template,
            "zh": how.zh,
            "en": how.en,
            "station": outgoing.station,
        }
        aside = self._folder / f".{name}.{os.getpid()}"
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(notice, file, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self._folder / name)


class NoticeLog:
    """Says of a notice that waits, where nobody is named who sends it, so by a line in the log.

    Nothing is opened for it: `channel` is what the person chose, None if they did not say.
    """

    def waits(self, notice_id: UUID, station: str, channel: str | None) -> None:
        """Write the line."""
        told = {"notice": str(notice_id), "station": station, "channel": channel}
        log.warning("notice waits, for nobody is named who sends it", extra=told)
