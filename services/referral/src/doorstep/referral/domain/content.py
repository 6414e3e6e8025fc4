"""What a request is about, and what of it one department may see."""

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from doorstep.contracts.codes import Barred, Department, LegalBasis, Urgency
from doorstep.contracts.envelope import Contract
from doorstep.contracts.facts import CATALOGUE, Fact
from doorstep.contracts.feeds import FEEDS, Offer, OfferedFact
from doorstep.contracts.intake import Card
from doorstep.contracts.needs import NEED_TYPES, Need, is_reserved
from doorstep.referral.domain.deadlines import DueTimes, whole_minute

#: Clock hours until the first response, by urgency.
RESPONSE_HOURS = {Urgency.ONE_HOUR: 1, Urgency.DAY: 24}

#: Working days for a need type that is not published here (yet).
UNKNOWN_NEED_DAYS = 7

_BY_STATION = "station"


class Content(Contract):
    """All that is known of a request: the need, its subject's card, and those facts alone that its rule read."""

    need: Need
    card: Card
    facts: tuple[Fact, ...]
    part_of: str | None = None
    """Of a part: the need type of the whole request. It is never sealed."""

    @property
    def reserved(self) -> bool:
        """Whether it is shown on no page."""
        return any(is_reserved(one, self.card.safe_contact) for one in (self.need.need_type, self.part_of or ""))

    def part(self, need_type: str) -> "Content":
        """What a part of this need type carries: the card, and of the facts that a rule read its wish alone."""
        known = NEED_TYPES.get(need_type)
        urgency = Urgency.DAY if known is None else known.urgency
        need = Need(need_type=need_type, urgency=urgency, wanted=False, rule=_BY_STATION, facts=())
        wishes = tuple(fact for fact in self.facts if fact.code == f"wish.{need_type}")
        return self.model_copy(update={"need": need, "facts": wishes, "part_of": self.need.need_type})


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a need is handed on; of an unknown type the careful ones."""

    response_hours: int
    completion_days: int
    confidential: bool
    legal_basis: LegalBasis
    guarded: bool = False


def terms(content: Content) -> Terms:
    """The terms of this need; a part is as confidential, and as guarded, as the whole."""
    on = _terms(content)
    if content.part_of is None:
        return on
    whole = NEED_TYPES.get(content.part_of)
    if whole is None:
        return replace(on, confidential=True)
    return replace(on, confidential=on.confidential or whole.confidential, guarded=on.guarded or whole.guarded)


def _terms(content: Content) -> Terms:
    need_type = NEED_TYPES.get(content.need.need_type)
    hours = RESPONSE_HOURS[content.need.urgency]
    if need_type is None:
        stated = content.facts[0].legal_basis if content.facts else LegalBasis.CONSENT
        return Terms(hours, UNKNOWN_NEED_DAYS, confidential=True, legal_basis=stated)
    return Terms(
        min(hours, need_type.respond_hours),
        need_type.complete_days,
        need_type.confidential,
        need_type.legal_basis,
        need_type.guarded,
    )


def project(
    department: Department,
    content: Content,
    *,
    ref: UUID,
    subject_ref: UUID,
    due: DueTimes,
    office: UUID | None = None,
) -> Offer:
    """The request as this department may see it; `ref` and `subject_ref` are its own pairwise ids, `office` is its own.

    The phone at home, which somebody else may answer, is in none that is guarded or has a safe contact.
    """
    feed, on, card = FEEDS[department], terms(content), content.card
    safely = card.safe_contact if on.confidential else None
    fields: dict[str, Any] = {
        "name": card.name,
        "phone": None if on.guarded or safely is not None else card.phone,
        "address": card.address,
        "place": card.description,
        "document_number": card.document_number,
        "safe_contact": safely,
        "barred": _barred(card) if on.guarded else None,
    }
    return Offer(
        ref=ref,
        subject_ref=subject_ref,
        need_type=content.need.need_type,
        urgency=content.need.urgency,
        respond_by=whole_minute(due.response),
        complete_by=whole_minute(due.completion),
        office=office,
        facts=tuple(
            OfferedFact(code=fact.code, value=fact.value)
            for fact in content.facts
            if fact.code in CATALOGUE and CATALOGUE[fact.code].kind in feed.fact_kinds
        ),
        **{field: value for field, value in fields.items() if field in feed.fields},
    )


def _barred(card: Card) -> tuple[Barred, ...]:
    return tuple(one for one in Barred if one not in (card.asks_for or ()))
