"""Going through the log by the rules of conduct.

What the rules have to know of a case from before the time asked for, who took it in and when it was closed, is looked
up by the subjects of what was read, and by no others.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.audit.domain.conduct import Cases, Deed, Watch
from doorstep.audit.domain.conduct_rules import CompiledConduct
from doorstep.audit.operations.declaring import Ties
from doorstep.audit.operations.opening import OpenedEntry, Place, open_rows, opened
from doorstep.audit.operations.submitting import subject_index
from doorstep.contracts.codes import Action
from doorstep.kit import calendar
from doorstep.kit.vault import NOBODY, Vault

_AT_ONCE = 100
"""So many subjects are looked up, or deeds judged, before others have their turn."""
_BEFORE = text(
    """
    SELECT d.entry_id, d.position, d.hour, d.holder, d.sealed, e.index
    FROM detail d LEFT JOIN entry e USING (entry_id)
    WHERE d.holder IS NOT NULL AND d.hour < :begin AND d.entry_id IN (
        SELECT entry_id FROM detail WHERE subject = ANY(CAST(:subjects AS bytea[]))
    )
    ORDER BY d.entry_id, d.position
    """
)


async def watch_conduct(
    session: AsyncSession, *, vault: Vault, conduct: CompiledConduct, since: datetime, until: datetime
) -> Watch:
    """What the rules find in what was done from `since` until before `until`."""
    watch = Watch(conduct, cases := Cases(), calendar.worked, since=since, until=until)
    begin = (since - timedelta(minutes=conduct.longest)).replace(minute=0, second=0, microsecond=0)
    history, ties = _History(session, vault, cases, begin), Ties(vault)
    async for hour in _hours(session, vault, begin, until):
        deeds = [deed for deed in map(history.take, hour) if deed.watched]
        await history.know([deed for deed in deeds if deed.read])
        await ties.load(session, {deed.actor for deed in deeds})
        for number, deed in enumerate(sorted(deeds, key=lambda one: (one.at, one.entry_id))):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
            tied = ties.bind(deed.actor, (deed.said.case, deed.said.record), deed.at)
            watch.take(replace(deed, tied=tied))
    return watch


async def _hours(session: AsyncSession, vault: Vault, begin: datetime, until: datetime) -> AsyncIterator[list[Deed]]:
    """What was done, all of an hour at once, hour by hour."""
    waiting: list[Deed] = []
    async for _, entries in opened(session, vault, after=Place.before(begin), until=until):
        for deed in map(_deed, entries):
            if waiting and waiting[0].hour != deed.hour:
                yield waiting
                waiting = []
            waiting.append(deed)
    if waiting:
        yield waiting


def _deed(entry: OpenedEntry) -> Deed:
    subjects = frozenset(detail.subject for detail in entry.details)
    return Deed(entry.entry_id, entry.index, entry.place.hour, subjects, entry.said)


class _History:
    """Has `cases` learn what was done, and what was done before about the subjects of what is read, each entry once."""

    def __init__(self, session: AsyncSession, vault: Vault, cases: Cases, begin: datetime) -> None:
        """Look up what was done before `begin`; the rest is told by `take`."""
        self._session = session
        self._vault = vault
        self._cases = cases
        self._begin = begin
        self._known = {NOBODY}
        self._seen: set[UUID] = set()
        self._visits: dict[str | None, frozenset[UUID]] = {}

    def take(self, deed: Deed) -> Deed:
        """Learn of one entry."""
        self._cases.learn(deed)
        if deed.said.action == Action.RECORD_VISIT and not deed.refused:
            self._visits[deed.said.case] = deed.subjects
        return deed

    async def know(self, reads: Sequence[Deed]) -> None:
        """Learn of the subjects of `reads`, and of the others whose needs came of the same records."""
        await self._learn({subject for deed in reads for subject in deed.subjects})
        records = {record for deed in reads for record in (deed.said.case, deed.said.record)}
        await self._learn({subject for record in records for subject in self._visits.get(record, ())})

    async def _learn(self, subjects: set[UUID]) -> None:
        fresh = sorted(subjects - self._known)
        self._known |= subjects
        for start in range(0, len(fresh), _AT_ONCE):
            indexes = [subject_index(self._vault, one) for one in fresh[start : start + _AT_ONCE]]
            rows = (await self._session.execute(_BEFORE, {"subjects": indexes, "begin": self._begin})).all()
            new = [row for row in rows if row.entry_id not in self._seen]
            self._seen.update(row.entry_id for row in new)
            for entry in await open_rows(self._vault, new):
                self.take(_deed(entry))
