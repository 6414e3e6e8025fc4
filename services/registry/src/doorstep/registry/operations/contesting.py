"""The person's own word against their care plan: it is contested until somebody without a part answers, or it ends.

Invariants: what a code is answered tells nobody whether there is a plan; a consent that is taken back ends the plan in
that transaction and for good; who answers had no part in the plan.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import STATION, Action, Purpose
from doorstep.kit import intents
from doorstep.kit.db import run
from doorstep.kit.intents import Intent
from doorstep.kit.vault import Vault
from doorstep.registry import queries
from doorstep.registry.domain.plans import Ground, Standing
from doorstep.registry.errors import ContestUnknown
from doorstep.registry.operations import plan_rows
from doorstep.registry.operations.plan_access import Acting, reach_as_independent, reach_as_team
from doorstep.registry.operations.plan_rows import Made, Plan, Word, load, seal
from doorstep.registry.operations.planning import end

_CONTEST = """
    INSERT INTO plan_contest (contest_id, plan_id, contested_at) VALUES (:id, :plan_id, :now)
    ON CONFLICT (plan_id) WHERE answered_at IS NULL DO NOTHING RETURNING contest_id
"""
_ANSWER = """
    UPDATE plan_contest SET answered_at = :now, answered_by = :me, content = :content
    WHERE plan_id = :plan_id AND answered_at IS NULL RETURNING contest_id
"""
_OPEN = "SELECT contest_id FROM plan_contest WHERE plan_id = :plan_id AND answered_at IS NULL"


async def contest_by_code(session: AsyncSession, *, vault: Vault, code: str, now: datetime) -> None:
    """The person of a follow code contests their plan; an unknown code, or one of nobody with a plan, nothing."""
    found = await queries.subject_of_code(session, vault.follow_index(code))
    if found is None or found[1] is None:
        return
    for plan_id in await plan_rows.lock_person(session, found[1]):
        loaded = await load(session, vault, plan_id, now=now, lock=True)
        if loaded is None or loaded[0].course(now).standing is Standing.OVER:
            continue
        plan, ring = loaded
        if await run(session, _CONTEST, {"id": uuid4(), "plan_id": plan_id, "now": now}):
            intents.record(session, ring, _own(Action.CONTEST_PLAN, plan.subject_id, plan_id))


async def withdraw_by_code(session: AsyncSession, *, vault: Vault, code: str, now: datetime) -> None:
    """The person of a follow code takes their consent back: their plans end; an unknown code ends nothing."""
    found = await queries.subject_of_code(session, vault.follow_index(code))
    if found is None or found[1] is None:
        return
    for plan_id, subject_id in await plan_rows.end_plans(session, [found[0]], [found[1]], now):
        ring = await vault.ring([subject_id])
        if subject_id in ring:
            intents.record(session, ring, _own(Action.WITHDRAW_FROM_PLAN, subject_id, plan_id))


def _own(action: Action, subject_id: UUID, plan_id: UUID) -> Intent:
    return Intent(action, [subject_id], purpose=Purpose.RESIDENT_REQUEST, case=plan_id)


async def withdraw_as_told(session: AsyncSession, acting: Acting, plan_id: UUID) -> None:
    """End a plan because the person told one of its team that they take their consent back. Raises Forbidden."""
    reached = await reach_as_team(session, acting, Action.WITHDRAW_FROM_PLAN, plan_id)
    await end(session, reached.plan, acting.now)
    reached.log(session, acting, Action.WITHDRAW_FROM_PLAN)


async def read_contest(session: AsyncSession, acting: Acting, plan_id: UUID) -> tuple[Plan, Made]:
    """What is contested: the newest proposal that was agreed, or else the first; the read is logged.

    Raises Forbidden, Problem.
    """
    reached = await reach_as_independent(session, acting, Action.READ_PLAN_CONTEST, plan_id)
    reached.log(session, acting, Action.READ_PLAN_CONTEST)
    made = reached.plan.proposals
    return reached.plan, next((one for one in reversed(made) if one.wish.agreed), made[0])


async def answer_contest(
    session: AsyncSession, acting: Acting, plan_id: UUID, *, stays: bool, grounds: Sequence[Ground]
) -> None:
    """Say, with grounds, whether a contested plan stays; it ends if not. Raises Forbidden, ContestUnknown."""
    reached = await reach_as_independent(session, acting, Action.ANSWER_PLAN_CONTEST, plan_id)
    rows = await run(session, _OPEN, {"plan_id": plan_id})
    if not rows:
        raise ContestUnknown
    word = Word(agency=STATION, agreed=stays, grounds=tuple(grounds))
    content = seal(reached.ring, reached.plan.subject_id, "plan_contest.content", rows[0]["contest_id"], word)
    await run(session, _ANSWER, {"plan_id": plan_id, "now": acting.now, "me": acting.me, "content": content})
    if not stays:
        await end(session, reached.plan, acting.now)
    reached.log(session, acting, Action.ANSWER_PLAN_CONTEST, "stays" if stays else "ended")
