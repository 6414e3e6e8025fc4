"""Opening requests: a need becomes a request with its first task, and the department is told."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, BusinessStatus, Department, LegalBasis, Purpose, TaskState
from doorstep.contracts.feeds import FEED_DAYS, FEEDS, RequestOffered
from doorstep.contracts.intake import Card, StatedFacts
from doorstep.contracts.needs import Need
from doorstep.contracts.referral import RequestOpened, RequestSummary
from doorstep.contracts.risk import AssessedNeed
from doorstep.kit import calendar, intents, outbox
from doorstep.kit.db import run
from doorstep.kit.vault import KeyRing, Vault, hold_erasing
from doorstep.referral.columns import seal_content
from doorstep.referral.domain.content import Content, project, terms
from doorstep.referral.domain.deadlines import DueTimes, due_times, whole_minute
from doorstep.referral.domain.orders import bound
from doorstep.referral.operations.counting import need_index
from doorstep.referral.operations.leaving import follow_anew
from doorstep.referral.operations.offices import office_index, offices
from doorstep.referral.operations.order_joining import Ordered, ordered
from doorstep.referral.operations.orders import link_continued


@dataclass(frozen=True, slots=True)
class Origin:
    """The record that a need came of, and the station that stays responsible for it."""

    record_id: UUID
    file_id: UUID
    station: str


@dataclass(frozen=True, slots=True)
class Opening:
    """A request about to be opened. Without a department it waits in the station's queue."""

    request_id: UUID
    task_id: UUID
    need_id: UUID
    origin: Origin
    subject_id: UUID
    content: Content
    legal_basis: LegalBasis
    department: Department | None
    ref: UUID | None
    opened_at: datetime
    due: DueTimes
    business_status: BusinessStatus | None = None
    continues: UUID | None = None
    office: UUID | None = None
    hotline_due_by: datetime | None = None

    @property
    def binding(self) -> DueTimes:
        """By when it is due, also by the clock of a hotline that ordered it."""
        return bound(self.due, self.hotline_due_by)

    @property
    def state(self) -> TaskState:
        """The state that the first task opens in."""
        return TaskState.DRAFT if self.department is None else TaskState.REQUESTED


_OPEN = """
    WITH rows AS (
        SELECT * FROM unnest(
            CAST(:request_ids AS uuid[]), CAST(:task_ids AS uuid[]), CAST(:need_ids AS uuid[]),
            CAST(:record_ids AS uuid[]), CAST(:file_ids AS uuid[]), CAST(:subject_ids AS uuid[]),
            CAST(:stations AS text[]), CAST(:opened_ats AS timestamptz[]), CAST(:continues AS uuid[]),
            CAST(:follow_refs AS uuid[]), CAST(:follow_indexes AS bytea[]), CAST(:confidentials AS boolean[]),
            CAST(:safes AS boolean[]), CAST(:legal_bases AS text[]), CAST(:contents AS bytea[]),
            CAST(:departments AS text[]), CAST(:refs AS uuid[]), CAST(:states AS text[]), CAST(:statuses AS text[]),
            CAST(:respond_bys AS timestamptz[]), CAST(:complete_bys AS timestamptz[]), CAST(:provisionals AS boolean[]),
            CAST(:need_indexes AS bytea[]), CAST(:office_indexes AS bytea[])
        ) AS r (
            request_id, task_id, need_id, record_id, file_id, subject_id, station, opened_at, continues, follow_ref,
            follow_index, confidential, safely_shown, legal_basis, content, department, ref, state, business_status,
            respond_by, complete_by, provisional, need_index, office_index
        )
    ), opened AS (
        INSERT INTO request (
            request_id, need_id, record_id, file_id, subject_id, station, opened_at, continues, follow_ref,
            follow_index, confidential, safely_shown, legal_basis, content, need_index
        )
        SELECT request_id, need_id, record_id, coalesce(m.file_id, rows.file_id), rows.subject_id, station, opened_at,
            continues, follow_ref, follow_index, confidential, safely_shown, legal_basis, content, need_index
        FROM rows LEFT JOIN moved_mention m ON m.subject_id = rows.subject_id
        WHERE NOT EXISTS (SELECT FROM erased_subject e WHERE e.subject_id = rows.subject_id)
        ON CONFLICT DO NOTHING RETURNING request_id, file_id,
            EXISTS (SELECT FROM moved_mention m WHERE m.subject_id = request.subject_id) AS moved
    ), tasks AS (
        INSERT INTO task (
            task_id, request_id, sequence, department, ref, state, business_status, version, opened_at, respond_by,
            complete_by, provisional, office_index
        )
        SELECT task_id, request_id, 1, department, ref, state, business_status, 1, opened_at, respond_by, complete_by,
            provisional, office_index
        FROM rows JOIN opened USING (request_id)
    ), begun AS (
        INSERT INTO task_transition (task_id, version, from_state, to_state, at, party)
        SELECT task_id, 1, NULL, state, opened_at, 'station' FROM rows JOIN opened USING (request_id)
    )
    SELECT request_id, file_id, moved FROM opened
"""


