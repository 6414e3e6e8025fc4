"""What is asked only alone, and how somebody is reached without danger: refused where the record does not say so."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from doorstep.contracts.codes import Barred, Channel, LegalBasis, SafeChannel, SaidBy
from doorstep.contracts.facts import ASKED_ALONE, CATALOGUE, Fact, FactKind, SubjectKind
from doorstep.contracts.intake import Card, SafeContact
from doorstep.contracts.needs import NEED_TYPES
from doorstep.intake.domain.record import Record, Subject, flaws
from doorstep.intake.schemas import SubjectBody

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
WISH = "wish.protection-from-violence"
SAFE = SafeContact(
    channel=SafeChannel.PHONE, number="16900001234", hours_from="22:00", hours_to="06:30", cover="图书馆还书"
)


def record(card: dict[str, Any], facts: dict[str, bool], kind: SubjectKind = SubjectKind.PERSON) -> Record:
    stated = tuple(
        Fact(fact_id=uuid4(), code=code, value=value, said_by=SaidBy.PERSON, legal_basis=LegalBasis.CONSENT, since=NOW)
        for code, value in facts.items()
    )
    one = Subject(uuid4(), kind, Card(name="王秀英", **card), stated)
    return Record(uuid4(), uuid4(), False, Channel.VISIT, NOW, (one,))


def places(card: dict[str, Any], facts: dict[str, bool]) -> list[str]:
    return ["/".join(map(str, flaw.path[2:])) for flaw in flaws(record(card, facts), now=NOW)]


@pytest.mark.parametrize("answer", [True, False])
@pytest.mark.parametrize("alone", [{}, {ASKED_ALONE: False}], ids=["unsaid", "not-alone"])
def test_a_wish_for_protection_is_taken_only_where_nobody_else_was_there(alone: dict[str, bool], answer: bool) -> None:
    """Also that somebody does not wish it: that it was asked would tell."""
    assert places({}, {WISH: answer} | alone) == ["facts/0/code"]
    assert places({}, {WISH: answer, ASKED_ALONE: True}) == []


def test_the_error_says_in_both_languages_how_to_state_it() -> None:
    (flaw,) = flaws(record({}, {WISH: True}), now=NOW)
    assert ASKED_ALONE in flaw.zh
    assert ASKED_ALONE in flaw.en


def test_only_the_person_speaks_of_violence_and_no_guardian() -> None:
    alone = [entry for entry in CATALOGUE.values() if entry.alone]
    assert [entry.code for entry in alone] == [WISH]
    assert {said_by for entry in [*alone, CATALOGUE[ASKED_ALONE]] for said_by in entry.said_by} == {SaidBy.PERSON}


def test_what_is_guarded_is_confidential_wanted_within_the_hour_and_no_matter_of_the_police() -> None:
    (need,) = [one for one in NEED_TYPES.values() if one.guarded]
    assert (need.code, need.confidential, need.respond_hours) == ("protection-from-violence", True, 1)
    assert need.department == "justice"


def test_a_safe_contact_is_named_alone_and_is_a_fact_of_contact() -> None:
    assert places({"safe_contact": SAFE}, {}) == ["safe_contact"]
    assert places({"safe_contact": SAFE}, {ASKED_ALONE: True}) == []
    assert record({"safe_contact": SAFE}, {}).kinds == [FactKind.CONTACT]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"number": None}, "safe_contact/number"),
        ({"channel": SafeChannel.AT_STATION}, "safe_contact/number"),
        ({"hours_to": "22:00"}, "safe_contact/hours_to"),
    ],
    ids=["no-number", "number-at-the-station", "no-hours"],
)
def test_a_safe_contact_that_leads_nowhere_is_named(change: dict[str, Any], place: str) -> None:
    assert places({"safe_contact": SAFE.model_copy(update=change)}, {ASKED_ALONE: True}) == [place]


def test_what_is_barred_is_asked_for_with_the_wish_alone() -> None:
    asked = {"asks_for": (Barred.HOME_VISIT,)}
    assert places(asked, {ASKED_ALONE: True}) == ["asks_for"]
    assert places(asked, {ASKED_ALONE: True, WISH: True}) == []


@pytest.mark.parametrize(
    "change",
    [{"hours_from": "24:00"}, {"hours_to": "7:00"}, {"channel": "e-mail"}, {"number": "call me"}, {"cover": " "}],
    ids=lambda change: next(iter(change)),
)
def test_a_malformed_safe_contact_is_refused(change: dict[str, Any]) -> None:
    sent = {"subject_id": str(uuid4()), "kind": "person", "name": "王秀英"}
    good = SAFE.model_dump(mode="json")
    card = SubjectBody.model_validate({**sent, "safe_contact": good}).subject().card
    assert card.safe_contact == SAFE
    with pytest.raises(ValidationError):
        SubjectBody.model_validate({**sent, "safe_contact": good | change})


def test_a_record_without_one_is_written_as_before_so_that_it_is_known_again() -> None:
    """A phone may send a record again after the station was upgraded: its digest has to be the same."""
    written = SubjectBody(subject_id=uuid4(), kind=SubjectKind.PERSON, name="王秀英").model_dump_json()
    assert "safe_contact" not in written
    assert "asks_for" not in written
