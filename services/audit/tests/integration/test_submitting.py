"""Submissions are stored once, with what is needed to read them, and nothing that names a subject."""

import base64
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import uuid4

import pytest
from sqlalchemy import text

from doorstep.audit.consumers import LogConsumer
from doorstep.audit.domain.entry import UNREADABLE, opens, parse_entry
from doorstep.audit.domain.errors import Malformed
from doorstep.audit.operations.checking import check_log
from doorstep.audit.operations.submitting import read_submission, subject_index, submit, submit_own
from doorstep.contracts.audit import AuditDetail
from doorstep.contracts.codes import Action, Purpose
from doorstep.contracts.envelope import Envelope
from doorstep.contracts.wire import to_headers
from doorstep.kit import intents
from doorstep.kit.auth import Principal
from doorstep.kit.intents import Intent

TOPIC = "audit.entry.intake"


async def submission(vault, *subjects):
    """An event that submits the reading of these subjects' file."""
    ring = await vault.ring(subjects, create=True)
    intent = Intent(Action.READ_FILE, subjects, purpose=Purpose.TRIAGE)
    return intents.entry(ring, intent, service="registry", principal=None)


async def stored(log, query: str):
    async with log.database.transaction() as session:
        return (await session.execute(text(query))).all()


async def test_an_entry_and_its_details_are_stored_and_can_be_opened_by_subject(log, vault):
    subjects = [uuid4(), uuid4(), uuid4()]
    event = await submission(vault, *subjects)
    async with log.database.transaction() as session:
        submit(session, read_submission(event, vault=vault))
    await log.drain()
    [entry] = (await log.verify()).entries
    assert (entry.id, entry.hour, len(entry.commitments)) == (event.entry_id, event.hour, 4)
    ring = await vault.ring(subjects)
    for position, subject in enumerate(subjects):
        async with log.database.transaction() as session:
            found = await session.execute(
                text("SELECT entry_id, position, sealed FROM detail WHERE subject = :subject"),
                {"subject": subject_index(vault, subject)},
            )
            [row] = found.all()
        assert (row.entry_id, row.position) == (event.entry_id, position)
        detail = AuditDetail.model_validate_json(ring.decrypt(subject, "AuditDetail", row.sealed))
        content = detail.model_dump(mode="json", exclude={"nonce"}, exclude_none=True)
        assert opens(entry.commitments[position], base64.b64decode(detail.nonce), content)
        assert detail.action == "read-file"
    assert (await check_log(log.database, [log.key.verifier])).findings == []


async def test_no_table_names_a_subject(log, vault):
    subject = uuid4()
    async with log.database.transaction() as session:
        submit(session, read_submission(await submission(vault, subject), vault=vault))
    await log.drain()
    dumped = repr([await stored(log, f"TABLE {table}") for table in ("pending", "entry", "detail")])
    for form in (str(subject), subject.hex, repr(subject.bytes)[2:-1], str(subject.int)):
        assert form not in dumped


async def test_details_of_a_duplicate_are_not_stored_again(log, vault):
    event = await submission(vault, uuid4())
    once = read_submission(event, vault=vault)
    for _ in range(2):
        async with log.database.transaction() as session:
            submit(session, once)
            submit(session, replace(once, details=(replace(once.details[0], sealed=b"other"),)))
        await log.drain()
    assert [row.sealed for row in await stored(log, "SELECT sealed FROM detail")] == [once.details[0].sealed]


async def test_what_is_rolled_back_is_not_in_the_log(log, vault):
    ring = await vault.ring([subject := uuid4()], create=True)
    intent = Intent(Action.READ_DEAD_LETTER, [subject], purpose=Purpose.REPAIR)
    with pytest.raises(RuntimeError):
        async with log.database.transaction() as session:
            submit_own(session, ring, intent, vault=vault)
            raise RuntimeError
    await log.drain()
    assert (await log.verify()).size == 0


async def test_the_logs_own_actions_need_no_broker(log, vault):
    ring = await vault.ring([subject := uuid4()], create=True)
    intent = Intent(Action.READ_DEAD_LETTER, [subject], purpose=Purpose.REPAIR)
    async with log.database.transaction() as session:
        entry_id = submit_own(session, ring, intent, vault=vault, principal=Principal("o-1", "operator", "station"))
    await log.drain()
    assert [entry.id for entry in (await log.verify()).entries] == [entry_id]
    assert await stored(log, "SELECT 1 FROM outbox") == []


