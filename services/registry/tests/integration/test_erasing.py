"""Erasing a subject of a file takes two people of the station; then nothing of it is left, and everybody is told."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from uuid_utils.compat import uuid7

from doorstep.contracts.facts import SubjectKind
from doorstep.contracts.registry import SubjectErased
from doorstep.kit.auth import Principal
from doorstep.kit.intents import staff_subject
from doorstep.kit.vault import Vault
from doorstep.registry.operations.files import PAPER

WHY = "resident-request"


class Office:
    """Those who ask for erasures and confirm them."""

    def __init__(self, files: Any) -> None:
        self.files, self.desk = files, files.desk

    async def ask(
        self, file_id: UUID, subject: UUID, *, who: str = "reviewer", erasure: UUID | None = None, why: str | None = WHY
    ) -> Any:
        path = f"/api/files/{file_id}/subjects/{subject}/erasure"
        headers = {} if why is None else {"doorstep_purpose": why}
        return await self.desk.call("POST", path, who, {"id": str(erasure or uuid7())}, **headers)

    async def confirm(self, erasure: UUID, *, who: str = "supervisor", command: UUID | None = None) -> Any:
        path, body = f"/api/erasures/{erasure}/confirmation", {"id": str(command or uuid7())}
        return await self.desk.call("POST", path, who, body, doorstep_purpose=WHY)

    async def erased(self, file_id: UUID, subject: UUID) -> UUID:
        erasure = uuid7()
        assert (await self.ask(file_id, subject, erasure=erasure)).status == 202
        assert (await self.confirm(erasure)).status == 202
        return erasure

    async def kept(self, subject: UUID) -> list[str]:
        """The tables that have a row of the subject."""
        return [
            table
            for table in ("subject", "fact")
            if await self.desk.rows(f"SELECT 1 FROM {table} WHERE subject_id = :id", id=subject)  # noqa: S608
        ]

    async def told(self, file_id: UUID) -> list[SubjectErased]:
        query = "SELECT body FROM outbox WHERE topic = 'registry.erasures' AND key = :key ORDER BY number"
        return [SubjectErased.model_validate_json(bytes(row.body)) for row in await self.desk.rows(query, key=file_id)]

    async def papers(self, number: str) -> int:
        index = self.desk.vault.blind_index(PAPER, f"resident-id:{number}")
        return await self.desk.value("SELECT count(*) FROM person_paper WHERE paper_index = :index", index=index)


@pytest.fixture
def office(files: Any) -> Office:
    return Office(files)


async def test_nothing_happens_until_a_second_person_confirms(files, office, person, dwelling, fact) -> None:
    number = uuid4().hex
    event = await files.taken(person(number, fact("living.alone")), dwelling(fact("dwelling.gas-hose", "expired")))
    gone, stays = (one.subject_id for one in event.subjects)
    erasure = uuid7()
    asked = await office.ask(event.file_id, gone, erasure=erasure)
    assert (asked.status, asked.body["state"], asked.body["erasure_id"]) == (202, "asked", str(erasure))
    assert (await office.kept(gone), await office.told(event.file_id)) == (["subject", "fact"], [])
    confirmed = await office.confirm(erasure)
    assert (confirmed.status, confirmed.body["state"]) == (202, "confirmed")
    assert (await office.kept(gone), await office.kept(stays)) == ([], ["subject", "fact"])
    assert await office.papers(number) == 0
    [told] = await office.told(event.file_id)
    assert (told.subject_id, told.erasure_id) == (gone, erasure)
    shown = (await files.look(event.file_id)).body["subjects"]
    assert [UUID(one["subject_id"]) for one in shown] == [stays]


async def test_both_steps_are_logged_under_the_subject_with_who_took_them(files, office, person) -> None:
    event = await files.taken(person())
    [subject] = event.subjects
    erasure = await office.erased(event.file_id, subject.subject_id)
    logged = [one for one in await files.desk.logged(subject.subject_id) if one["action"] == "erase-subject"]
    assert [(one["outcome"], one["actor"], one["role"], one["purpose"], one["case"]) for one in logged] == [
        ("asked", "reviewer-1", "reviewer", WHY, str(erasure)),
        ("confirmed", "supervisor-1", "supervisor", WHY, str(erasure)),
    ]
    assert all(one["policies"] for one in logged)


async def test_event_rows_and_entry_are_written_by_one_transaction(files, office, person) -> None:
    event = await files.taken(person())
    erasure = await office.erased(event.file_id, event.subjects[0].subject_id)
    query = "SELECT CAST(xmin AS text) FROM erasure WHERE erasure_id = :id"
    confirmed = await files.desk.value(query, id=erasure)
    query = "SELECT DISTINCT CAST(xmin AS text) FROM outbox WHERE topic = 'registry.erasures' AND key = :key"
    assert await files.desk.value(query, key=event.file_id) == confirmed


async def test_each_command_sent_again_is_answered_again_and_done_once(files, office, person) -> None:
    event = await files.taken(person())
    subject, erasure, command = event.subjects[0].subject_id, uuid7(), uuid7()
    asked = [await office.ask(event.file_id, subject, erasure=erasure) for _ in range(2)]
    confirmed = [await office.confirm(erasure, command=command) for _ in range(2)]
    again = await office.ask(event.file_id, subject, erasure=erasure)
    assert asked[0].body == asked[1].body == again.body
    assert confirmed[0].body == confirmed[1].body
    assert len(await office.told(event.file_id)) == 1


async def test_what_is_erased_is_410_for_whoever_asks_or_confirms_once_more(files, office, person) -> None:
    event = await files.taken(person())
    erasure = await office.erased(event.file_id, event.subjects[0].subject_id)
    for answer in (await office.ask(event.file_id, event.subjects[0].subject_id), await office.confirm(erasure)):
        assert (answer.status, answer.body["type"]) == (410, "urn:doorstep:problem:erased")


async def test_of_two_who_confirm_at_once_one_does(files, office, person) -> None:
    event = await files.taken(person())
    erasure = uuid7()
    await office.ask(event.file_id, event.subjects[0].subject_id, erasure=erasure)
    answers = await asyncio.gather(*(office.confirm(erasure) for _ in range(4)))
    assert sorted(one.status for one in answers) == [202, 410, 410, 410]
    assert len(await office.told(event.file_id)) == 1


async def test_who_asked_does_not_confirm_in_whatever_role_and_that_is_logged(files, office, person) -> None:
    event = await files.taken(person())
    subject, erasure = event.subjects[0].subject_id, uuid7()
    await office.ask(event.file_id, subject, erasure=erasure)
    caller = files.desk.service.authenticator
    same = Principal("reviewer-1", "supervisor", "station", "station-7")

    class Promoted:
        async def verify(self, token: str) -> Principal:
            return same

    files.desk.service.authenticator = Promoted()
    try:
        answer = await office.confirm(erasure)
    finally:
        files.desk.service.authenticator = caller
    assert (answer.status, answer.body["type"]) == (403, "urn:doorstep:problem:second-person-must-confirm")
    assert await office.kept(subject) == ["subject"]
    [refusal] = await files.desk.refusals(subject)
    assert (refusal["action"], refusal["outcome"]) == ("erase-subject", "refused:second-person-must-confirm")


@pytest.mark.parametrize(
    ("who", "status"),
    [("collector", 403), ("supervisor", 403), ("officer", 403), ("resident", 403), ("police", 403),
     ("reviewer-elsewhere", 404), (None, 401)],
)  # fmt: skip
async def test_who_may_not_ask_changes_nothing_and_it_is_logged(files, office, person, who, status) -> None:
    event = await files.taken(person())
    subject = event.subjects[0].subject_id
    answer = await office.ask(event.file_id, subject, who=who)
    assert answer.status == status
    assert len(await files.desk.refusals(subject)) == (0 if status == 401 else 1)
    assert await files.desk.rows("SELECT 1 FROM erasure WHERE subject_id = :id", id=subject) == []


@pytest.mark.parametrize("who", ["collector", "reviewer", "officer", "police"])
async def test_who_may_not_confirm_changes_nothing(files, office, person, who) -> None:
    event = await files.taken(person())
    subject, erasure = event.subjects[0].subject_id, uuid7()
    await office.ask(event.file_id, subject, erasure=erasure)
    assert (await office.confirm(erasure, who=who)).status == 403
    assert await office.kept(subject) == ["subject"]


@pytest.mark.parametrize(("why", "status"), [(None, 403), ("curiosity", 403), ("triage", 403), ("audit", 403)])
async def test_another_purpose_than_the_residents_wish_is_refused(files, office, person, why, status) -> None:
    event = await files.taken(person())
    assert (await office.ask(event.file_id, event.subjects[0].subject_id, why=why)).status == status


async def test_what_is_not_there_or_not_anybodys_own_is_one_clear_error(files, office, person) -> None:
    event = await files.taken(person())
    place = replace(person(None), kind=SubjectKind.PLACE, card={"description": "楼道"})
    with_place = await files.taken(place)
    subject = event.subjects[0].subject_id
    answers = {
        "file-unknown": await office.ask(uuid4(), subject),
        "subject-unknown": await office.ask(event.file_id, uuid4()),
        "erasure-unknown": await office.confirm(uuid4()),
        "place-stays": await office.ask(with_place.file_id, with_place.subjects[0].subject_id),
    }
    assert {answer.body["type"].rpartition(":")[2] for answer in answers.values()} == set(answers)
    await office.ask(event.file_id, subject)
    answer = await office.ask(event.file_id, subject)
    assert (answer.status, answer.body["type"]) == (409, "urn:doorstep:problem:erasure-asked")


@pytest.mark.parametrize("body", [b"", b"{", {}, {"id": "x"}, {"id": str(uuid4())}, {"id": str(uuid7()), "more": 1}])
async def test_a_body_that_is_none_is_told_where(files, office, person, body) -> None:
    event = await files.taken(person())
    path = f"/api/files/{event.file_id}/subjects/{event.subjects[0].subject_id}/erasure"
    for address, who in ((path, "reviewer"), (f"/api/erasures/{uuid4()}/confirmation", "supervisor")):
        answer = await files.desk.call("POST", address, who, body, doorstep_purpose=WHY)
        assert answer.status in (400, 422)


async def test_the_id_of_anothers_command_is_refused(files, office, person) -> None:
    event = await files.taken(person(), person())
    erasure = uuid7()
    await office.ask(event.file_id, event.subjects[0].subject_id, erasure=erasure)
    answer = await office.ask(event.file_id, event.subjects[1].subject_id, erasure=erasure)
    assert (answer.status, answer.body["type"]) == (409, "urn:doorstep:problem:id-reused")


async def test_the_index_of_a_paper_goes_with_the_last_mention_of_its_person(files, office, person) -> None:
    number = uuid4().hex
    one, other = await files.taken(person(number)), await files.taken(person(number))
    await office.erased(one.file_id, one.subjects[0].subject_id)
    assert await office.papers(number) == 1
    assert await files.persons(await files.taken(person(number))) == await files.persons(other)
    for event in (other,):
        await office.erased(event.file_id, event.subjects[0].subject_id)
    assert await office.papers(number) == 1  # the third one's
    orphans = "SELECT count(*) FROM person p WHERE NOT EXISTS (SELECT 1 FROM subject s WHERE s.person_id = p.person_id)"
    assert await files.desk.value(orphans) == 0


async def test_a_person_found_while_another_mention_is_erased_keeps_the_paper(files, office, person) -> None:
    for _ in range(5):
        number = uuid4().hex
        one, later = await files.taken(person(number)), await files.event(person(number))
        await asyncio.gather(office.erased(one.file_id, one.subjects[0].subject_id), files.take(later))
        assert await office.papers(number) == 1
        assert await files.persons(await files.taken(person(number))) == await files.persons(later)


async def test_what_comes_late_of_an_erased_dwelling_is_not_stored(files, office, dwelling, fact) -> None:
    event = await files.taken(dwelling(fact("dwelling.gas-hose", "expired")))
    same = event.subjects[0].subject_id
    late = await files.event(dwelling(fact("dwelling.gas-hose", "sound"), same=same), file_id=event.file_id)
    await office.erased(event.file_id, same)
    await files.take(late)  # before its key is destroyed
    assert await office.kept(same) == []


async def test_erasures_name_staff_by_pseudonym_alone(files, office, person) -> None:
    event = await files.taken(person())
    await office.erased(event.file_id, event.subjects[0].subject_id)
    shown = str(await files.desk.rows("SELECT CAST(e AS text) FROM erasure e"))
    vault: Vault = files.desk.vault
    staff = staff_subject(vault, Principal("reviewer-1", "reviewer", "station"))
    for name in ("reviewer-1", "supervisor-1", str(staff)):
        assert name not in shown


async def test_who_took_a_record_of_the_file_neither_asks_for_an_erasure_nor_confirms_one(office, files, person):
    event = await files.event(person())
    own = {who: files.desk.vault.pairwise("staff", f"{who}-1") for who in ("reviewer", "supervisor")}
    await files.take(event.model_copy(update={"recorded_by": own["reviewer"]}))
    subject = event.subjects[0].subject_id
    asked = await office.ask(event.file_id, subject)
    assert (asked.status, asked.body["type"]) == (403, "urn:doorstep:problem:own-record")
    other = await files.event(person())
    await files.take(other.model_copy(update={"recorded_by": own["supervisor"]}))
    erasure = uuid7()
    assert (await office.ask(other.file_id, other.subjects[0].subject_id, erasure=erasure)).status == 202
    assert (await office.confirm(erasure)).body["type"] == "urn:doorstep:problem:own-record"
    assert await office.kept(other.subjects[0].subject_id) == ["subject"]
