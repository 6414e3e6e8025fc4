"""Manifests against the log: what is missing, too much, late, silent or contradicted is told once, and heals."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from doorstep.audit.commands import application
from doorstep.audit.domain.entry import Entry
from doorstep.audit.domain.errors import Malformed
from doorstep.audit.domain.matching import MODULUS, Promise, share
from doorstep.audit.operations.duty import MatcherDuty
from doorstep.audit.operations.matching import GAPS, SENDERS, Matcher
from doorstep.audit.operations.promising import keep_manifest, read_manifest
from doorstep.audit.operations.submitting import Counted, Submission
from doorstep.contracts.audit import AuditManifestPublished
from doorstep.contracts.codes import Role
from doorstep.kit.migrations import migrate
from doorstep.kit.testing import eventually, running

BEGINS = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=1)


class Sender:
    """A service, as the log sees it: its entries and its manifests, a minute each."""

    def __init__(self, log, name: str = "intake") -> None:
        self.log = log
        self.name = name

    def entry(self, minute: int, value: bytes) -> Submission:
        made = Entry(uuid4(), "2026-11-21T10", ())
        counted = Counted(self.name, BEGINS + timedelta(minutes=minute), share(value))
        return Submission(made.id, made.encode(), counted=counted)

    async def store(self, minute: int, *values: bytes) -> list[Submission]:
        """Have an entry stored, and placed, for each of `values`."""
        entries = [self.entry(minute, value) for value in values]
        await self.log.submit_these(entries)
        await self.log.drain()
        return entries

    async def promise(self, number: int, minute: int, *values: bytes, minutes: int = 1, **changes) -> None:
        """Have a manifest of `values` kept."""
        begins = BEGINS + timedelta(minutes=minute)
        digest = sum(map(share, values)) % MODULUS
        promise = {"service": self.name, "number": number, "begins": begins, "count": len(values), "digest": digest}
        promise["ends"] = begins + timedelta(minutes=minutes)
        async with self.log.database.transaction() as session:
            await keep_manifest(session, Promise(**promise | changes))


@pytest.fixture
def intake(log) -> Sender:
    return Sender(log)


@pytest.fixture
def matcher(log) -> Matcher:
    """A matcher that waits for no entry, and for manifests an hour and a half."""
    made = Matcher(log.database, grace=0.0, silence=5400.0)
    yield made
    made.rest()


def told(gaps) -> list[tuple]:
    return sorted((gap.service, str(gap.kind), gap.number, gap.promised, gap.stored) for gap in gaps)


async def history(log) -> list[tuple]:
    async with log.database.transaction() as session:
        rows = await session.execute(text("SELECT kind, number, closed_at IS NULL FROM gap ORDER BY id"))
        return [tuple(row) for row in rows]


def metric(kind: str, service: str = "intake") -> float:
    return GAPS.labels(service, kind)._value.get()


async def test_what_was_promised_and_is_in_the_log_matches(intake, matcher):
    await intake.store(0, b"a", b"b")
    await intake.promise(1, 0, b"b", b"a")
    await intake.promise(2, 1)
    await intake.store(3, b"c")
    await intake.promise(3, 2, b"c", b"d", minutes=3)
    await intake.store(4, b"d")
    assert await matcher.turn() == []


async def test_a_dropped_entry_is_a_gap_once_and_heals_when_it_comes(intake, matcher, log, caplog):
    await intake.store(0, b"a")
    await intake.promise(1, 0, b"a", b"b")
    await intake.promise(2, 1)
    for _ in range(3):
        assert told(await matcher.turn()) == [("intake", "entries-missing", 1, 2, 1)]
    [line] = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert (line.getMessage(), line.promised_by, line.number) == (
        "the log does not hold what was promised",
        "intake",
        1,
    )
    assert metric("entries-missing") == 1
    await intake.store(0, b"b")
    assert await matcher.turn() == []
    assert metric("entries-missing") == 0
    assert await history(log) == [("entries-missing", 1, False)]
    assert [one.getMessage() for one in caplog.records][-1] == "a gap has closed"


async def test_an_entry_has_the_grace_to_come_after_its_manifest(intake, log):
    patient = Matcher(log.database, grace=60.0, silence=5400.0)
    await intake.promise(1, 0, b"a")
    assert await patient.turn() == []
    await log.run("UPDATE manifest SET arrived_at = now() - interval '61 seconds'")
    assert told(await patient.turn()) == [("intake", "entries-missing", 1, 1, 0)]


async def test_what_is_pending_is_not_in_the_log_yet(intake, matcher, log):
    await log.submit_these([intake.entry(0, b"a")])
    await intake.promise(1, 0, b"a")
    assert told(await matcher.turn()) == [("intake", "entries-missing", 1, 1, 0)]
    await log.drain()
    assert await matcher.turn() == []


async def test_a_duplicate_is_not_counted_wherever_the_first_one_is(intake, matcher, log):
    entry = intake.entry(0, b"a")
    await log.submit_these([entry, entry])
    await log.submit_these([entry])
    await log.drain()
    await log.submit_these([entry])
    await log.run(
        "INSERT INTO pending (entry_id, body, service, minute, digest)"
        " SELECT entry_id, body, service, minute, tally.digest FROM entry, tally"
    )
    await log.drain()
    await intake.promise(1, 0, b"a")
    await intake.promise(1, 0, b"a")
    assert await matcher.turn() == []


async def test_an_entry_that_nobody_promised_and_another_one_in_its_place_are_told(intake, matcher):
    await intake.store(0, b"a", b"x")
    await intake.store(1, b"y")
    await intake.promise(1, 0, b"a")
    await intake.promise(2, 1, b"b")
    assert told(await matcher.turn()) == [
        ("intake", "entries-different", 2, 1, 1),
        ("intake", "entries-unpromised", 1, 1, 2),
    ]


async def test_an_entry_that_slips_into_minutes_that_matched_is_told(intake, matcher):
    await intake.store(0, b"a")
    await intake.promise(1, 0, b"a")
    assert await matcher.turn() == []
    await intake.store(0, b"x")
    assert told(await matcher.turn()) == [("intake", "entries-unpromised", 1, 1, 2)]


async def test_the_entries_of_one_service_are_no_answer_to_the_promise_of_another(intake, matcher, log):
    await Sender(log, "risk").store(0, b"a")
    await intake.promise(1, 0, b"a")
    assert told(await matcher.turn()) == [("intake", "entries-missing", 1, 1, 0)]


async def test_a_hole_in_the_numbers_is_a_missing_manifest_until_it_comes(intake, matcher, log):
    await intake.promise(1, 0)
    await intake.promise(4, 3)
    assert told(await matcher.turn()) == [("intake", "manifest-missing", 3, None, None)]
    await intake.promise(3, 2)
    assert told(await matcher.turn()) == [("intake", "manifest-missing", 2, None, None)]
    await intake.promise(2, 1)
    assert await matcher.turn() == []
    assert await history(log) == [("manifest-missing", 3, False), ("manifest-missing", 2, False)]


async def test_minutes_that_no_manifest_promises_are_a_missing_manifest_too(intake, matcher):
    await intake.promise(1, 0)
    await intake.promise(2, 2)
    assert told(await matcher.turn()) == [("intake", "manifest-missing", 1, None, None)]


async def test_two_manifests_of_one_number_contradict_each_other_for_good(intake, matcher, log):
    await intake.promise(1, 0)
    await intake.promise(2, 1)
    await intake.promise(2, 1, b"a")
    for _ in range(2):
        assert ("intake", "manifest-contradicted", 2, 1, None) in told(await matcher.turn())
    assert metric("manifest-contradicted") == 1


async def test_a_service_that_falls_silent_is_told_until_its_next_manifest(intake, log, matcher):
    impatient = Matcher(log.database, grace=0.0, silence=0.0)
    await intake.promise(1, 0)
    assert [(gap.service, str(gap.kind)) for gap in await impatient.turn()] == [(one, "silent") for one in SENDERS]
    assert [gap.service for gap in await matcher.turn()] == [one for one in SENDERS if one != "intake"]
    await intake.promise(2, 1, ends=datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(hours=1))
    assert [gap.service for gap in await impatient.turn()] == [one for one in SENDERS if one != "intake"]
    impatient.rest()


async def test_a_matcher_that_has_just_begun_calls_nobody_silent(matcher, log):
    assert await matcher.turn() == []
    async with log.database.transaction() as session:
        assert (await session.execute(text("SELECT count(*) FROM gap"))).scalar_one() == 0


async def test_another_instance_goes_on_with_the_same_gaps_and_says_them_once(intake, matcher, log, caplog):
    await intake.promise(1, 0, b"a")
    await matcher.turn()
    matcher.rest()
    other = Matcher(log.database, grace=0.0, silence=5400.0)
    for _ in range(2):
        await other.turn()
    assert await history(log) == [("entries-missing", 1, True)]
    assert len([one for one in caplog.records if one.levelno == logging.ERROR]) == 2
    other.rest()


async def test_of_several_instances_one_matches_and_tells(intake, log):
    await intake.promise(1, 0, b"a")
    duties = [MatcherDuty(log.database, Matcher(log.database, grace=0.0, silence=5400.0)) for _ in range(3)]
    async with running(*(duty.run for duty in duties)):

        async def told_once() -> bool:
            return await history(log) == [("entries-missing", 1, True)]

        await eventually(told_once)
        async with log.database.transaction() as session:
            leases = await session.execute(text("SELECT count(*) FROM lease WHERE name = 'matcher'"))
            assert leases.scalar_one() == 1


async def test_what_matched_long_ago_is_forgotten_and_what_did_not_is_kept(intake, matcher, log):
    await intake.store(0, b"a")
    await intake.promise(1, 0, b"a")
    await intake.promise(2, 1, b"b")
    await intake.store(2, b"c")
    await intake.promise(3, 2, b"c")
    gaps = told(await matcher.turn())
    for table, columns in (("manifest", ("begins", "ends")), ("tally", ("minute",))):
        moved = ", ".join(f"{column} = {column} - interval '61 days'" for column in columns)
        await log.run(f"UPDATE {table} SET {moved}")  # noqa: S608
    await matcher.forget_old()
    async with log.database.transaction() as session:
        numbers = await session.execute(text("SELECT number FROM manifest ORDER BY number"))
        assert list(numbers.scalars()) == [2, 3]
        assert (await session.execute(text("SELECT count(*) FROM tally"))).scalar_one() == 1
    assert told(await matcher.turn()) == gaps


async def test_a_log_that_is_already_at_work_does_not_judge_what_it_did_not_count(databases, log, intake):
    for statement in (
        "INSERT INTO inbox_position (topic, partition) VALUES ('audit.entry.intake', 0)",
        "INSERT INTO pending (entry_id, body) VALUES (gen_random_uuid(), 'old')",
        "DROP TABLE tally, tally_begin, manifest, gap, tie, inquiry, follower, resident, proxy, deferral",
        "DROP TABLE moved, guardian",
        "ALTER TABLE pending DROP service, DROP minute, DROP digest",
        "ALTER TABLE detail DROP holder, DROP hour",
        "UPDATE version_audit SET version_num = 'audit_0002'",
    ):
        await log.run(statement)
    await migrate(log.url, "doorstep.kit:migrations/service", "doorstep.audit:migrations")
    await log.drain()
    matcher = Matcher(log.database, grace=0.0, silence=5400.0)
    ahead = (datetime.now(UTC) - BEGINS) // timedelta(minutes=1) + 2
    await intake.promise(1, 0, b"stored before it was counted", minutes=ahead - 1)
    await intake.promise(2, ahead - 1)
    await intake.promise(3, ahead, b"lost")
    assert told(await matcher.turn()) == [("intake", "entries-missing", 3, 1, 0)]
    matcher.rest()


@pytest.mark.parametrize(
    "change", [{"service": "risk"}, {"digest": "0"}, {"number": 0}, {"count": -1}, {"ends": BEGINS}]
)
def test_a_manifest_that_promises_nothing_sensible_is_malformed(change):
    right = {"service": "intake", "number": 1, "begins": BEGINS, "ends": BEGINS + timedelta(minutes=1), "count": 0}
    event = AuditManifestPublished(**right, digest="0" * 64)
    assert read_manifest(event, topic="audit.entry.intake").number == 1
    with pytest.raises(Malformed):
        read_manifest(event.model_copy(update=change), topic="audit.entry.intake")


async def gaps_command(url: str, *arguments: str) -> tuple[int, str]:
    arguments = ("gaps", "--url", url, "--token", "auditor", *arguments)
    result = await asyncio.to_thread(CliRunner().invoke, application, arguments)
    return result.exit_code, result.output


async def test_auditors_and_operators_read_it_and_nobody_else(ask):
    for role in Role:
        expected = 200 if role in (Role.AUDITOR, Role.OPERATOR) else 403
        assert (await ask(role))[0] == expected, role
    assert [(await ask(None))[0], (await ask("stranger"))[0], (await ask("auditor", "?limit=0"))[0]] == [401, 401, 422]


async def test_the_answer_and_the_command_show_state_and_gaps(ask, url, intake, matcher):
    assert (await gaps_command(url))[0] == 0
    await intake.store(0, b"a")
    await intake.promise(1, 0, b"a")
    await intake.promise(2, 1, b"b", b"c")
    await matcher.turn()
    status, told_ = await ask("auditor")
    states = {one["service"]: one for one in told_["services"]}
    assert sorted(states) == sorted(SENDERS)
    state = states["intake"]
    assert (status, state["last_number"], state["waiting"], state["gaps"]) == (200, 2, 1, 1)
    [gap] = told_["gaps"]
    assert (gap["service"], gap["kind"], gap["promised"], gap["stored"]) == ("intake", "entries-missing", 2, 0)
    status, out = await gaps_command(url)
    assert (status, "intake  entries-missing  2" in out, "1 gaps are open." in out) == (1, True, True)
    status, out = await gaps_command(url, "--json")
    assert (status, '"entries-missing"' in out) == (1, True)
    await intake.store(1, b"b", b"c")
    await matcher.turn()
    assert (await gaps_command(url))[0] == 0
    [gap] = (await ask("auditor"))[1]["gaps"]
    assert gap["closed_at"] is not None


async def test_the_command_says_why_it_cannot_ask(url, ask):
    for arguments, status, said in (
        (("--url", url, "--token", "collector"), 1, "Not done: 403 Your role or purpose does not allow this"),
        (("--url", url), 2, "DOORSTEP_TOKEN"),
        (("--url", "http://127.0.0.1:9/api/log", "--token", "x"), 1, "does not answer"),
        (("--url", f"{url}/none", "--token", "x"), 1, "Not done: 404"),
    ):
        result = await asyncio.to_thread(CliRunner().invoke, application, ["gaps", *arguments])
        assert (result.exit_code, said in result.output) == (status, True), result.output
