"""Adding a part to an open request: another department gets a task of its own, and learns of no other part.

Invariants: its offer has its own need type, its own times and none of the facts that the lead's rule read; two who add
at once are told of each other by how many parts there are; what no department could be told of is not added.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, Department, LegalBasis, Purpose, TaskState
from doorstep.contracts.referral import TaskTransitioned, TransitionDetail
from doorstep.kit import calendar, intents, outbox
from doorstep.kit.db import run
from doorstep.kit.vault import KeyRing, Vault, hold_erasing
from doorstep.referral import queries
from doorstep.referral.columns import Detail, open_content, seal_detail, seal_part_need
from doorstep.referral.domain.content import terms
from doorstep.referral.domain.deadlines import due_times
from doorstep.referral.domain.parts import LEAD, Held, Whole, may_add
from doorstep.referral.domain.states import Party
from doorstep.referral.errors import NothingOpen, RequestUnknown, VersionStale
from doorstep.referral.operations.access import Access, open_to
from doorstep.referral.operations.counting import need_index
from doorstep.referral.operations.offices import office_index, offices
from doorstep.referral.operations.opening import Opening, Origin, offer
from doorstep.referral.queries import NEWER, TaskRow

_REJECTED_BY = "SELECT DISTINCT department FROM task WHERE request_id = :request_id AND state = 'rejected'"
_ADD = """
    WITH counted AS (
        UPDATE request SET parts = :part WHERE request_id = :request_id
    ), added AS (
        INSERT INTO task (
            task_id, request_id, sequence, department, ref, state, version, opened_at, respond_by, complete_by,
            provisional, office_index, part, part_need, part_index, part_basis
        )
        VALUES (
            :task_id, :request_id, 1, :department, :ref, 'requested', 1, :opened_at, :respond_by, :complete_by,
            :provisional, :office_index, :part, :part_need, :part_index, :part_basis
        )
        RETURNING task_id
    )
    INSERT INTO task_transition (task_id, version, from_state, to_state, at, party, person, detail)
    SELECT task_id, 1, NULL, 'requested', :opened_at, :party, :person, :detail FROM added
"""
_OTHERS = f"""
    SELECT DISTINCT t.department FROM task t
    WHERE t.request_id = :request_id AND t.part <> :part AND t.department IS NOT NULL
        AND t.state IN ('requested', 'accepted', 'in-progress', 'on-hold', 'completed', 'failed')
        AND NOT EXISTS ({NEWER})
    ORDER BY t.department
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class NewPart:
    """Of which department what is asked, and of how many parts the caller knew; `consented` is the resident's word."""

    department: Department
    need_type: str
    parts: int
    consented: bool = False
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Added:
    """Which part of the request it is, and so of how many."""

    request_id: UUID
    part: int


async def add_part(
    session: AsyncSession, *, vault: Vault, access: Access, station: str, request_id: UUID, new: NewPart, now: datetime
) -> Added:
    """Add a part to a request of the station that is open, and offer it to its department.

    Raises RequestUnknown, VersionStale, RejectedThere or a PartRefused.
    """
    await hold_erasing(session)
    tasks = await queries.lock_station_tasks(session, station, request_id)
    if not tasks or not await open_to(session, vault, access, tasks):
        raise RequestUnknown
    lead = tasks[0]
    if lead.parts != new.parts:
        raise VersionStale
    if await queries.is_continued(session, request_id):
        raise NothingOpen
    rejected_by = [row[0] for row in await run(session, _REJECTED_BY, {"request_id": request_id})]
    held = [Held(one.department, one.state) for one in tasks]
    whole = Whole(held, rejected_by, lead.confidential, lead.parts)
    need = may_add(whole, new.department, new.need_type, consented=new.consented)
    ring = await vault.ring([lead.subject_id])
    opening = await _opening(session, vault, ring, lead, new, need.legal_basis, now)
    part = lead.parts + 1
    await _write(session, vault, ring, opening, lead, part, access, new.note)
    _announce(session, vault, ring, opening, part, new.department)
    intents.record(session, ring, _intent(lead, access, need.legal_basis), principal=access.principal)
    return Added(request_id, part)


