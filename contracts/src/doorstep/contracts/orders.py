"""Orders of the 12345 hotline: their codes, what a hotline may order, and what intake publishes of one that it took."""

from datetime import timedelta
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from pydantic import AwareDatetime

from doorstep.contracts.codes import OPEN_DEPARTMENTS
from doorstep.contracts.envelope import Contract, Event
from doorstep.contracts.facts import FactValue
from doorstep.contracts.needs import MENU, NEED_TYPES, wish_for
from doorstep.contracts.sealed import Sealed

ORDER_NUMBER = r"^[A-Za-z0-9](?:[A-Za-z0-9-]{2,38})[A-Za-z0-9]$"
"""The hotline's own number of an order: letters, digits and hyphens, 4 to 40 of them."""
RETURN_WORKING_DAYS = 1
"""Within so many working days after its receipt an order that is not the station's can be returned."""
MOST_EXTENSIONS = 2
"""So often another due time is asked for."""
LONGEST_TERM = timedelta(days=366)
"""No order is due later than this after its call."""

_AT_HOME: dict[str, tuple[str, FactValue]] = {
    "no-heating": ("dwelling.heating", "none"),
    "gas-leak": ("dwelling.gas-smell", True),
    "gas-hose-replacement": ("dwelling.gas-hose", "expired"),
    "wiring-repair": ("dwelling.wiring", "unsafe"),
    "e-bike-charging": ("dwelling.e-bike-charging", True),
    "structure-danger": ("dwelling.structure", "danger"),
    "stairwell-charging": ("place.e-bike-charging", True),
    "blocked-exit": ("place.exit-blocked", True),
}
ORDERED: dict[str, tuple[str, FactValue]] = {one.code: (wish_for(one.code), True) for one in MENU} | _AT_HOME
"""The need types that an order names, with the fact that its caller states by it. What is asked only alone is none."""


class ReturnReason(StrEnum):
    """Why the station returns an order (退单)."""

    OTHER_DISTRICT = "other-district"
    OTHER_AUTHORITY = "other-authority"
    NOT_A_SERVICE = "not-a-service"


class ExtensionReason(StrEnum):
    """Why more time is asked for (延期)."""

    WORK_ON_SITE = "work-on-site"
    PAPERS_AWAITED = "papers-awaited"
    RESIDENT_AWAY = "resident-away"
    WAITS_FOR_ANOTHER = "waits-for-another"
    WEATHER = "weather"


class CallBack(StrEnum):
    """What the hotline heard when it called its caller back (回访)."""

    SATISFIED = "satisfied"
    NOT_SATISFIED = "not-satisfied"
    NOT_REACHED = "not-reached"


class OrderNews(StrEnum):
    """What a hotline is told of its order, and nothing besides."""

    RECEIVED = "received"
    ANSWERED = "answered-to-caller"
    ACCEPTED = "accepted"
    DONE = "done"
    ENDED = "ended"
    REOPENED = "reopened"
    RETURNED = "returned"
    EXTENSION_ASKED = "extension-asked"


def is_withheld(need_type: str) -> bool:
    """Whether of an order that names this need type its hotline is told nothing but that it was received and answered.

    So it is of what concerns violence, legal aid or health, and of what this version does not know.
    """
    known = NEED_TYPES.get(need_type)
    return known is None or known.confidential or known.guarded or known.department not in OPEN_DEPARTMENTS


class OrderDetail(Contract):
    """What an order says beside its record.

    `person` is a keyed index of the caller's paper and phone, in hex, if both are known; what is withheld has none.

    `area` is the code of the division (GB/T 2260, or its extension to streets and communities).
    """

    number: str
    need_types: tuple[str, ...]
    area: str
    person: str | None = None


class OrderTaken(Event):
    """A hotline's order was taken as a record; `order_id` is random, and its receipt. What was said is in no event."""

    event_type: ClassVar[str] = "intake.order-taken.v1"

    order_id: UUID
    record_id: UUID
    file_id: UUID
    subject_id: UUID
    station: str
    called_at: AwareDatetime
    received_at: AwareDatetime
    due_by: AwareDatetime
    detail: Sealed[OrderDetail]
