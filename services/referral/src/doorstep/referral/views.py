"""From what was read to what is answered."""

from collections.abc import Iterable
from typing import Any

from doorstep.contracts.codes import Department, Reason, TaskState
from doorstep.referral.domain.deadlines import whole_minute
from doorstep.referral.domain.keys import KeyState, WithdrawnFor
from doorstep.referral.operations.endpoints import Endpoint
from doorstep.referral.operations.pulling import FeedPage
from doorstep.referral.operations.reading import Page, Said, Shown
from doorstep.referral.operations.tasks import Moved
from doorstep.referral.queries import KeyRow
from doorstep.referral.schemas import (
    DeadWebhook,
    DepartmentRequest,
    DepartmentRequests,
    EndpointView,
    FeedEvent,
    FeedMessages,
    KeyView,
    KeyViews,
    ProposalView,
    StationRequest,
    StationRequests,
    StationTask,
    StationTransitionAnswer,
    TransitionAnswer,
    TransitionView,
)


def department_request(shown: Shown) -> DepartmentRequest:
    """A request in the projection of its department."""
    if shown.offer is None:
        raise ValueError("not a department's")
    seen = _task(shown)
    times = {name: whole_minute(seen[name]) for name in ("opened_at", "respond_by", "complete_by")}
    history = tuple(one.model_copy(update={"at": whole_minute(one.at)}) for one in seen["history"])
    own = {**seen, **times, "history": history, "other_parts": shown.others}
    hotline = shown.task.hotline_due_by is not None
    return DepartmentRequest(ref=shown.offer.ref, offer=shown.offer, hotline=hotline, **own)


def department_requests(page: Page) -> DepartmentRequests:
    """A page of a department's requests."""
    return DepartmentRequests(requests=tuple(department_request(shown) for shown in page.shown), next=page.next)


def station_requests(found: Iterable[Shown]) -> StationRequests:
    """Tasks, which come ordered by request, as requests."""
    requests: dict[Any, list[Shown]] = {}
    for shown in found:
        requests.setdefault(shown.task.request_id, []).append(shown)
    return StationRequests(requests=tuple(_station_request(tasks) for tasks in requests.values()))


def transition_answer(moved: Moved) -> TransitionAnswer:
    """What a department is answered."""
    if moved.ref is None:
        raise ValueError("not a department's")
    return TransitionAnswer(
        ref=moved.ref,
        state=moved.state,
        version=moved.version,
        business_status=moved.business_status,
        proposed=moved.proposed,
    )


def station_transition_answer(moved: Moved) -> StationTransitionAnswer:
    """What the station is answered."""
    return StationTransitionAnswer(
        request_id=moved.request_id,
        part=moved.part,
        state=moved.state,
        version=moved.version,
        business_status=moved.business_status,
        proposed=moved.proposed,
    )


def _station_request(tasks: list[Shown]) -> StationRequest:
    first = tasks[0]
    return StationRequest(
        request_id=first.task.request_id,
        record_id=first.task.record_id,
        need_id=first.task.need_id,
        need_type=first.need.need_type,
        wanted=first.need.wanted,
        confidential=first.task.confidential,
        continues=first.task.continues,
        parts=first.task.parts,
        tasks=tuple(
            StationTask(
                department=None if shown.task.department is None else Department(shown.task.department),
                part=shown.task.part,
                need_type=shown.part_need,
                hotline_due_by=shown.task.hotline_due_by and whole_minute(shown.task.hotline_due_by),
                **_task(shown),
            )
            for shown in tasks
        ),
    )


def _task(shown: Shown) -> dict[str, Any]:
    """The fields of a TaskView."""
    proposal = shown.proposal
    return {
        "state": shown.task.state,
        "version": shown.task.version,
        "business_status": shown.task.business_status,
        "proposal": proposal
        and ProposalView(
            to=proposal.to, by=proposal.party, reason=Reason(proposal.reason) if proposal.reason else None
        ),
        "assigned": shown.task.assigned,
        "legal_basis": shown.task.legal_basis,
        "opened_at": shown.task.opened_at,
        "respond_by": shown.clock.due.response,
        "complete_by": shown.clock.due.completion,
        "provisional": shown.clock.due.provisional,
        "overdue": shown.clock.overdue,
        "late": shown.clock.late,
        "closed_at": shown.task.closed_at,
        "history": tuple(_transition(said) for said in shown.history),
    }


def _transition(said: Said) -> TransitionView:
    return TransitionView(
        version=said.row.version,
        from_state=None if said.row.from_state is None else TaskState(said.row.from_state),
        to_state=TaskState(said.row.to_state),
        at=said.row.at,
        by=said.row.party,
        **said.detail.model_dump(),
    )


def keys(found: Iterable[tuple[KeyRow, KeyState]]) -> KeyViews:
    """A department's keys with their dates."""
    return KeyViews(
        keys=tuple(
            KeyView(
                kid=key.kid,
                state=state,
                x=key.jwk["x"],
                registered_at=key.registered_at,
                use_from=key.since,
                withdrawn_at=key.withdrawn_at,
                withdrawn_for=None if key.withdrawn_for is None else WithdrawnFor(key.withdrawn_for),
            )
            for key, state in found
        )
    )


def feed_messages(page: FeedPage) -> FeedMessages:
    """A page of a feed."""
    events = tuple(FeedEvent.model_validate(message) for message in page.messages)
    return FeedMessages(messages=events, next=page.next, more=page.more)


def endpoint(found: Endpoint) -> EndpointView:
    """A department's endpoint, without its secret."""
    dead = tuple(DeadWebhook(id=one.id, status=one.status, died_at=one.died_at) for one in found.dead_letters)
    return EndpointView(
        url=found.url,
        state=found.state,
        registered_at=found.registered_at,
        waiting=found.waiting,
        failures=found.failures,
        failing_since=found.failing_since,
        last_status=found.last_status,
        next_attempt_at=found.next_attempt_at,
        dead_letters=dead,
    )
