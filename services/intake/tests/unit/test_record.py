"""What a record may state: each flaw is named by its place, and nothing of its content is repeated."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from doorstep.contracts.codes import Channel, LegalBasis, SaidBy
from doorstep.contracts.facts import ASKED_ALONE, CATALOGUE, Fact, FactType, SubjectKind, Value
from doorstep.contracts.intake import Card
from doorstep.intake.domain.record import AHEAD, Record, Subject, flaws, with_shared_numbers
from doorstep.intake.schemas import RecordBody
from doorstep.local.records import demonstration, draw_records

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
ONLY_ALONE = {code for code, entry in CATALOGUE.items() if entry.alone}
CARDS = {
    SubjectKind.PERSON: Card(name="王秀英"),
    SubjectKind.DWELLING: Card(address="幸福里3号楼502室"),
    SubjectKind.PLACE: Card(description="3号楼楼道"),
}


def fitting(entry: FactType) -> bool | int | str:
    return {Value.YES_NO: True, Value.CODE: entry.choices[0] if entry.choices else "", Value.COUNT: 3}[entry.value]


def fact(code: str, value: Any = None, **more: Any) -> Fact:
    entry = CATALOGUE.get(code, CATALOGUE["living.alone"])
    given = {
        "fact_id": uuid4(),
        "code": code,
        "value": fitting(entry) if value is None else value,
        "said_by": SaidBy.PERSON,
        "legal_basis": LegalBasis.CONSENT,
        "since": NOW,
    }
    return Fact(**(given | more))


def subject(kind: SubjectKind, *facts: Fact, card: Card | None = None, identifier: UUID | None = None) -> Subject:
    alone = [fact(ASKED_ALONE)] if any(one.code in ONLY_ALONE for one in facts) else []
    return Subject(identifier or uuid4(), kind, card or CARDS[kind], (*facts, *alone))


def record(*subjects: Subject, visited_at: datetime = NOW) -> Record:
    return Record(uuid4(), uuid4(), False, Channel.VISIT, visited_at, subjects)


def places(*subjects: Subject, visited_at: datetime = NOW) -> list[str]:
    found = flaws(record(*subjects, visited_at=visited_at), now=NOW)
    assert all(flaw.zh and flaw.en for flaw in found)
    return ["/".join(map(str, flaw.path)) for flaw in found]


@pytest.mark.parametrize("code", CATALOGUE)
def test_every_fact_of_the_catalogue_can_be_stated_of_its_subject(code: str) -> None:
    assert places(subject(CATALOGUE[code].subject, fact(code))) == []


@pytest.mark.parametrize("code", CATALOGUE)
def test_no_fact_can_be_stated_of_another_kind_of_subject(code: str) -> None:
    for kind in set(SubjectKind) - {CATALOGUE[code].subject}:
        assert "subjects/0/facts/0/code" in places(subject(kind, fact(code)))


@pytest.mark.parametrize("code", CATALOGUE)
@pytest.mark.parametrize("said_by", SaidBy)
def test_only_who_may_say_a_fact_says_it_and_no_collector_speaks_for_a_department(code: str, said_by: SaidBy) -> None:
    allowed = said_by in CATALOGUE[code].said_by and said_by is not SaidBy.DEPARTMENT
    found = places(subject(CATALOGUE[code].subject, fact(code, said_by=said_by)))
    assert (found == []) is allowed
    assert set(found) <= {"subjects/0/facts/0/said_by"}


def test_what_a_collector_saw_applies_to_dwellings_and_places_alone() -> None:
    seen = {entry.subject for entry in CATALOGUE.values() if SaidBy.COLLECTOR_SAW in entry.said_by}
    assert seen == {SubjectKind.DWELLING, SubjectKind.PLACE}


@given(st.sampled_from(sorted(CATALOGUE)), st.booleans() | st.integers() | st.text(max_size=20))
def test_a_value_is_of_its_type_or_named(code: str, value: bool | int | str) -> None:
    entry = CATALOGUE[code]
    found = places(subject(entry.subject, fact(code, value)))
    assert found == ([] if entry.accepts(value) else ["subjects/0/facts/0/value"])


@given(st.sampled_from(sorted(CATALOGUE)), st.booleans() | st.integers() | st.text(min_size=3, max_size=20))
def test_what_was_written_is_not_repeated(code: str, value: bool | int | str) -> None:
    entry = CATALOGUE[code]
    for flaw in flaws(record(subject(entry.subject, fact(code, value))), now=NOW):
        assert str(value) not in flaw.zh + flaw.en or str(value) in ("True", "False") or len(str(value)) < 3


def test_a_code_outside_the_catalogue_is_named_alone() -> None:
    assert places(subject(SubjectKind.PERSON, fact("religion", value="x"))) == ["subjects/0/facts/0/code"]


def test_a_phone_may_be_five_minutes_ahead_and_no_more() -> None:
    later = NOW + AHEAD
    assert places(subject(SubjectKind.PERSON, fact("living.alone", since=later)), visited_at=later) == []
    later += timedelta(microseconds=1)
    assert places(subject(SubjectKind.PERSON, fact("living.alone", since=later)), visited_at=later) == [
        "visited_at",
        "subjects/0/facts/0/since",
    ]


def test_a_fact_ends_after_it_began() -> None:
    assert places(subject(SubjectKind.PERSON, fact("living.alone", until=NOW))) == ["subjects/0/facts/0/until"]
    later = NOW + timedelta(seconds=1)
    assert places(subject(SubjectKind.PERSON, fact("living.alone", until=later))) == []


@pytest.mark.parametrize("kind", SubjectKind)
def test_each_kind_of_subject_has_its_own_fields(kind: SubjectKind) -> None:
    for other in set(SubjectKind) - {kind}:
        found = places(subject(kind, card=CARDS[other]))
        assert len(found) == 2
        assert found[1] == f"subjects/0/{next(iter(CARDS[kind].model_dump(exclude_none=True)))}"


@pytest.mark.parametrize(
    ("card", "found"),
    [
        ({"document_kind": "passport"}, ["subjects/0/document_number"]),
        ({"document_number": "E1234567"}, ["subjects/0/document_number"]),
        ({"document_kind": "none"}, []),
        ({"document_kind": "passport", "document_number": "E1234567"}, []),
        ({}, []),
    ],
)
def test_a_paper_has_kind_and_number_or_is_none(card: dict[str, str], found: list[str]) -> None:
    assert places(subject(SubjectKind.PERSON, card=Card(name="王秀英", **card))) == found


def test_nothing_stands_twice() -> None:
    one, twice = fact("living.alone"), uuid4()
    same_id = fact("work.seeking").model_copy(update={"fact_id": one.fact_id})
    assert places(
        subject(SubjectKind.PERSON, one, fact("living.alone"), identifier=twice),
        subject(SubjectKind.PERSON, same_id, identifier=twice),
    ) == ["subjects/1/subject_id", "subjects/1/facts/0/fact_id", "subjects/0/facts/1/code"]


def test_a_record_is_of_one_dwelling() -> None:
    assert places(subject(SubjectKind.DWELLING), subject(SubjectKind.DWELLING)) == ["subjects"]


def test_a_body_becomes_the_record_that_was_written() -> None:
    body = demonstration(7, now=NOW)
    found = RecordBody.model_validate(body).record()
    assert (str(found.record_id), found.continues, len(found.people)) == (body["record_id"], False, 1)
    assert flaws(found, now=NOW) == []
    assert RecordBody.model_validate({**body, "household": "known"}).record().continues


def test_a_time_is_kept_in_utc_whatever_its_offset() -> None:
    body = {**demonstration(7, now=NOW), "visited_at": "2026-11-21T18:00:00.5+08:00"}
    kept = RecordBody.model_validate(body).visited_at
    assert (kept, kept.utcoffset()) == (datetime(2026, 11, 21, 10, 0, 0, 500_000, tzinfo=UTC), timedelta(0))


def changed(body: dict[str, Any], change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    change(body)
    return body


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.update(visited_at="0001-01-01T00:00:00+14:00"),
        lambda body: body.update(visited_at="9999-12-31T23:59:59-12:00"),
        lambda body: body.update(visited_at="2026-11-21"),
        lambda body: body.update(visited_at="2026-11-21T10:00:00"),
        lambda body: body.update(visited_at=1_700_000_000),
        lambda body: body.update(visited_at="1700000000"),
        lambda body: body.update(record_id=str(uuid4())),
        lambda body: body.update(file_id=str(UUID(int=0))),
        lambda body: body.update(subjects=[]),
        lambda body: body.update(subjects=body["subjects"] * 20),
        lambda body: body["subjects"][0].update(subject_id=str(UUID(int=0))),
        lambda body: body["subjects"][0].update(name="  "),
        lambda body: body["subjects"][0].update(name="王\u0000秀英"),
        lambda body: body["subjects"][0].update(name="王\ud800"),
        lambda body: body["subjects"][0].update(name="王\u202e"),
        lambda body: body["subjects"][0].update(name="王" * 201),
        lambda body: body["subjects"][0].update(phone="１３８１２３４５６７８"),
        lambda body: body["subjects"][0].update(favourite="tea"),
        lambda body: body["subjects"][0]["facts"][0].update(value=1.0),
        lambda body: body["subjects"][0]["facts"][0].update(value=None),
        lambda body: body["subjects"][0]["facts"][0].update(value=["x"]),
        lambda body: body["subjects"][0]["facts"][0].pop("since"),
    ],
)
def test_a_body_of_another_shape_is_refused(change: Callable[[dict[str, Any]], Any]) -> None:
    with pytest.raises(ValidationError):
        RecordBody.model_validate(changed(demonstration(7, now=NOW), change))


def test_drawn_records_have_no_flaw() -> None:
    for body in draw_records(11, 30, now=NOW):
        assert flaws(RecordBody.model_validate(body).record(), now=NOW) == []


def test_a_number_that_several_persons_gave_is_marked_on_each_of_them_and_on_nobody_else() -> None:
    numbers = ("13800138000", "13900139000", "13800138000", None, None)
    people = tuple(subject(SubjectKind.PERSON, card=Card(name="王", phone=number)) for number in numbers)
    made = Record(uuid4(), uuid4(), False, Channel.VISIT, NOW, (*people, subject(SubjectKind.DWELLING)))
    marked = with_shared_numbers(made)
    assert [one.card.phone_shared for one in marked.subjects] == [True, None, True, None, None, None]
    assert [one.card.model_copy(update={"phone_shared": None}) for one in marked.subjects] == [
        one.card for one in made.subjects
    ]
