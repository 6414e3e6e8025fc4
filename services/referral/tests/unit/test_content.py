"""The projection: a department sees its own fields and kinds of fact, and nothing beside them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from doorstep.contracts.codes import Barred, Department, LegalBasis, SafeChannel, SaidBy, Urgency
from doorstep.contracts.facts import CATALOGUE, Fact, Value
from doorstep.contracts.feeds import FEEDS, Offer
from doorstep.contracts.intake import Card, SafeContact
from doorstep.contracts.needs import NEED_TYPES, Need
from doorstep.referral.domain.content import Content, project, terms
from doorstep.referral.domain.deadlines import DueTimes

NOW = datetime(2026, 3, 2, tzinfo=UTC)
DUE = DueTimes(NOW + timedelta(hours=1), NOW + timedelta(days=3), provisional=False)
CARD = Card(
    name="王秀英",
    document_kind="resident-id",
    document_number="110101194803070028",
    phone="13800138000",
    address="和平里三区 5 号楼 2 单元 301",
    description="5 号楼 2 单元楼道",
    follow_code="secret-code",
)


def everything(need_type: str = "legal-aid", urgency: Urgency = Urgency.DAY) -> Content:
    """A content with every field of the card and every fact of the catalogue."""
    facts = tuple(
        Fact(
            fact_id=uuid4(),
            code=code,
            value={Value.YES_NO: True, Value.COUNT: 3}.get(kind.value) or kind.choices[0],
            said_by=SaidBy.PERSON,
            legal_basis=LegalBasis.STATUTORY_DUTY,
            since=NOW,
        )
        for code, kind in CATALOGUE.items()
    )
    need = Need(need_type=need_type, urgency=urgency, wanted=True, rule="rule-1", facts=())
    return Content(need=need, card=CARD, facts=facts)


@pytest.mark.parametrize("department", list(Department))
def test_a_department_sees_its_own_fields_alone(department: Department) -> None:
    offer = project(department, everything(), ref=uuid4(), subject_ref=uuid4(), due=DUE)
    shown = {
        field for field in ("name", "phone", "address", "place", "document_number") if getattr(offer, field) is not None
    }
    assert shown == FEEDS[department].fields - {"safe_contact", "barred"}
    assert {CATALOGUE[fact.code].kind for fact in offer.facts} == FEEDS[department].fact_kinds
    assert "secret-code" not in offer.model_dump_json()


@pytest.mark.parametrize("code", sorted(NEED_TYPES))
def test_terms_are_the_published_ones(code: str) -> None:
    published = NEED_TYPES[code]
    found = terms(everything(code))
    assert found.response_hours == published.respond_hours
    assert (found.completion_days, found.confidential) == (published.complete_days, published.confidential)


def test_a_rule_can_hurry_a_need() -> None:
    assert terms(everything("legal-aid", Urgency.ONE_HOUR)).response_hours == 1


def test_an_unknown_need_is_handled_with_care() -> None:
    found = terms(everything("a-need-of-tomorrow"))
    assert found.confidential
    assert found.legal_basis is LegalBasis.STATUTORY_DUTY


SAFE = SafeContact(
    channel=SafeChannel.MESSAGE, number="16900001234", hours_from="09:00", hours_to="11:00", cover="图书馆还书"
)


def offered(need_type: str, department: Department = Department.JUSTICE, **card: Any) -> Offer:
    content = everything(need_type)
    content = content.model_copy(update={"card": content.card.model_copy(update=card)})
    return project(department, content, ref=uuid4(), subject_ref=uuid4(), due=DUE)


@pytest.mark.parametrize("department", list(Department))
def test_protection_from_violence_bars_what_brings_together_with_others_whoever_gets_it(department: Department) -> None:
    offer = offered("protection-from-violence", department)
    assert offer.barred == (Barred.MEDIATION, Barred.JOINT_CONFERENCE, Barred.HOME_VISIT)
    assert offer.phone is None  # whoever is at home may answer it


def test_what_the_person_asks_for_is_not_barred() -> None:
    offer = offered("protection-from-violence", asks_for=(Barred.HOME_VISIT,))
    assert offer.barred == (Barred.MEDIATION, Barred.JOINT_CONFERENCE)


def test_a_confidential_request_travels_with_the_safe_contact_and_without_the_phone_at_home() -> None:
    for need_type in ("protection-from-violence", "legal-aid"):
        offer = offered(need_type, safe_contact=SAFE)
        assert (offer.safe_contact, offer.phone) == (SAFE, None)
    assert offered("legal-aid").phone == CARD.phone
    assert offered("legal-aid").barred is None


def test_what_is_not_confidential_goes_without_the_safe_contact() -> None:
    offer = offered("mediation", safe_contact=SAFE)
    assert (offer.safe_contact, offer.phone, offer.barred) == (None, CARD.phone, None)


def test_who_learns_no_name_learns_no_safe_contact() -> None:
    for department in (Department.FIRE, Department.HOUSING):
        assert offered("legal-aid", department, safe_contact=SAFE).safe_contact is None
