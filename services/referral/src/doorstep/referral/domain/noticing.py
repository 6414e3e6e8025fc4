"""Notices to residents: of which changes of a request, how they are reached, and the words, which say nothing.

Invariants: a notice has no content, no link, no need, no department; whoever named a safe contact is reached by that
alone, inside its hours and with its cover; what is confidential reaches nobody otherwise; a number that two people of a
household gave is nobody's own, and is not used; whoever is under fourteen gets none (their guardian will).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum

from doorstep.contracts.codes import BusinessStatus, NoticeChannel, Reason, SafeChannel, TaskState
from doorstep.contracts.intake import Card, SafeContact
from doorstep.referral.domain.content import Content, terms
from doorstep.referral.domain.deadlines import SHANGHAI
from doorstep.referral.domain.states import FINAL, Party

OWN_AGE = 14
"""From this age on a person is told themselves (PIPL, article 31)."""
ATTEMPTS = 8
"""So often a notice is tried; then it is a dead letter."""
FIRST_WAIT = 60.0
"""Seconds until a notice that could not be sent is tried again; doubled each time, an hour at the longest."""
STALE = timedelta(days=3)
"""A notice that nobody could send for so long is withheld: news of last week, sent at once with all other, is none."""

_DAY = ("08:00", "21:00")  # nobody is woken by a notice
_WAITS = frozenset({Reason.PAPERS_MISSING, Reason.WAITING_FOR_RESIDENT})
_TOLD = frozenset({BusinessStatus.APPOINTMENT_SCHEDULED, BusinessStatus.WAITING_FOR_RESIDENT})
_DATED = frozenset({"resident-id", "residence-permit", "permanent-residence"})
_NUMBER, _BORN = 18, slice(6, 14)


class Template(StrEnum):
    """A text as it was approved. `cover` says what the person wants it to say, and nothing of the station."""

    PROGRESS = "doorstep-progress"
    COVER = "doorstep-cover"


TEXTS: dict[Template, tuple[str, str]] = {
    Template.PROGRESS: (
        "您在服务站登记的事项有新进展，可凭回执查询码查询或到服务站询问。工作人员不会向您索要验证码或钱款。",
        "There is news of what you left with the service station; look with the code on your receipt, or ask at the"
        " station. Staff never ask you for codes or money.",
    ),
    Template.COVER: ("{cover}", "{cover}"),
}


class Withheld(StrEnum):
    """Why nobody is told."""

    DECLINED = "declined"
    NO_SAFE_CHANNEL = "no-safe-channel"
    NO_CHANNEL = "no-channel"
    SHARED_NUMBER = "shared-number"
    GUARDIAN = "guardian"
    NO_SENDER = "no-sender"


@dataclass(frozen=True, slots=True)
class Change:
    """One step of a task, as its history has it."""

    from_state: TaskState
    to_state: TaskState
    party: str
    business_status: BusinessStatus | None = None
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Reach:
    """How somebody is told: by what, under which number (or, on paper, name), with which words, in which hours."""

    channel: NoticeChannel
    to: str
    template: Template
    zh: str
    en: str
    hours: tuple[str, str]


def is_told(change: Change) -> bool:
    """Whether the resident would want to know: accepted, an appointment, something to bring, an end by others.

    What they did themselves they know; a step that waits for somebody's word is none yet.
    """
    if change.party == Party.RESIDENT:
        return False
    if change.business_status in _TOLD or change.reason in _WAITS:
        return True
    moved = change.to_state is not change.from_state
    ended = change.to_state in FINAL and change.to_state is not TaskState.ENTERED_IN_ERROR
    return moved and (ended or change.to_state is TaskState.ACCEPTED)


def reach(content: Content, choice: NoticeChannel | None, members: Iterable[Card], today: date) -> Reach | Withheld:
    """How the person of this request is told of it; `members` are the cards of others of the same file.

    A safe contact comes before what was chosen later by the code, which may lie on the kitchen table, but for no.
    """
    card = content.card
    if choice is NoticeChannel.NONE:
        return Withheld.DECLINED
    if _is_under_age(card, today):
        return Withheld.GUARDIAN
    if card.safe_contact is not None:
        return _safely(card.safe_contact)
    if terms(content).confidential:
        return Withheld.NO_SAFE_CHANNEL
    if choice is NoticeChannel.PAPER and card.name is not None:
        return _progress(choice, card.name)
    if card.phone is None:
        return Withheld.NO_CHANNEL
    if card.phone_shared or any(one.phone == card.phone and not _same_person(one, card) for one in members):
        return Withheld.SHARED_NUMBER
    return _progress(choice or NoticeChannel.SMS, card.phone)


def inside(now: datetime, hours: tuple[str, str]) -> datetime:
    """`now` if it is within these hours of local time, which may run over midnight; else when they next begin."""
    begins, ends = (time.fromisoformat(one) for one in hours)
    local = now.astimezone(SHANGHAI)
    clock = local.time().replace(tzinfo=None)
    within = begins <= clock < ends if begins < ends else clock >= begins or clock < ends
    if within:
        return now
    day = local.date() + timedelta(days=clock >= begins)
    return datetime.combine(day, begins, SHANGHAI).astimezone(now.tzinfo)


def _safely(contact: SafeContact) -> Reach | Withheld:
    if contact.number is None or contact.channel not in (
        SafeChannel.PHONE, SafeChannel.MESSAGE, SafeChannel.TRUSTED_PERSON,
    ):  # fmt: skip
        return Withheld.NO_SAFE_CHANNEL
    channel = NoticeChannel.VOICE if contact.channel == SafeChannel.PHONE else NoticeChannel.SMS
    zh, en = (text.format(cover=contact.cover) for text in TEXTS[Template.COVER])
    return Reach(channel, contact.number, Template.COVER, zh, en, (contact.hours_from, contact.hours_to))


def _progress(channel: NoticeChannel, to: str) -> Reach:
    return Reach(channel, to, Template.PROGRESS, *TEXTS[Template.PROGRESS], _DAY)


def _same_person(one: Card, another: Card) -> bool:
    """Whether two cards are one person's, by their papers, else by name: somebody may be in several records."""
    if one.document_number is not None and another.document_number is not None:
        return one.document_number == another.document_number
    return one.name is not None and one.name == another.name


def _is_under_age(card: Card, today: date) -> bool:
    """Whether the paper says that the person is under fourteen."""
    if card.document_kind not in _DATED or card.document_number is None or len(card.document_number) != _NUMBER:
        return False
    try:
        born = date.fromisoformat(card.document_number[_BORN])
    except ValueError:
        return False
    return (today.year - born.year) - ((today.month, today.day) < (born.month, born.day)) < OWN_AGE
