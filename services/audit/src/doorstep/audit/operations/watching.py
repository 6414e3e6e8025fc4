"""Going through the log by the rules of conduct.

What the rules have to know of a case from before the time asked for, who took it in and when it was closed, is looked
up by the subjects of what was read, and by no others.
"""

from collections.abc import AsyncIterator, Iterable
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
from doorstep.kit.vault import NOBODY, Vault

_AT_ONCE = 500
_ABOUT = text(
    """
    SELECT d.entry_id, d.position, d.hour, d.holder, d.sealed, e.index
    FROM detail d LEFT JOIN entry e USING (entry_id)
    WHERE d.holder IS NOT NULL AND d.entry_id IN (
        SELECT entry_id FROM detail WHERE subject = ANY(CAST(:subjects AS bytea[]))
    )
    ORDER BY d.entry_id, d.position
    """
)


async def watch_conduct(
    session: AsyncSession, *, vault: Vault, conduct: CompiledConduct, since: datetime, until: datetime
) -> Watch:
    """What the rules find in what was done from `since` until before `until`."""
    watch = Watch(conduct, cases := Cases(), since=since, until=until)
    history, ties = _History(session, vault, cases), Ties(vault)
    begin = since - timedelta(minutes=conduct.longest)
    async for deeds in _hours(session, vault, begin, until):
        await history.know([deed for deed in deeds if deed.read])
        await ties.load(session, {deed.actor for deed in deeds})
        for deed in sorted(deeds, key=lambda one: (one.at, one.entry_id)):
            tied = ties.bind(deed.actor, (deed.said.case, deed.said.record), deed.at)
            watch.take(replace(deed, tied=tied))
    return watch


async def _hours(session: AsyncSession, vault: Vault, begin: datetime, until: datetime) -> AsyncIterator[list[Deed]]:
    """What the rules look at, all of an hour at once, hour by hour."""
    waiting: list[Deed] = []
    after = Place.before(begin.replace(minute=0, second=0, microsecond=0))
    async for _, entries in opened(session, vault, after=after, until=until):
        for deed in filter(lambda one: one.watched, map(_deed, entries)):
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
    """Has `cases` learn what the log says about the subjects of what was read, each subject once."""

    def __init__(self, session: AsyncSession, vault: Vault, cases: Cases) -> None:
        self._session = session
        self._vault = vault
        self._cases = cases
        self._known = {NOBODY}

    async def know(self, reads: Iterable[Deed]) -> None:
        """Learn of the subjects of `reads`, and of the others whose needs came of the same records."""
        subjects, records = set[UUID](), set[str | None]()
        for deed in reads:
            subjects |= deed.subjects
            records |= {deed.said.case, deed.said.record}
        visits = await self._learn(subjects)
        await self._learn({one for visit in visits if visit.said.case in records for one in visit.subjects})

    async def _learn(self, subjects: set[UUID]) -> list[Deed]:
        """Learn all there is about those of `subjects` that are not known; gives the visits among it."""
        fresh = sorted(subjects - self._known)
        self._known |= subjects
        visits = []
        for start in range(0, len(fresh), _AT_ONCE):
            indexes = [subject_index(self._vault, one) for one in fresh[start : start + _AT_ONCE]]
            rows = (await self._session.execute(_ABOUT, {"subjects": indexes})).all()
            for deed in map(_deed, await open_rows(self._vault, rows)):
                self._cases.learn(deed)
                if deed.said.action == Action.RECORD_VISIT:
                    visits.append(deed)
        return visits
