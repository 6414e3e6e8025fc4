"""What operators do over HTTP: list, read and replay dead letters, and pass over numbers that never come.

Reading, replaying and passing over are logged, with their purpose, before the first byte of the answer leaves.
"""

from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, Purpose
from doorstep.kit import dead_letter, parked
from doorstep.kit.auth import Principal
from doorstep.kit.dead_letter import DeadLetter, DeadLetterShown, NoSuchDeadLetter
from doorstep.kit.edge import PrincipalDep, PurposeDep, ServiceDep, SessionDep, Visibility, attempts, visible_to
from doorstep.kit.intents import Intent
from doorstep.kit.parked import Hole, NoSuchHole
from doorstep.kit.policy import Resource
from doorstep.kit.problems import Problem
from doorstep.kit.resources import Service
from doorstep.kit.vault import NOBODY, KeyRing

router = APIRouter(prefix="/api/dead-letters", tags=["operators"])

_THING = Resource("dead-letter")


class Listing(BaseModel):
    """Dead letters, and the numbers that keys wait for."""

    dead_letters: list[DeadLetter]
    holes: list[Hole]


class MissingNumbers(BaseModel):
    """The numbers of a key that are given up: all up to `missing_to`, as the list of holes says."""

    model_config = ConfigDict(extra="forbid")

    topic: str
    key: UUID
    missing_to: int


class Accepted(BaseModel):
    """What the consumer does at its next look, within seconds."""

    status: str


@router.get("")
@attempts(Action.LIST_DEAD_LETTERS)
@visible_to(Visibility.OPERATOR)
async def list_dead_letters(
    service: ServiceDep,
    session: SessionDep,
    principal: PrincipalDep,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Listing:
    """Where dead letters lie and why, never what they say; and the numbers that keys wait for."""
    service.policy.authorize(principal, Action.LIST_DEAD_LETTERS, _THING)
    letters = await dead_letter.listed(session, limit=limit)
    return Listing(dead_letters=letters, holes=await parked.holes(session, limit=limit))


@router.get("/{letter_id}")
@attempts(Action.READ_DEAD_LETTER, "letter_id", dead_letter.subjects)
@visible_to(Visibility.OPERATOR)
async def show_dead_letter(
    letter_id: UUID, service: ServiceDep, session: SessionDep, principal: PrincipalDep, purpose: PurposeDep
) -> DeadLetterShown:
    """One dead letter with its headers and value; what is sealed stays sealed."""
    intent = _permitted(service, principal, purpose, Action.READ_DEAD_LETTER, letter_id)
    letter = await _shown(session, letter_id)
    subject, ring = await _subject(service, letter)
    service.record(session, ring, intent(subject), principal=principal)
    return letter


@router.post("/{letter_id}/replay", status_code=202)
@attempts(Action.REPLAY_DEAD_LETTER, "letter_id", dead_letter.subjects)
@visible_to(Visibility.OPERATOR)
async def replay_dead_letter(
    letter_id: UUID, service: ServiceDep, session: SessionDep, principal: PrincipalDep, purpose: PurposeDep
) -> Accepted:
    """Have the consumer try a dead letter again, after whatever is parked of its key."""
    intent = _permitted(service, principal, purpose, Action.REPLAY_DEAD_LETTER, letter_id)
    letter = await _shown(session, letter_id)
    await dead_letter.request_replay(session, letter_id)
    subject, ring = await _subject(service, letter)
    service.record(session, ring, intent(subject), principal=principal)
    return Accepted(status="replay-requested")


@router.post("/pass-over", status_code=202)
@attempts(Action.REPLAY_DEAD_LETTER)
@visible_to(Visibility.OPERATOR)
async def pass_over_missing(
    missing: MissingNumbers, service: ServiceDep, session: SessionDep, principal: PrincipalDep, purpose: PurposeDep
) -> Accepted:
    """Give up numbers that a key waits for, so that what is parked behind them goes on."""
    intent = _permitted(service, principal, purpose, Action.REPLAY_DEAD_LETTER, missing.key, "passed-over")
    try:
        await parked.pass_over(session, topic=missing.topic, key=missing.key, missing_to=missing.missing_to)
    except NoSuchHole:
        zh, en = (
            "该键现在等待的不是这些编号，请先重新列出。",
            "The key does not wait for these numbers; list again first.",
        )
        raise Problem(409, "no-such-hole", zh, en) from None
    ring = await service.vault.ring([NOBODY], create=True)
    service.record(session, ring, intent(NOBODY), principal=principal)
    return Accepted(status="passed-over")


IntentAbout = Callable[[UUID], Intent]


def _permitted(
    service: Service, principal: Principal, purpose: Purpose, action: Action, case: UUID, outcome: str = "done"
) -> IntentAbout:
    """The intent to be logged, for the subject that it will be about. Raises Forbidden."""
    decision = service.policy.authorize(principal, action, _THING, purpose=purpose)

    def about(subject: UUID) -> Intent:
        return Intent(action, [subject], purpose=purpose, case=case, outcome=outcome, policies=decision.policies)

    return about


async def _shown(session: AsyncSession, letter_id: UUID) -> DeadLetterShown:
    try:
        return await dead_letter.shown(session, letter_id)
    except NoSuchDeadLetter:
        raise Problem(404, "no-such-dead-letter", "没有这条死信。", "There is no such dead letter.") from None


async def _subject(service: Service, letter: DeadLetterShown) -> tuple[UUID, KeyRing]:
    """Whom the dead letter is about, and their keys; nobody if it names no subject that can be read."""
    try:
        subject = UUID(letter.headers.get("ce_subject", ""))
    except ValueError:
        subject = NOBODY
    ring = await service.vault.ring([subject])
    return (subject, ring) if subject in ring else (NOBODY, await service.vault.ring([NOBODY], create=True))
