"""What whoever runs the installation is told: totals of all stations, in which nothing confidential is."""

from datetime import UTC, datetime, timedelta

import pytest

from doorstep.contracts.codes import TaskState
from doorstep.kit.db import Database
from doorstep.kit.telemetry import (
    CALLS_UNACKNOWLEDGED,
    NOTICES_GIVEN_UP,
    NOTICES_WAITING,
    TASKS_OPEN,
    TASKS_OVERDUE,
)
from doorstep.kit.testing import KIT_TABLES
from doorstep.referral.domain.noticing import ATTEMPTS, STALE
from doorstep.referral.operations.announcing import Announcing
from doorstep.referral.operations.calling import CallLog, DutyDesk
from doorstep.referral.operations.notifying import Notifier
from doorstep.referral.operations.opening import Origin
from doorstep.referral.operations.senders import NotSent
from doorstep.referral.operations.watching import Watch

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
CONFIDENTIAL = ("legal-aid", "protection-from-violence")


@pytest.fixture
async def desk(desk_over, own_databases, vault):
    """A desk in an installation where nothing is open."""
    database = Database(await own_databases.new(KIT_TABLES, "doorstep.referral:migrations"), service="referral")
    yield desk_over(database, vault, NOON)
    await database.close()


class Nowhere:
    """Takes no notice."""

    async def send(self, outgoing):
        raise NotSent


async def figures(desk) -> tuple[float, ...]:
    """Open and overdue tasks, duty calls, notices waiting."""
    await Watch(desk.database).count(desk.now)
    return tuple(one._value.get() for one in (TASKS_OPEN, TASKS_OVERDUE, CALLS_UNACKNOWLEDGED, NOTICES_WAITING))


def given_up(reason: str) -> float:
    return NOTICES_GIVEN_UP.labels(reason)._value.get()


async def test_open_and_overdue_tasks_are_totals_of_all_stations_without_what_is_confidential(desk) -> None:
    assert await figures(desk) == (0, 0, 0, 0)
    own = await desk.opened("housing-repair")
    for need_type in CONFIDENTIAL:
        await desk.opened(need_type)
    here = desk.origin
    desk.origin = Origin(here.record_id, here.file_id, "station-9")
    await desk.opened("fire-check")
    assert await figures(desk) == (2, 0, 0, 0)
    desk.now += timedelta(hours=25)
    assert await figures(desk) == (2, 2, 0, 0)
    desk.origin = here
    await desk.step(own, TaskState.ACCEPTED)
    assert await figures(desk) == (2, 1, 0, 0)
    desk.now = own.complete_by + timedelta(hours=1)
    assert await figures(desk) == (2, 2, 0, 0)
    await desk.step(own, TaskState.FAILED, reason="no-response", version=2)
    assert await figures(desk) == (1, 1, 0, 0)


async def test_a_call_is_told_until_somebody_acknowledges_and_never_one_of_violence(desk) -> None:
    task = await desk.opened("gas-leak")
    await desk.opened("protection-from-violence")
    await Announcing(desk.database, desk.vault).look(desk.now)
    assert len(await desk.rows("SELECT 1 FROM duty_call")) == 2
    await DutyDesk(desk.database, CallLog()).call(desk.now)
    assert (await figures(desk))[2] == 1
    await desk.step(task, TaskState.ACCEPTED)
    assert (await figures(desk))[2] == 0


async def test_notices_are_told_while_they_wait_and_counted_when_given_up(desk) -> None:
    for need_type in ("housing-repair", *CONFIDENTIAL):
        await desk.step(await desk.opened(need_type), TaskState.ACCEPTED)
    notifier = Notifier(desk.database, desk.vault, None)
    await notifier.look_at_changes(desk.now)
    assert len(await desk.rows("SELECT 1 FROM notice WHERE state = 'waiting'")) == 3
    assert (await figures(desk))[3] == 1
    before = given_up("no-sender")
    assert await notifier.give_up(desk.now + STALE + timedelta(minutes=1)) == 3
    assert given_up("no-sender") == before + 1
    assert (await figures(desk))[3] == 0


async def test_a_notice_that_nobody_takes_is_counted_once(desk) -> None:
    await desk.step(await desk.opened("housing-repair"), TaskState.ACCEPTED)
    notifier, before = Notifier(desk.database, desk.vault, Nowhere()), given_up("not-taken")
    for _ in range(ATTEMPTS + 2):
        await notifier.turn(desk.now)
        desk.now += timedelta(hours=1, minutes=5)
    assert [row.state for row in await desk.rows("SELECT state FROM notice")] == ["dead"]
    assert given_up("not-taken") == before + 1
