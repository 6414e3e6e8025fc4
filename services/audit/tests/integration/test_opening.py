"""Details are gone through in the order of their hours, and opened for whoever holds their subjects' keys."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from doorstep.audit.operations import opening
from doorstep.audit.operations.opening import Place, opened
from doorstep.audit.operations.submitting import read_submission, submit
from doorstep.contracts.codes import Action
from doorstep.kit import intents
from doorstep.kit.intents import Intent
from doorstep.kit.migrations import migrate

DAY = datetime(2026, 11, 21, tzinfo=UTC)


async def log_read(log, vault, hour: datetime, *subjects: UUID) -> UUID:
    """An entry of this hour that says that a file of these subjects was read."""
    ring = await vault.ring(subjects, create=True)
    event = intents.entry(ring, Intent(Action.READ_FILE, subjects), service="registry", principal=None)
    event = event.model_copy(update={"hour": hour.strftime("%Y-%m-%dT%H")})
    async with log.database.transaction() as session:
        submit(session, read_submission(event, vault=vault))
    return event.entry_id


async def gone_through(log, vault, since: datetime, until: datetime):
    async with log.database.transaction() as session:
        return [
            entry
            async for _, entries in opened(session, vault, after=Place.before(since), until=until)
            for entry in entries
        ]


@pytest.mark.parametrize("page", [4, 2000])
async def test_details_come_by_the_hour_and_each_entry_whole(log, vault, page, monkeypatch):
    monkeypatch.setattr(opening, "PAGE", page)
    subjects = [uuid4() for _ in range(3)]
    made = [await log_read(log, vault, DAY + timedelta(hours=4 - at), *subjects) for at in range(5)]
    await log.drain()
    waiting = await log_read(log, vault, DAY + timedelta(hours=5), subjects[0])
    found = await gone_through(log, vault, DAY + timedelta(hours=1), DAY + timedelta(hours=6))
    assert [one.entry_id for one in found] == [*reversed(made[:4]), waiting]
    assert [one.index for one in found] == [3, 2, 1, 0, None]
    assert {tuple(detail.subject for detail in one.details) for one in found[:4]} == {tuple(subjects)}
    assert {one.said.action for one in found} == {Action.READ_FILE}


async def test_what_was_erased_is_left_out_and_what_is_no_detail_too(log, vault):
    erased, other = uuid4(), uuid4()
    both = await log_read(log, vault, DAY, erased, other)
    await log_read(log, vault, DAY, erased)
    broken = await log_read(log, vault, DAY, other)
    await log.run(f"UPDATE detail SET sealed = sealed || 'x' WHERE entry_id = '{broken}'")  # noqa: S608
    await vault.destroy(erased)
    [found] = await gone_through(log, vault, DAY, DAY + timedelta(hours=1))
    assert (found.entry_id, [one.subject for one in found.details]) == (both, [other])


async def test_what_was_stored_before_says_its_hour_and_is_found_by_its_subject_alone(log, vault):
    subject = uuid4()
    entry_id = await log_read(log, vault, DAY, subject)
    await log.drain()
    await log.run("DROP TABLE inquiry, follower, resident, proxy, deferral, tie, moved, guardian")
    await log.run("ALTER TABLE detail DROP holder, DROP hour")
    await log.run("UPDATE version_audit SET version_num = 'audit_0003'")
    await migrate(log.url, "doorstep.audit:migrations")
    assert await gone_through(log, vault, DAY, DAY + timedelta(hours=1)) == []
    async with log.database.transaction() as session:
        [row] = (await session.execute(text("SELECT entry_id, hour, holder FROM detail"))).all()
    assert tuple(row) == (entry_id, DAY, None)
