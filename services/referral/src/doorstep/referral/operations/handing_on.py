"""Handing on: the station finds a department for a task that waits for one, or came back rejected."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, LegalBasis, TaskState
from doorstep.contracts.referral import TaskTransitioned, TransitionDetail
from doorstep.kit import intents, outbox
from doorstep.kit.vault import KeyRing, Vault, hold_erasing
from doorstep.referral import queries
from doorstep.referral.columns import Detail, seal_detail, seal_part_need
from doorstep.referral.domain.content import terms
from doorstep.referral.domain.deadlines import DueTimes
from doorstep.referral.domain.routing import Assignment, hand_on
from doorstep.referral.domain.states import Party
from doorstep.referral.errors import NothingToRoute
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.offices import office_index, offices
from doorstep.referral.operations.opening import Opening, Origin, announce_opened, offer
from doorstep.referral.operations.silence import is_silent, take_back
from doorstep.referral.operations.tasks import Moved, content_of, named, seen_by
from doorstep.referral.queries import TaskRow

_HAND_ON = text(
    """
    WITH handed AS (
        INSERT INTO task (
            task_id, request_id, sequence, department, ref, state, business_status, version, assigned, opened_at,
            respond_by, complete_by, provisional, office_index, part, part_need, part_index, part_basis
        )
        VALUES (
            :task_id, :request_id, :sequence, :department, :ref, 'requested', :business_status, :version, :assigned,
            :opened_at, :respond_by, :complete_by, :provisional, :office_index, :part, :part_need,
            (SELECT part_index FROM task WHERE task_id = :before),
            (SELECT part_basis FROM task WHERE task_id = :before)
        )
        ON CONFLICT (task_id) DO UPDATE SET department = excluded.department, ref = excluded.ref, state = 'requested',
            version = excluded.version, assigned = excluded.assigned, opened_at = excluded.opened_at,
            respond_by = excluded.respond_by, office_index = excluded.office_index
        RETURNING task_id
    )
    INSERT INTO task_transition (task_id, version, from_state, to_state, at, party, person, detail)
    SELECT task_id, :version, 'draft', 'requested', :opened_at, :party, :person, :detail FROM handed
    """
)


@dataclass(frozen=True, slots=True)
class Route:
    """To whom the caller wants to hand a request, or a part of it, on, why, and the version that they saw."""

    department: str
    version: int
    arbiter: bool
    note: str | None = None
    part: int | None = None


async def hand_on_request(
    session: AsyncSession,
    *,
    vault: Vault,
    access: Access,
    station: str,
    request_id: UUID,
    route: Route,
    now: datetime,
) -> Moved:
    """Hand a waiting or rejected request, or such a part of it, to a department, as a task of its own.

    Also one that its department did not answer in time: it is taken back. The first response is owed anew; the
    completion stays due when it was, whoever had the request meanwhile.
    Raises RequestUnknown, VersionStale, PartUnnamed, PartUnknown, NotOverdue or a RouteRefused.
    """
    await hold_erasing(session)
    found = await queries.lock_station_tasks(session, station, request_id)
    task = await seen_by(session, vault, access, found, route.version, route.part)
    silent = is_silent(task, route.department, now)
    rejected_by = await queries.rejections(session, task)
    assignment = hand_on(task.state, route.department, rejected_by, route.arbiter, silent)
    if await queries.is_continued(session, request_id):
        raise NothingToRoute(state=task.state.value)
    ring = await vault.ring([task.subject_id])
    if silent:
        task = await take_back(session, ring, access, task, now)
    opening = _opening(vault, ring, task, assignment, now)
    choosing = await offices(session, vault)
    office = choosing.within(assignment.department, opening.content, task.station, now)
    opening = replace(opening, office=office)
    await _write(session, vault, ring, task, opening, assignment, access, route.note)
    _announce(session, vault, ring, task, opening, assignment)
    intents.record(session, ring, _intent(task, access), principal=access.principal)
    status = opening.business_status
    return Moved(request_id, opening.ref, TaskState.REQUESTED, task.version + 1, status, None, task.part)


def _opening(vault: Vault, ring: KeyRing, task: TaskRow, assignment: Assignment, now: datetime) -> Opening:
    """The request as the department is to get it: a draft keeps its task, a rejected one gets another."""
    content = content_of(ring, task)
    task_id = task.task_id if task.state is TaskState.DRAFT else uuid4()
    return Opening(
        request_id=task.request_id,
        task_id=task_id,
        need_id=task.need_id,
        origin=Origin(task.record_id, task.file_id, task.station),
        subject_id=task.subject_id,
        content=content,
        legal_basis=LegalBasis(task.legal_basis),
        department=assignment.department,
        ref=vault.pairwise(assignment.department, task_id),
        opened_at=now,
        due=DueTimes(now + timedelta(hours=terms(content).response_hours), task.complete_by, task.provisional),
        business_status=task.business_status if task.state is TaskState.DRAFT else None,
        continues=task.continues,
        hotline_due_by=task.hotline_due_by,
    )


async def _write(
    session: AsyncSession,
    vault: Vault,
    ring: KeyRing,
    task: TaskRow,
    opening: Opening,
    assignment: Assignment,
    access: Access,
    note: str | None,
) -> None:
    version = task.version + 1
    await session.execute(
        _HAND_ON,
        {
            "task_id": opening.task_id,
            "request_id": task.request_id,
            "sequence": task.sequence if opening.task_id == task.task_id else task.sequence + 1,
            "department": assignment.department,
            "ref": opening.ref,
            "business_status": opening.business_status,
            "version": version,
            "assigned": assignment.binding,
            "opened_at": opening.opened_at,
            "respond_by": opening.due.response,
            "complete_by": opening.due.completion,
            "provisional": opening.due.provisional,
            "office_index": office_index(vault, opening.office),
            "before": task.task_id,
            "part": task.part,
            "part_need": _need(ring, task, opening),
            "party": Party.STATION.value,
            "person": access.principal.subject,
            "detail": seal_detail(ring, task.subject_id, opening.task_id, version, Detail(note=note)),
        },
    )


def _need(ring: KeyRing, task: TaskRow, opening: Opening) -> bytes | None:
    if task.part_need is None:
        return None
    return seal_part_need(ring, task.subject_id, opening.task_id, opening.content.need.need_type)


def _announce(
    session: AsyncSession, vault: Vault, ring: KeyRing, task: TaskRow, opening: Opening, assignment: Assignment
) -> None:
    """A request that waited for its first department opens only now; another gets one more task."""
    if task.state is TaskState.DRAFT:
        announce_opened(session, ring, opening, assignment.department)
    else:
        event = TaskTransitioned(
            request_id=task.request_id,
            task_id=opening.task_id,
            record_id=task.record_id,
            file_id=task.file_id,
            subject_id=task.subject_id,
            from_state=TaskState.DRAFT,
            to_state=TaskState.REQUESTED,
            version=task.version + 1,
            at=opening.opened_at,
            part=named(task.part),
            detail=ring.seal(
                task.subject_id,
                TransitionDetail(
                    department=assignment.department,
                    need_type=None if task.part_need is None else opening.content.need.need_type,
                    reserved=opening.content.reserved or None,
                ),
            ),
        )
        outbox.add(session, event, key=task.file_id, subject=task.subject_id)
    if opening.ref is not None:
        offer(session, vault, ring, opening, assignment.department, opening.ref)


def _intent(task: TaskRow, access: Access) -> intents.Intent:
    return intents.Intent(
        Action.TRANSITION_TASK,
        [task.subject_id],
        purpose=access.purpose,
        legal_basis=LegalBasis(task.legal_basis),
        case=task.request_id,
        outcome=TaskState.REQUESTED,
        record=task.record_id,
        policies=access.policies,
    )