async def test_commitments_that_fill_up_have_no_detail_and_a_detail_has_a_commitment(log, vault):
    event = await submission(vault, *(uuid4() for _ in range(5)))
    assert (len(event.commitments), len(event.details)) == (8, 5)
    before = event.model_copy(update={"commitments": event.commitments[:5]})  # of a service that does not fill up yet
    for one, count in ((event, 8), (before.model_copy(update={"entry_id": uuid4()}), 5)):
        submitted = read_submission(one, vault=vault)
        assert (len(parse_entry(submitted.body).commitments), len(submitted.details)) == (count, 5)
    with pytest.raises(Malformed):
        read_submission(event.model_copy(update={"commitments": event.commitments[:4]}), vault=vault)


@pytest.mark.parametrize(
    "change",
    [
        {"hour": "2026-11-21"},
        {"hour": "2026-13-21T10"},
        {"commitments": ("zz" * 32,)},
        {"commitments": ("00" * 31,)},
        {"commitments": ()},
        {"commitments": ("00" * 32,) * 5},
        {"details": ()},
    ],
)
async def test_a_submission_of_which_no_entry_can_be_made_is_malformed(vault, change):
    event = await submission(vault, uuid4())
    with pytest.raises(Malformed):
        read_submission(event.model_copy(update=change), vault=vault)


@pytest.mark.parametrize(
    "change", [{"context": "Card"}, {"ciphertext": "!"}, {"key_version": -1}, {"key_version": 1 << 32}]
)
async def test_a_detail_that_cannot_be_kept_is_malformed(vault, change):
    event = await submission(vault, uuid4())
    detail = event.details[0].model_copy(update=change)
    with pytest.raises(Malformed):
        read_submission(event.model_copy(update={"details": (detail,)}), vault=vault)


def record(value: bytes | None, *, headers=None, topic=TOPIC, key=None):
    """A message as the broker gives it."""
    return SimpleNamespace(topic=topic, partition=0, offset=7, headers=headers or (), key=key, value=value)


async def test_whatever_arrives_becomes_an_entry(log, service, vault):
    consumer = LogConsumer(service)
    good = await submission(vault, uuid4())
    body = good.model_dump_json().encode()
    now = datetime.now(UTC)
    headers = to_headers(Envelope(id=uuid4(), source="intake", type=good.event_type, time=now, key=good.entry_id))
    key = str(good.entry_id).encode()
    broken = [
        record(b"\x00\xff not an event"),
        record(None),
        record(body, headers=headers),
        record(body[:-9], headers=headers, key=key),
        record(body, headers=[("ce_type", b"x")], key=key),
        record(body.replace(good.hour.encode(), b"yesterday"), headers=headers, key=key),
        record(body.replace(b'"details":[', b'"details":[],"more":['), headers=headers, key=key),
    ]
    async with log.database.transaction() as session:
        for one in [*broken, record(body, headers=headers, key=key), broken[0]]:
            message = consumer.read(one)
            assert message.flaw is None
            await consumer.handle(session, message)
    await log.drain()
    async with log.database.transaction() as session:
        again = record(broken[2].value, headers=[*headers, ("ce_epoch", b"2")])  # its topic was begun anew
        for one in (broken[0], again):
            await consumer.handle(session, consumer.read(one))
    await log.drain()
    entries = (await log.verify()).entries
    assert [entry.kind for entry in entries] == [UNREADABLE] * len(broken) + [None]
    assert entries[-1].id == good.entry_id
    kept = {row.entry_id: row for row in await stored(log, "SELECT * FROM unreadable")}
    for entry, one in zip(entries, broken, strict=False):
        row = kept[entry.id]
        detail = {"topic": row.topic, "message": base64.b64encode(one.value or b"").decode()}
        assert opens(entry.commitments[0], row.nonce, detail)
        assert parse_entry(entry.encode()) == entry
    assert await stored(log, "SELECT 1 FROM dead_letter") == []
