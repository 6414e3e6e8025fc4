"""Appointments: when and where a department and a resident meet, by a code that tells nothing of the matter.

An appointment is said by a step of the task and kept in its history: the newest holds, those before were moved. What
became of it is the next step's business status. A missed one has no consequence of its own: whatever follows is a
step that a human takes.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import AwareDatetime

from doorstep.contracts.codes import Barred, BusinessStatus, SafeChannel
from doorstep.contracts.envelope import Contract
from doorstep.referral.domain.content import Content, terms
from doorstep.referral.domain.states import WORKING, Standing, contradicts
from doorstep.referral.errors import (
    AppointmentAhead,
    NoSuchTransition,
    PlaceBarred,
    StatusContradicts,
    WindowRefused,
)

LONGEST = timedelta(hours=8)
FURTHEST = timedelta(days=180)

#: What a step says that tells what became of an appointment.
ATTENDANCE = frozenset({BusinessStatus.ATTENDED, BusinessStatus.NOT_ATTENDED})


class Place(StrEnum):
    """Where they meet."""

    OFFICE = "office"
    AT_HOME = "at-home"
    BY_PHONE = "by-phone"


class Appointment(Contract):
    """A window of time, and a place."""

    starts_at: AwareDatetime
    ends_at: AwareDatetime
    place: Place


def check(appointment: Appointment, content: Content, now: datetime) -> None:
    """Raises WindowRefused, or PlaceBarred where it would endanger the person.

    Protection from violence bars homes unless the person asks for it, and the phone but for a safe one.
    """
    check_window(appointment.starts_at, appointment.ends_at, now)
    if not terms(content).guarded:
        return
    card = content.card
    barred = {
        Place.AT_HOME: Barred.HOME_VISIT not in (card.asks_for or ()),
        Place.BY_PHONE: card.safe_contact is None or card.safe_contact.channel is not SafeChannel.PHONE,
    }
    if barred.get(appointment.place, False):
        raise PlaceBarred(place=appointment.place.value)


def check_window(starts: datetime, ends: datetime, now: datetime) -> None:
    """Raises WindowRefused for a time that is over, empty, too long or too far away."""
    if not now < starts < ends or ends - starts > LONGEST or starts - now > FURTHEST:
        raise WindowRefused


def check_begun(said: Iterable[Appointment | None], now: datetime) -> None:
    """Raises AppointmentAhead if the newest appointment of a history has not begun: nobody can have missed it."""
    newest = next((one for one in reversed(list(said)) if one is not None), None)
    if newest is not None and now < newest.starts_at:
        raise AppointmentAhead


def noted(standing: Standing, status: BusinessStatus) -> Standing:
    """The same state with the status of an appointment that the station made or moved, for the resident or itself.

    Raises NoSuchTransition where no department is at work, and StatusContradicts.
    """
    if standing.state not in WORKING:
        raise NoSuchTransition(source=standing.state.value, to=standing.state.value, party="station")
    if contradicts(standing.state, status):
        raise StatusContradicts(to=standing.state.value, business_status=status)
    return replace(standing, business_status=status)
