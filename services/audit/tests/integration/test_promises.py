"""From a service's transaction to the log: nothing is lost on the way without being told."""

import logging
from uuid import UUID

import pytest
from sqlalchemy import text

from doorstep.audit.consumers import LogConsumer
from doorstep.audit.operations.duty import SequencerDuty
from doorstep.audit.operations.matching import GAPS, Matcher
from doorstep.contracts.codes import Action
from doorstep.kit.db import Database
from doorstep.kit.intents import Intent, record
from doorstep.kit.manifest import Manifests
from doorstep.kit.relay import Relay
from doorstep.kit.testing import eventually, running

SUBJECT = UUID(int=7)


class Intake:
    """A service with an outbox and a relay. Its minutes are closed before they are over, as if time had passed."""

    def __init__(self, database: Database, broker, ring) -> None:
        self.database = database
        self._ring = ring
        self.relay = Relay(database, broker, lease_seconds=1.0)
        database.on_commit.append(self.relay.wake)
        self._closed = 0

    async def act(self, times: int) -> None:
        """Do something that is logged, so many times."""
        for _ in range(times):
            async with self.database.transaction() as session:
                record(session, self._ring, Intent(Action.READ_FILE, [SUBJECT]))

    async def promise(self) -> None:
        """Publish the manifest of what was done since the last one."""
        self._closed += 1
        manifests = Manifests(self.database, margin=-60.0 * self._closed)

        async def made() -> bool:
            await manifests.close()  # at another try, if the relay was about to mark something
            return await self.database.fetch("SELECT number FROM manifest_state", {}) == [(self._closed,)]

        await eventually(made)

    async def run(self, statement: str) -> None:
        async with self.database.transaction() as session:
            await session.execute(text(statement))

    async def published(self) -> None:
        async def empty() -> bool:
            return await self.database.fetch("SELECT 1 FROM outbox WHERE published_at IS NULL", {}) == []

        await eventually(empty, within=30)


@pytest.fixture
async def intake(databases, broker, vault):
    database = Database(await databases.new(), service="intake")
    yield Intake(database, broker, await vault.ring([SUBJECT], create=True))
    await database.close()


@pytest.fixture
def service(service, broker):
    """The log's service, with a broker to reach."""
    service.broker = broker
    return service


@pytest.fixture
def working(service, log):
    """What the log's process runs: its consumer and its sequencer."""

    def work():
        duty = SequencerDuty(log.database, log.sequencer(), window=0.01)
        return running(LogConsumer(service).run, duty.run)

    return work


@pytest.fixture
def matcher(log):
    made = Matcher(log.database, grace=0.0, silence=5400.0)
    yield made
    made.rest()


async def taken(log, entries: int, manifests: int) -> None:
    """Wait until the log has so many entries and manifests."""

    async def enough() -> bool:
        query = "SELECT (SELECT count(*) FROM entry), (SELECT count(*) FROM manifest)"
        [(there, promised)] = await log.database.fetch(query, {})
        return there >= entries and promised >= manifests

    await eventually(enough, within=60)


async def assert_all_matched(matcher, ask, manifests: int) -> None:
    assert await matcher.turn() == []
    status, told = await ask("auditor")
    state = next(one for one in told["services"] if one["service"] == "intake")
    assert (status, state["last_number"], state["waiting"], state["gaps"]) == (200, manifests, 0, 0)


async def test_everything_that_was_promised_is_in_the_log(intake, log, matcher, working, ask):
    async with running(intake.relay.run), working():
        for number in range(1, 4):
            await intake.act(5)
            await intake.promise()
            await taken(log, 5 * number, number)
    await assert_all_matched(matcher, ask, 3)
    await log.verify()


DROPPED_BY_THE_RELAY = "UPDATE outbox SET published_at = now() WHERE position = (SELECT min(position) + 2 FROM outbox)"


async def assert_one_is_missing(matcher, ask, caplog) -> None:
    [gap] = await matcher.turn()
    assert (gap.service, gap.kind, gap.number) == ("intake", "entries-missing", 1)
    assert gap.promised - gap.stored == 1
    assert GAPS.labels("intake", "entries-missing")._value.get() == 1
    [line] = [one for one in caplog.records if one.getMessage() == "the log does not hold what was promised"]
    assert (line.levelno, line.promised_by, line.promised - line.stored) == (logging.ERROR, "intake", 1)
    _, told = await ask("auditor")
    assert [(one["service"], one["kind"], one["closed_at"]) for one in told["gaps"]] == [
        ("intake", "entries-missing", None)
    ]


async def test_one_entry_that_the_relay_drops_is_a_gap(intake, log, matcher, working, ask, caplog):
    await intake.act(5)
    await intake.run(DROPPED_BY_THE_RELAY)
    await intake.promise()
    async with running(intake.relay.run), working():
        await taken(log, 4, 1)
        await assert_one_is_missing(matcher, ask, caplog)
        await intake.run("UPDATE outbox SET published_at = NULL WHERE type = 'audit.entry-submitted.v1'")
        await taken(log, 5, 1)  # sent after all, and the others twice
    await assert_all_matched(matcher, ask, 1)


async def test_one_entry_that_the_log_loses_before_it_has_its_place_is_a_gap(
    intake, log, matcher, service, ask, caplog
):
    await intake.act(5)
    await intake.promise()
    async with running(intake.relay.run, LogConsumer(service).run):
        await taken(log, 0, 1)
    await log.run("DELETE FROM pending WHERE arrival = (SELECT min(arrival) FROM pending)")
    await log.drain()
    await assert_one_is_missing(matcher, ask, caplog)


async def test_an_entry_that_nobody_can_read_is_a_gap(intake, log, matcher, working, ask, caplog):
    """It is in the log as an unreadable one: what it says, nobody can say it was promised."""
    await intake.act(3)
    await intake.run("UPDATE outbox SET body = '{}' WHERE position = (SELECT min(position) FROM outbox)")
    await intake.promise()
    async with running(intake.relay.run), working():
        await taken(log, 3, 1)
    await assert_one_is_missing(matcher, ask, caplog)


async def test_a_manifest_that_is_lost_is_missed(intake, log, matcher, working):
    for lost in (False, True, False):
        await intake.act(1)
        await intake.promise()
        if lost:
            await intake.run(
                "UPDATE outbox SET published_at = now() WHERE type = 'audit.manifest-published.v1' AND position ="
                " (SELECT max(position) FROM outbox)"
            )
    async with running(intake.relay.run), working():
        await taken(log, 3, 2)
    assert [(gap.service, gap.kind, gap.number) for gap in await matcher.turn()] == [("intake", "manifest-missing", 2)]


async def test_all_matches_after_a_broker_that_lost_everything(intake, log, matcher, working, ask, embedded_broker):
    async with running(intake.relay.run), working():
        await intake.act(4)
        await intake.promise()
        await taken(log, 4, 1)
        await intake.act(3)
        await embedded_broker.kill()
        await embedded_broker.start()
        await intake.act(2)
        await intake.promise()

        async def anew() -> bool:
            return await intake.database.fetch("SELECT 1 FROM relay_topic WHERE epoch > 1", {}) != []

        await eventually(anew, within=60)
        await intake.act(1)
        await intake.promise()
        await taken(log, 10, 3)
        await intake.published()
    await assert_all_matched(matcher, ask, 3)
