"""What is sent and answered at a department's inbox: pages, bulk steps, handlers and deputies."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from pydantic import UUID7, AwareDatetime, Field, StrictInt, model_validator

from doorstep.contracts.codes import BusinessStatus, TaskState, Urgency
from doorstep.contracts.needs import NEED_TYPES
from doorstep.kit.auth import Principal
from doorstep.referral.domain.deadlines import Late, due_now, whole_minute
from doorstep.referral.operations.handling import Deputy, Member
from doorstep.referral.operations.inbox import Inbox
from doorstep.referral.operations.reading import Shown
from doorstep.referral.schemas import Answer, Body

MOST = 50
LONGEST_SPAN = timedelta(days=92)

Officer = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")]
"""An officer by the id in their token, which is random and names nobody."""


class SeenRequest(Body):
    """A request and the version that was seen of it."""

    ref: UUID
    version: Annotated[StrictInt, Field(ge=1, le=999_999_999)]


class AcceptancesBody(Body):
    """Requests that are accepted at once."""

    id: UUID7
    requests: Annotated[tuple[SeenRequest, ...], Field(min_length=1, max_length=MOST)]

    @model_validator(mode="after")
    def _each_once(self) -> "AcceptancesBody":
        if len({one.ref for one in self.requests}) != len(self.requests):
            raise ValueError("同一请求只能出现一次", "a request stands here once")
        return self


class HandlerBody(Body):
    """Who works on a request from now on; nobody where it is null."""

    id: UUID7
    handler: Officer | None


class ReassignmentsBody(Body):
    """All open requests of `officer` go to `handler`, or back to nobody."""

    id: UUID7
    officer: Officer
    handler: Officer | None


class DeputyBody(Body):
    """`deputy` stands in for the caller, or for `officer`, from `since` until `until`."""

    id: UUID7
    deputy: Officer
    since: AwareDatetime
    until: AwareDatetime
    officer: Officer | None = None

    @model_validator(mode="after")
    def _a_span(self) -> "DeputyBody":
        if not timedelta() < self.until - self.since <= LONGEST_SPAN:
            raise ValueError("起止时间须先后有序，最长 92 天", "since comes before until, by at most 92 days")
        return self


class EndBody(Body):
    """The end of a deputy's time."""

    id: UUID7


class Accepted(Answer):
    """What became of one request: its new state and version, or the code of the refusal."""

    ref: UUID
    state: TaskState | None = None
    version: int | None = None
    refused: str | None = None


class Acceptances(Answer):
    """What became of each request, in the order in which they were sent."""

    requests: tuple[Accepted, ...]


class HandlerAnswer(Answer):
    """Who works on a request now."""

    ref: UUID
    handler: Officer | None = None


class ReassignmentsAnswer(Answer):
    """How many requests were given to somebody else, and whether some are left to ask about again."""

    given: int
    more: bool


class DeputyView(Answer):
    """Who stands in for whom."""

    deputy_id: UUID
    officer: str
    deputy: str
    since: datetime
    until: datetime


class Deputies(Answer):
    """Who stands in for whom, now or later, as far as the caller is told."""

    deputies: tuple[DeputyView, ...]


class InboxOffice(Answer):
    """An office of the department."""

    id: UUID
    name: str


class InboxOfficer(Answer):
    """Somebody who can be given requests."""

    officer: str
    office: str | None = None
    heads: bool = False


class InboxRow(Answer):
    """A request in the inbox, without a name or a place; `zh` and `en` name the need, `due` is what is owed next."""

    ref: UUID
    need_type: str
    zh: str
    en: str
    urgency: Urgency
    state: TaskState
    version: int
    business_status: BusinessStatus | None = None
    opened_at: datetime
    due: datetime | None = None
    late: Late
    overdue: bool
    assigned: bool
    office: UUID | None = None
    handler: str | None = None


class InboxCounts(Answer):
    """How many open requests the caller may see."""

    states: dict[str, int]
    late: int
    mine: int
    nobodys: int


class InboxPage(Answer):
    """A page of the inbox; `next` is what to send as `after` for more. Officers are told to the head of the office."""

    requests: tuple[InboxRow, ...]
    next: UUID | None = None
    counts: InboxCounts
    offices: tuple[InboxOffice, ...]
    me: str
    heads: bool
    standing_in: tuple[str, ...]
    officers: tuple[InboxOfficer, ...] = ()


def inbox_page(found: Inbox, me: Principal, officers: Iterable[Member]) -> InboxPage:
    """A page as it is answered."""
    counts = found.counts
    return InboxPage(
        requests=tuple(_row(*one) for one in found.rows if one[0].offer is not None),
        next=found.next,
        counts=InboxCounts(
            states={str(state): count for state, count in counts.states.items()},
            late=counts.late,
            mine=counts.mine,
            nobodys=counts.free,
        ),
        offices=tuple(InboxOffice(id=own, name=name) for own, name in found.offices),
        me=me.subject,
        heads=me.heads,
        standing_in=tuple(found.standing_in),
        officers=tuple(InboxOfficer(officer=one.person, office=one.office, heads=one.heads) for one in officers),
    )


def _row(shown: Shown, handler: str | None) -> InboxRow:
    task, offer = shown.task, shown.offer
    assert offer is not None  # noqa: S101 — left out by inbox_page
    known = NEED_TYPES.get(offer.need_type)
    due = due_now(task.state, shown.clock.due)
    return InboxRow(
        ref=offer.ref,
        need_type=offer.need_type,
        zh=offer.need_type if known is None else known.zh,
        en=offer.need_type if known is None else known.en,
        urgency=offer.urgency,
        state=task.state,
        version=task.version,
        business_status=task.business_status,
        opened_at=whole_minute(task.opened_at),
        due=None if due is None else whole_minute(due),
        late=shown.clock.late,
        overdue=shown.clock.overdue,
        assigned=task.assigned,
        office=offer.office,
        handler=handler,
    )


def deputies_view(found: Iterable[Deputy]) -> Deputies:
    """Deputies as they are answered."""
    return Deputies(
        deputies=tuple(
            DeputyView(
                deputy_id=one.deputy_id, officer=one.officer, deputy=one.deputy, since=one.since, until=one.until
            )
            for one in found
        )
    )


def kept(told: Acceptances) -> dict[str, str]:
    """An answer as it is kept for a command that comes again: flat, so that erasing finds each request in it."""
    found = {}
    for number, one in enumerate(told.requests):
        found[f"{number}"] = str(one.ref)
        found[f"{number}.is"] = f"{one.refused or ''} {one.state or ''} {one.version or ''}"
    return found


def told_again(found: Mapping[str, str]) -> Acceptances:
    """The answer that was kept."""
    told = []
    for number in range(len(found) // 2):
        refused, state, version = found[f"{number}.is"].split(" ")
        is_now = {"state": TaskState(state), "version": int(version)} if state else {"refused": refused}
        told.append(Accepted.model_validate({"ref": found[f"{number}"], **is_now}))
    return Acceptances(requests=tuple(told))
