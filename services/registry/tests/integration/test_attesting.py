"""What a department attested is in the file beside what was said before, with who said it."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from doorstep.contracts.codes import Department, SaidBy
from doorstep.contracts.facts import Fact
from doorstep.contracts.intake import StatedFacts, VisitRecorded
from doorstep.contracts.referral import FactsAttested
from doorstep.kit.consumer import Received
from doorstep.kit.testing import golden, hold_golden_keys
from doorstep.registry.consumers import handlers


async def attested(files: Any, record: VisitRecorded, *facts: Fact, subject: UUID | None = None) -> FactsAttested:
    """The event by which a department attests facts of the first subject of a record, taken."""
    subject_id = subject or record.subjects[0].subject_id
    ring = await files.desk.vault.ring([subject_id])
    event = FactsAttested(
        request_id=uuid4(),
        record_id=record.record_id,
        file_id=record.file_id,
        subject_id=subject_id,
        attested_at=datetime.now(UTC),
        facts=ring.seal(subject_id, StatedFacts(facts=facts)),
    )
    await take(files, event)
    return event


async def take(files: Any, event: FactsAttested) -> None:
    """Let the registry take it as its consumer does."""
    async with files.desk.database.transaction() as session:
        received = Received(golden("registry.file-opened.v1").received.envelope, event)
        await handlers(files.desk.vault)[FactsAttested](session, received)


async def test_what_is_attested_stands_beside_what_was_said_with_its_department(files, person, fact) -> None:
    record = await files.taken(person(None, fact("benefits.minimum-living", False)))
    said = {"said_by": SaidBy.DEPARTMENT, "attested_by": Department.CIVIL_AFFAIRS}
    event = await attested(files, record, fact("benefits.minimum-living", True, **said))
    shown = (await files.look(record.file_id)).body
    assert shown["version"] == 2
    before, now = sorted(shown["subjects"][0]["facts"], key=lambda one: one["file_version"])
    assert (before["said_by"], before["value"], "attested_by" in before) == ("person", False, False)
    assert (now["said_by"], now["value"], now["attested_by"]) == ("department", True, "civil-affairs")
    assert (now["record_id"], now["file_version"]) == (str(record.record_id), 2)
    entries = await files.desk.logged(event.subject_id)
    assert [(one["action"], one["purpose"]) for one in entries if one["case"] == str(event.request_id)] == [
        ("assert-facts", "service")
    ]


async def test_told_twice_it_is_kept_once(files, person, fact) -> None:
    record = await files.taken(person())
    one = fact("work.wages-unpaid", said_by=SaidBy.DEPARTMENT, attested_by=Department.LABOUR)
    await attested(files, record, one)
    await attested(files, record, one)
    facts = (await files.look(record.file_id)).body["subjects"][0]["facts"]
    assert [(found["code"], found["file_version"]) for found in facts] == [("work.wages-unpaid", 2)]


async def test_a_health_fact_that_is_attested_is_seen_for_health_alone(files, person, fact) -> None:
    record = await files.taken(person())
    one = fact("health.chronic-illness", said_by=SaidBy.DEPARTMENT, attested_by=Department.HEALTH)
    await attested(files, record, one)
    assert (await files.look(record.file_id)).body["subjects"][0]["facts"] == []
    rows = await files.desk.rows("SELECT CAST(f AS text) FROM fact f WHERE file_id = :id", id=record.file_id)
    assert len(rows) == 1
    assert "chronic" not in rows[0][0]
    assert b"chronic".hex() not in rows[0][0]


async def test_of_who_was_erased_or_is_in_no_file_nothing_is_kept(files, person, fact) -> None:
    record = await files.taken(person(), person())
    one, other = (subject.subject_id for subject in record.subjects)
    stranger = uuid4()
    await files.desk.vault.ring([stranger], create=True)
    told = fact("work.seeking", said_by=SaidBy.DEPARTMENT, attested_by=Department.LABOUR)
    await attested(files, record, told, subject=stranger)
    ring = await files.desk.vault.ring([one])
    late = FactsAttested(
        request_id=uuid4(), record_id=record.record_id, file_id=record.file_id, subject_id=one,
        attested_at=datetime.now(UTC), facts=ring.seal(one, StatedFacts(facts=(told,))),
    )  # fmt: skip
    await files.desk.vault.destroy(one)
    await take(files, late)
    shown = (await files.look(record.file_id)).body
    assert (shown["version"], [subject["subject_id"] for subject in shown["subjects"]]) == (1, [str(other)])
    assert await files.desk.rows("SELECT 1 FROM fact WHERE file_id = :id", id=record.file_id) == []


async def test_the_golden_message_is_taken_by_the_handler(files) -> None:
    hold_golden_keys(files.desk.vault)
    received = golden("referral.facts-attested.v1").received
    async with files.desk.database.transaction() as session:
        await handlers(files.desk.vault)[FactsAttested](session, received)
    assert await files.desk.rows("SELECT 1 FROM fact WHERE subject_id = :id", id=received.event.subject_id) == []
