"""Ratings: the resident says how a request was answered; "not solved" opens a linked one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, BusinessStatus, Department, LegalBasis, Purpose, TaskState
from doorstep.contracts.referral import Rating, RequestRated
from doorstep.kit import intents, outbox
from doorstep.kit.vault import KeyRing, Vault, hold_erasing
from doorstep.referral import queries
from doorstep.referral.columns import open_content, seal_rating
from doorstep.referral.domain.deadlines import may_say_not_solved
from doorstep.referral.domain.monthly import rated_as
from doorstep.referral.domain.parts import together
from doorstep.referral.errors import NotRatable, RatedAlready, RequestUnknown, WindowClosed
from doorstep.referral.operations.months import rating_index
from doorstep.referral.operations.offices import offices
from doorstep.referral.operations.opening import Origin, prepare, write
from doorstep.referral.queries import TaskRow

_ANSWERED = frozenset({TaskState.COMPLETED, TaskState.FAILED})
_RATABLE = _ANSWERED | {TaskState.REJECTED}
_RATE = text(
    """
    INSERT INTO rating (request_id, rated_at, rating, rating_index)
    VALUES (:request_id, :rated_at, :rating, :rating_index)
    ON CONFLICT DO NOTHING RETURNING request_id
    """
)


@dataclass(frozen=True, slots=True)
class Rated:
    """What a rating led to: the state that was rated, and whether a linked request was opened."""

    state: TaskState
    reopened: bool


async def rate_request(
    session: AsyncSession, *, vault: Vault, follow_index: bytes, ref: UUID, solved: bool, stars: int, now: datetime
) -> Rated:
    """Rate the request that the follow code knows as `ref`, closed when the last of its parts was; `stars` is 1 to 5.

    Raises RequestUnknown or a RatingRefused.
    """
    await hold_erasing(session)  # before any row: an erasure takes them in that order
    tasks = await queries.lock_followed_tasks(session, follow_index, ref)
    if not tasks:
        raise RequestUnknown
    task, state = tasks[0], answered(tasks)
    ring = await vault.ring([task.subject_id])
    rating = Rating(solved=solved, stars=stars)
    await _write(session, vault, ring, task, rating, now)
    _publish(session, ring, task, rating, now)
    reopened = not solved and await reopen(session, vault, tasks, now)
    return Rated(state, reopened)


def answered(tasks: Sequence[TaskRow]) -> TaskState:
    """The one state in which a request was closed, all of its parts. Raises NotRatable."""
    state = together([one.state for one in tasks])
    if state not in _RATABLE or any(one.closed_at is None for one in tasks):
        raise NotRatable(state=state.value)
    return state


async def _write(
    session: AsyncSession, vault: Vault, ring: KeyRing, task: TaskRow, rating: Rating, now: datetime
) -> None:
    """Keep the rating; raises RatedAlready when there is one."""
    row = {
        "request_id": task.request_id,
        "rated_at": now,
        "rating": seal_rating(ring, task.subject_id, task.request_id, rating),
        "rating_index": rating_index(vault, task.station, rated_as(rating.solved, rating.stars)),
    }
    if (await session.execute(_RATE, row)).first() is None:
        raise RatedAlready


def _publish(session: AsyncSession, ring: KeyRing, task: TaskRow, rating: Rating, now: datetime) -> None:
    event = RequestRated(
        request_id=task.request_id,
        record_id=task.record_id,
        file_id=task.file_id,
        subject_id=task.subject_id,
        rated_at=now,
        rating=ring.seal(task.subject_id, rating),
    )
    outbox.add(session, event, key=task.file_id, subject=task.subject_id)
    intent = intents.Intent(
        Action.RATE_REQUEST,
        [task.subject_id],
        purpose=Purpose.RESIDENT_REQUEST,
        legal_basis=LegalBasis(task.legal_basis),
        case=task.request_id,
        record=task.record_id,
    )
    intents.record(session, ring, intent)


async def reopen(session: AsyncSession, vault: Vault, tasks: Sequence[TaskRow], now: datetime) -> bool:
    """Open what continues a closed request, by its locked live `tasks`, with the department that led; whether it was.

    One that it rejected or lost waits for the station's word. Raises WindowClosed.
    """
    if not may_say_not_solved(max(one.closed_at or now for one in tasks), now):
        raise WindowClosed
    task = tasks[0]
    ring = await vault.ring([task.subject_id])
    gone = task.state not in _ANSWERED or task.department is None
    department = None if gone else Department(task.department or "")
    content = open_content(ring, task.subject_id, task.request_id, task.content)
    origin = Origin(task.record_id, task.file_id, task.station)
    choosing = await offices(session, vault)
    office = None if department is None else choosing.within(department, content, task.station, now)
    opening = prepare(vault, origin, task.need_id, task.subject_id, content, department, now, office)
    linked = replace(opening, continues=task.request_id, business_status=BusinessStatus.REOPENED)
    return bool(await write(session, vault=vault, ring=ring, openings=[linked]))