async def open_requests(
    session: AsyncSession, *, vault: Vault, origin: Origin, needs: Sequence[AssessedNeed], now: datetime
) -> int:
    """Open a request for each of `needs` that has none yet; how many were opened.

    A subject that was erased meanwhile is passed over. Raises SealBroken.
    """
    ring = await vault.ring([need.subject_id for need in needs])
    needs = [need for need in needs if need.subject_id in ring]
    if not needs:
        return 0
    openings, choosing = [], await offices(session, vault)
    order = await ordered(session, vault, origin.record_id)
    for need in needs:
        content = Content(
            need=ring.open(need.need, Need),
            card=ring.open(need.card, Card),
            facts=ring.open(need.facts, StatedFacts).facts,
        )
        if order is not None and await order.passes_over(session, vault, need.need_id, content.need.need_type):
            continue
        department, office = choosing.choose(content, origin.station, now)
        opening = prepare(vault, origin, need.need_id, need.subject_id, content, department, now, office)
        openings.append(_by_hotline(opening, order))
    if not openings:
        return 0
    opened = await write(session, vault=vault, ring=ring, openings=openings)
    if order is not None:
        await order.answer(session)
    return opened


def _by_hotline(opening: Opening, order: Ordered | None) -> Opening:
    """A request that answers an order is due as the hotline waits for it."""
    if order is None or not order.asks(opening.content.need.need_type):
        return opening
    return replace(opening, hotline_due_by=order.row.due_by)


def prepare(
    vault: Vault,
    origin: Origin,
    need_id: UUID,
    subject_id: UUID,
    content: Content,
    department: Department | None,
    now: datetime,
    office: UUID | None = None,
) -> Opening:
    """A request for this need, with fresh ids, which tell neither time nor order, and its due times."""
    task_id = uuid4()
    on = terms(content)
    return Opening(
        request_id=uuid4(),
        task_id=task_id,
        need_id=need_id,
        origin=origin,
        subject_id=subject_id,
        content=content,
        legal_basis=on.legal_basis,
        department=department,
        ref=None if department is None else vault.pairwise(department, task_id),
        opened_at=now,
        due=due_times(now, on.response_hours, on.completion_days, calendar.worked),
        office=office,
    )


async def write(session: AsyncSession, *, vault: Vault, ring: KeyRing, openings: Sequence[Opening]) -> int:
    """Write requests and first tasks, and announce those whose need had no request; how many those were.

    For a subject that was erased here none is written; those of who left a household belong to the new file.
    """
    await hold_erasing(session)
    opened = {row["request_id"]: row for row in await run(session, _OPEN, _columns(vault, ring, openings))}
    for opening in openings:
        row = opened.get(opening.request_id)
        if row is not None:
            origin = replace(opening.origin, file_id=row["file_id"])
            _announce(session, vault, ring, replace(opening, origin=origin))
    continuing = [one.request_id for one in openings if one.request_id in opened and one.continues is not None]
    if continuing:
        await link_continued(session, continuing)
    left = [one.subject_id for one in openings if one.request_id in opened and opened[one.request_id]["moved"]]
    if left:
        await follow_anew(session, vault=vault, subjects=left)
    return len(opened)


