"""Facts of a record go into the household's file, and people are found by their papers."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from doorstep.contracts.codes import LegalBasis, SaidBy
from doorstep.contracts.facts import SubjectKind
from doorstep.contracts.intake import Card, StatedFacts, VisitRecorded
from doorstep.kit.db import is_conflict
from doorstep.kit.testing import golden, hold_golden_keys
from doorstep.registry.consumers import handlers


async def test_facts_are_stored_published_and_logged_in_one_transaction(files, person, dwelling, fact) -> None:
    event = await files.taken(person("1", fact("living.alone")), dwelling(fact("dwelling.gas-hose", "expired")))
    (asserted,) = await files.published(event.file_id)
    assert (asserted.record_id, asserted.file_version, asserted.station) == (event.record_id, 1, "station-7")
    assert asserted.recorded_by == event.recorded_by
    ring = await files.desk.vault.ring(subject.subject_id for subject in asserted.subjects)
    for told, found in zip(event.subjects, asserted.subjects, strict=True):
        assert ring.open(found.facts, StatedFacts) == ring.open(told.facts, StatedFacts)
        assert ring.open(found.card, Card).follow_code == ring.open(told.card, Card).follow_code
    writers = set()
    for table in ("file", "subject", "fact"):
        query = f"SELECT DISTINCT CAST(xmin AS text) FROM {table} WHERE file_id = :id"  # noqa: S608
        writers |= {row.xmin for row in await files.desk.rows(query, id=event.file_id)}
    query = "SELECT CAST(xmin AS text) FROM outbox WHERE subject = :id"
    assert {await files.desk.value(query, id=event.record_id)} == writers
    for subject in event.subjects:
        (entry,) = await files.desk.logged(subject.subject_id)
        assert (entry["action"], entry["case"]) == ("assert-facts", str(event.record_id))
        assert "actor" not in entry


async def test_what_is_stored_can_be_read_with_the_subjects_key_alone(files, person, fact) -> None:
    await files.taken(person("110101194803070028", fact("health.chronic-illness"), fact("wish.legal-aid")))
    for table in await files.desk.counts():
        for row in await files.desk.rows(f"SELECT CAST(t AS text) FROM {table} t"):  # noqa: S608
            for secret in ("110101194803070028", "王秀英", "13800001111", "AAAA-BBBB", "chronic", "legal-aid"):
                assert secret not in row[0]
                assert secret.encode().hex() not in row[0]


async def test_the_same_paper_is_the_same_person_in_another_household(files, person) -> None:
    number = uuid4().hex
    one, other = await files.taken(person(number)), await files.taken(person(number), person())
    mentioned, housemate = await files.persons(other)
    assert await files.persons(one) == [mentioned]
    assert housemate not in (None, mentioned)


async def test_a_paper_of_another_kind_with_that_number_is_somebody_else(files, person) -> None:
    number = uuid4().hex
    event = await files.taken(person(number), person(number, kind="household-book"))
    assert len(set(await files.persons(event))) == 2


async def test_who_shows_no_paper_is_a_person_of_their_own_each_time(files, person) -> None:
    event = await files.taken(person(None), person(None))
    again = await files.taken(person(None), person(None), file_id=event.file_id)
    found = [*await files.persons(event), *await files.persons(again)]
    assert len(set(found)) == 4
    assert None not in found


async def test_somebody_mentioned_twice_in_one_record_is_one_person(files, person) -> None:
    number = uuid4().hex
    event = await files.taken(person(number), person(None), person(number))
    first, nameless, third = await files.persons(event)
    assert first == third != nameless


async def test_dwellings_and_places_are_nobody(files, dwelling) -> None:
    assert await files.persons(await files.taken(dwelling())) == [None]


async def test_no_person_is_left_over(files, person) -> None:
    number = uuid4().hex
    for _ in range(3):
        await files.taken(person(number), person(None))
    orphans = "SELECT count(*) FROM person p WHERE NOT EXISTS (SELECT 1 FROM subject s WHERE s.person_id = p.person_id)"
    assert await files.desk.value(orphans) == 0


async def test_each_record_of_a_household_is_a_version_of_its_file(files, person, dwelling, fact) -> None:
    event = await files.taken(person("1"), dwelling(fact("dwelling.gas-hose", "expired")))
    same = event.subjects[1].subject_id
    for _ in range(3):
        await files.taken(dwelling(fact("dwelling.gas-hose", "sound"), same=same), file_id=event.file_id)
    assert [one.file_version for one in await files.published(event.file_id)] == [1, 2, 3, 4]
    assert await files.desk.value("SELECT version FROM file WHERE file_id = :id", id=event.file_id) == 4


async def test_records_of_one_household_at_once_are_versions_without_a_gap(files, person) -> None:
    first = await files.taken(person())
    events = [await files.event(person(), file_id=first.file_id) for _ in range(8)]
    await asyncio.gather(*map(files.take, events))
    assert [one.file_version for one in await files.published(first.file_id)] == list(range(1, 10))


async def test_households_with_the_same_people_at_once_do_not_wait_in_a_ring(files, person) -> None:
    numbers = [uuid4().hex for _ in range(12)]
    rng = random.Random(5)
    events = [await files.event(*(person(number) for number in rng.sample(numbers, len(numbers)))) for _ in range(10)]
    outcomes = await asyncio.gather(*map(files.take, events), return_exceptions=True)
    assert [one for one in outcomes if one is not None and not is_conflict(one)] == []
    assert outcomes == [None] * len(events)
    assert len({frozenset(await files.persons(event)) for event in events}) == 1


async def test_a_fact_told_again_with_its_id_stays_one_fact(files, dwelling, fact) -> None:
    hose = fact("dwelling.gas-hose", "expired")
    event = await files.taken(dwelling(hose))
    same = event.subjects[0].subject_id
    await files.taken(dwelling(hose, same=same), file_id=event.file_id)
    (subject,) = (await files.look(event.file_id)).body["subjects"]
    assert [one["file_version"] for one in subject["facts"]] == [1]


async def test_a_fact_id_that_another_household_used_takes_nothing_away(files, dwelling, fact) -> None:
    hose = fact("dwelling.gas-hose", "expired")
    for event in (await files.taken(dwelling(hose)), await files.taken(dwelling(hose))):
        (subject,) = (await files.look(event.file_id)).body["subjects"]
        assert [one["fact_id"] for one in subject["facts"]] == [str(hose.fact_id)]


async def test_an_erased_subject_is_passed_over_and_the_rest_goes_on(files, person, dwelling, fact) -> None:
    event = await files.event(person("1", fact("living.alone")), dwelling(fact("dwelling.gas-hose", "expired")))
    await files.desk.vault.destroy(event.subjects[0].subject_id)
    await files.take(event)
    (asserted,) = await files.published(event.file_id)
    assert [subject.kind for subject in asserted.subjects] == [SubjectKind.DWELLING]


async def test_a_record_of_erased_subjects_alone_leaves_nothing(files, person) -> None:
    event = await files.event(person())
    await files.desk.vault.destroy(event.subjects[0].subject_id)
    await files.take(event)
    assert await files.published(event.file_id) == []
    assert await files.desk.rows("SELECT 1 FROM file WHERE file_id = :id", id=event.file_id) == []


async def test_the_golden_message_is_taken_by_the_handler(files) -> None:
    hold_golden_keys(files.desk.vault)
    received = golden("intake.visit-recorded.v1").received
    handle = handlers(files.desk.vault)[VisitRecorded]
    async with files.desk.database.transaction() as session:
        await handle(session, received)
    assert len(await files.published(received.event.file_id)) == 1


@pytest.fixture
async def known(files, person, dwelling, fact):
    """A file with a fact of each kind of provenance."""
    seen = fact("dwelling.gas-hose", "expired", said_by=SaidBy.COLLECTOR_SAW, legal_basis=LegalBasis.PUBLIC_SAFETY)
    return await files.taken(person("42", fact("living.alone")), dwelling(seen))


async def test_a_file_shows_who_said_what_in_which_record_on_which_basis_until_when(files, known) -> None:
    shown = (await files.look(known.file_id)).body
    assert (shown["file_id"], shown["version"]) == (str(known.file_id), 1)
    facts = {fact["code"]: fact for subject in shown["subjects"] for fact in subject["facts"]}
    alone, hose = facts["living.alone"], facts["dwelling.gas-hose"]
    assert (alone["said_by"], alone["legal_basis"]) == ("person", "consent")
    assert (hose["said_by"], hose["legal_basis"], hose["value"]) == ("collector-saw", "public-safety", "expired")
    for one in (alone, hose):
        assert (one["record_id"], one["file_version"]) == (str(known.record_id), 1)
        kept = datetime.fromisoformat(one["refresh_by"]) - datetime.fromisoformat(one["since"])
        assert kept == timedelta(days=730)
    assert "AAAA-BBBB" not in str(shown)


async def test_a_fact_whose_time_is_over_is_shown_no_more(files, person, fact) -> None:
    ago = datetime.now(UTC) - timedelta(days=365, seconds=5)
    over = fact("living.alone", since=ago, until=datetime.now(UTC) - timedelta(seconds=1))
    wish, stays = fact("wish.legal-aid", since=ago), fact("work.seeking", since=ago)
    event = await files.taken(person("1", over, wish, stays))
    (subject,) = (await files.look(event.file_id)).body["subjects"]
    assert [one["code"] for one in subject["facts"]] == ["work.seeking"]


async def test_every_look_is_logged_for_every_subject_before_the_first_byte(files, known) -> None:
    await files.look(known.file_id, purpose="follow-up")
    for subject in known.subjects:
        entry = (await files.desk.logged(subject.subject_id))[-1]
        assert (entry["action"], entry["actor"], entry["purpose"]) == ("read-file", "reviewer-1", "follow-up")
        assert entry["policies"]


async def test_who_has_no_business_here_sees_nothing(files, known, refused) -> None:
    who, purpose, status = refused
    answer = await files.look(known.file_id, who, purpose)
    assert answer.status == status
    assert "王秀英" not in answer.raw.decode()
    subjects = [one.subject_id for one in known.subjects]
    assert await files.desk.unlogged(answer, who, "read-file", known.file_id, *subjects) == []
    for subject in subjects:
        logged = await files.desk.logged(subject)
        assert ("read-file", "done") not in {(one["action"], one["outcome"]) for one in logged}


async def test_another_stations_file_is_answered_to_the_byte_like_none_and_each_try_is_logged(files, known) -> None:
    answers, before = [], await files.desk.counts()
    for file_id in (known.file_id, uuid4()):
        answers.append(await files.look(file_id, "reviewer-elsewhere"))
    assert answers[0] == answers[1]
    assert await files.desk.counts() == {**before, "outbox": before["outbox"] + 2}


async def test_an_erased_person_is_left_out_of_the_file(files, known) -> None:
    await files.desk.vault.destroy(known.subjects[0].subject_id)
    answer = await files.look(known.file_id)
    assert answer.status == 200
    assert [UUID(one["subject_id"]) for one in answer.body["subjects"]] == [known.subjects[1].subject_id]