async def others(session: AsyncSession, task: TaskRow) -> tuple[Department, ...] | None:
    """By name alone the departments that have other parts, for the lead; None for whoever does not lead."""
    if task.part != LEAD or task.parts == LEAD:
        return None
    rows = await run(session, _OTHERS, {"request_id": task.request_id, "part": task.part})
    return tuple(Department(row[0]) for row in rows) or None


async def _opening(
    session: AsyncSession,
    vault: Vault,
    ring: KeyRing,
    lead: TaskRow,
    new: NewPart,
    legal_basis: LegalBasis,
    now: datetime,
) -> Opening:
    """The part as its department is to get it."""
    content = open_content(ring, lead.subject_id, lead.request_id, lead.content).part(new.need_type)
    on, task_id = terms(content), uuid4()
    choosing = await offices(session, vault)
    return Opening(
        request_id=lead.request_id,
        task_id=task_id,
        need_id=lead.need_id,
        origin=Origin(lead.record_id, lead.file_id, lead.station),
        subject_id=lead.subject_id,
        content=content,
        legal_basis=legal_basis,
        department=new.department,
        ref=vault.pairwise(new.department, task_id),
        opened_at=now,
        due=due_times(now, on.response_hours, on.completion_days, calendar.worked),
        office=choosing.within(new.department, content, lead.station, now),
        hotline_due_by=lead.hotline_due_by,
    )


async def _write(
    session: AsyncSession,
    vault: Vault,
    ring: KeyRing,
    opening: Opening,
    lead: TaskRow,
    part: int,
    access: Access,
    note: str | None,
) -> None:
    need_type = opening.content.need.need_type
    values = {
        "task_id": opening.task_id,
        "request_id": opening.request_id,
        "part": part,
        "department": opening.department,
        "ref": opening.ref,
        "opened_at": opening.opened_at,
        "respond_by": opening.due.response,
        "complete_by": opening.due.completion,
        "provisional": opening.due.provisional,
        "office_index": office_index(vault, opening.office),
        "part_need": seal_part_need(ring, opening.subject_id, opening.task_id, need_type),
        # What belongs to something confidential is counted where small numbers are not told.
        "part_index": None if lead.confidential else need_index(vault, lead.station, need_type),
        "part_basis": opening.legal_basis.value,
        "party": Party.STATION.value,
        "person": access.principal.subject,
        "detail": seal_detail(ring, opening.subject_id, opening.task_id, 1, Detail(note=note)),
    }
    await run(session, _ADD, values)


def _announce(
    session: AsyncSession, vault: Vault, ring: KeyRing, opening: Opening, part: int, department: Department
) -> None:
    """Tell whoever follows the request, and offer the part to its department."""
    detail = TransitionDetail(
        department=department,
        need_type=opening.content.need.need_type,
        reserved=opening.content.reserved or None,
    )
    event = TaskTransitioned(
        request_id=opening.request_id,
        task_id=opening.task_id,
        record_id=opening.origin.record_id,
        file_id=opening.origin.file_id,
        subject_id=opening.subject_id,
        from_state=TaskState.DRAFT,
        to_state=TaskState.REQUESTED,
        version=1,
        at=opening.opened_at,
        part=part,
        detail=ring.seal(opening.subject_id, detail),
    )
    outbox.add(session, event, key=opening.origin.file_id, subject=opening.subject_id)
    if opening.ref is not None:
        offer(session, vault, ring, opening, department, opening.ref)


def _intent(lead: TaskRow, access: Access, legal_basis: LegalBasis) -> intents.Intent:
    return intents.Intent(
        Action.ADD_PART,
        [lead.subject_id],
        purpose=Purpose.SERVICE,
        legal_basis=legal_basis,
        case=lead.request_id,
        outcome=TaskState.REQUESTED,
        record=lead.record_id,
        policies=access.policies,
    )