def _columns(vault: Vault, ring: KeyRing, openings: Iterable[Opening]) -> dict[str, list[object]]:
    """The columns of the rows to write; the content is encrypted, of the follow code only the blind index is kept."""
    columns: dict[str, list[object]] = {}
    for one in openings:
        code = one.content.card.follow_code
        row = {
            "request_ids": one.request_id,
            "task_ids": one.task_id,
            "need_ids": one.need_id,
            "record_ids": one.origin.record_id,
            "file_ids": one.origin.file_id,
            "subject_ids": one.subject_id,
            "stations": one.origin.station,
            "opened_ats": one.opened_at,
            "continues": one.continues,
            "follow_refs": uuid4(),
            "follow_indexes": None if code is None else vault.follow_index(code),
            "confidentials": terms(one.content).confidential,
            "safes": one.content.card.safe_contact is not None,
            "legal_bases": one.legal_basis.value,
            "contents": seal_content(ring, one.subject_id, one.request_id, one.content),
            "departments": one.department,
            "refs": one.ref,
            "states": one.state.value,
            "statuses": one.business_status,
            "respond_bys": one.due.response,
            "complete_bys": one.due.completion,
            "provisionals": one.due.provisional,
            "need_indexes": need_index(vault, one.origin.station, one.content.need.need_type),
            "office_indexes": office_index(vault, one.office),
        }
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    return columns


def _announce(session: AsyncSession, vault: Vault, ring: KeyRing, opening: Opening) -> None:
    """Tell the log, and, once there is a department, everybody who follows the request."""
    intents.record(
        session,
        ring,
        intents.Intent(
            Action.OPEN_REQUEST,
            [opening.subject_id],
            purpose=Purpose.SERVICE,
            legal_basis=opening.legal_basis,
            case=opening.request_id,
            record=opening.origin.record_id,
        ),
    )
    if opening.department is not None and opening.ref is not None:
        announce_opened(session, ring, opening, opening.department)
        offer(session, vault, ring, opening, opening.department, opening.ref)


def announce_opened(session: AsyncSession, ring: KeyRing, opening: Opening, department: Department) -> None:
    """Publish that the request is open, with `department`."""
    summary = RequestSummary(
        need_type=opening.content.need.need_type,
        department=department,
        urgency=opening.content.need.urgency,
        respond_by=opening.binding.response,
        complete_by=opening.binding.completion,
        reserved=opening.content.reserved or None,
    )
    event = RequestOpened(
        request_id=opening.request_id,
        task_id=opening.task_id,
        need_id=opening.need_id,
        record_id=opening.origin.record_id,
        file_id=opening.origin.file_id,
        subject_id=opening.subject_id,
        opened_at=opening.opened_at,
        continues=opening.continues,
        summary=ring.seal(opening.subject_id, summary),
    )
    outbox.add(session, event, key=opening.origin.file_id, subject=opening.subject_id)


def offer(
    session: AsyncSession, vault: Vault, ring: KeyRing, opening: Opening, department: Department, ref: UUID
) -> None:
    """Offer the request to `department`: its own projection, encrypted at rest until it is delivered."""
    event = RequestOffered(
        offered_at=whole_minute(opening.opened_at),
        delete_by=whole_minute(opening.opened_at) + timedelta(days=FEED_DAYS),
        purpose=FEEDS[department].purpose,
        legal_basis=opening.legal_basis,
        offer=project(
            department,
            opening.content,
            ref=ref,
            subject_ref=vault.pairwise(department, opening.subject_id),
            due=opening.binding,
            office=opening.office,
        ),
    )
    body = event.model_dump_json(exclude_none=True).encode()
    outbox.add_feed(
        session,
        department,
        event.event_type,
        ref=ref,
        subject=opening.subject_id,
        projection=ring.encrypt(opening.subject_id, outbox.feed_context(ref), body),
    )
