"""Which office takes a need, by a directory, and why each of the others does not.

Invariants: the same directory, need and load give the same office; a fact that the request does not carry is never a
no; being closed refuses nothing and only yields, where an hour is all there is, to who is open; nor does
it to speak another language than the person, which only yields to who speaks theirs; without any office that takes the
need it is the station's queue that has it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from doorstep.contracts.facts import CATALOGUE, FactValue
from doorstep.referral.domain.directory import Directory, Office

SPOKEN = CATALOGUE["access.language"].choices
"""What can be stated of a person's language."""


class WhyNot(StrEnum):
    """Why an office is not the one."""

    NEED_TYPE = "need-type"
    AREA = "area"
    CONDITION = "condition"
    NOT_NOW = "not-now"
    FULL = "full"
    CLOSED = "closed"
    LANGUAGE = "language"
    MORE_LOAD = "more-load"
    LATER_IN_ORDER = "later-in-order"


_HANDED_OVER = frozenset({WhyNot.NOT_NOW, WhyNot.FULL})


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of the directory: a need with those facts that its request carries, from a station, at a time.

    A need is `urgent` whose first response is owed within an hour; `language` is what was stated of access.language.
    """

    need_type: str
    station: str
    at: datetime
    urgent: bool = False
    facts: Mapping[str, FactValue] = field(default_factory=dict)
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Considered:
    """An office that was looked at; without `why_not` it is the chosen one, handed over by `instead_of` if any."""

    office: Office
    why_not: WhyNot | None
    fact: str | None = None
    instead_of: UUID | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen office, None for the station's queue, and all that were considered."""

    office: Office | None
    considered: tuple[Considered, ...]


def choose(directory: Directory, asked: Asked, load: Mapping[UUID, int]) -> Choice:
    """Choose the office for a need; `load` is the number of open requests by office.

    Of those who take it: who is open if an hour is all there is, then who speaks the person's language, then the least
    load, then the order of ids.
    """
    refused = {one.id: _refusal(one, asked, load) for one in directory.offices}
    takers: dict[UUID, UUID | None] = {one: None for one, (why_not, _) in refused.items() if why_not is None}
    for one in directory.offices:
        if refused[one.id][0] in _HANDED_OVER:
            taker = _taker(directory, one, asked, load)
            if taker is not None:
                takers.setdefault(taker, one.id)
    candidates = sorted(
        filter(lambda one: one.id in takers, directory.offices), key=lambda one: _order(one, asked, load)
    )
    chosen = candidates[0] if candidates else None
    considered = []
    for one in directory.offices:
        why_not, fact = refused[one.id]
        if chosen is not None and one.id in takers:
            why_not, fact = _behind(one, chosen, asked, load), None
        considered.append(Considered(one, why_not, fact, takers.get(one.id)))
    return Choice(chosen, tuple(considered))


def _refusal(
    office: Office, asked: Asked, load: Mapping[UUID, int], *, anywhere: bool = False
) -> tuple[WhyNot | None, str | None]:
    """Why this office does not take the need, and the fact on account of which; `anywhere` asks for no area."""
    if asked.need_type not in office.need_types:
        return WhyNot.NEED_TYPE, None
    if not anywhere and office.stations is not None and asked.station not in office.stations:
        return WhyNot.AREA, None
    for condition in office.conditions:
        if condition.holds(asked.facts) is False:
            return WhyNot.CONDITION, condition.fact
    if not office.takes:
        return WhyNot.NOT_NOW, None
    if office.capacity is not None and load.get(office.id, 0) >= office.capacity:
        return WhyNot.FULL, None
    return None, None


def _taker(directory: Directory, office: Office, asked: Asked, load: Mapping[UUID, int]) -> UUID | None:
    """Who takes over, along the line of those to whom it is handed; a circle, which is never read, would end it."""
    seen, here = {office.id}, office
    while here.hands_to is not None and here.hands_to not in seen:
        follower = directory.office(here.hands_to)
        if follower is None:
            return None
        why_not, _ = _refusal(follower, asked, load, anywhere=True)
        if why_not is None:
            return follower.id
        if why_not not in _HANDED_OVER:
            return None
        seen.add(follower.id)
        here = follower
    return None


def _order(office: Office, asked: Asked, load: Mapping[UUID, int]) -> tuple[bool, bool, int, UUID]:
    closed = asked.urgent and not office.is_open(asked.at)
    return closed, not office.speaks(asked.language), load.get(office.id, 0), office.id


def _behind(office: Office, chosen: Office, asked: Asked, load: Mapping[UUID, int]) -> WhyNot | None:
    """Why another who takes it too was chosen."""
    if office.id == chosen.id:
        return None
    reasons = (WhyNot.CLOSED, WhyNot.LANGUAGE, WhyNot.MORE_LOAD)
    for mine, theirs, why_not in zip(_order(office, asked, load), _order(chosen, asked, load), reasons, strict=False):
        if mine != theirs:
            return why_not
    return WhyNot.LATER_IN_ORDER
