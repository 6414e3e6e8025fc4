"""What departments ask about their feed: its keys, its messages, and that they deleted what was withdrawn."""

import time
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request

from doorstep.contracts.codes import Action, Department
from doorstep.kit.door import at_rest
from doorstep.kit.policy import CaseKind, Resource
from doorstep.kit.service import PrincipalDep, PurposeDep, ServiceDep, SessionDep, Visibility, attempts, visible_to
from doorstep.referral import queries, views
from doorstep.referral.api.departments import KeyId
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.acknowledging import acknowledge_erasure
from doorstep.referral.operations.keys import key_states, withdraw_department_key
from doorstep.referral.operations.pulling import FeedPage, pull_feed
from doorstep.referral.operations.waiting import LONGEST_WAIT, WaitingRoom
from doorstep.referral.schemas import ErasureAnswer, FeedMessages, KeyViews, WithdrawalBody

router = APIRouter(prefix="/api/departments/{department}", tags=["feeds"])

Limit = Annotated[int, Query(ge=1, le=100, description="At most so many messages.")]
Wait = Annotated[
    int, Query(ge=0, le=LONGEST_WAIT, description="If there is nothing, wait for something at most so many seconds.")
]


@router.get("/keys")
@attempts(Action.READ_FEED_SETTINGS)
@visible_to(Visibility.DEPARTMENT)
async def list_keys(
    department: Department, service: ServiceDep, principal: PrincipalDep, session: SessionDep
) -> KeyViews:
    """The department's own public keys with their dates, in the order in which they come into use."""
    service.policy.authorize(principal, "read-feed-settings", Resource("department-key", department=department))
    keys = await queries.department_keys(session, department)
    return views.keys(key_states(keys, datetime.now(UTC)))


@router.post("/keys/{kid}/withdrawal")
@attempts(Action.WITHDRAW_KEY)
@visible_to(Visibility.DEPARTMENT)
async def withdraw_key(
    department: Department,
    kid: KeyId,
    body: WithdrawalBody,
    service: ServiceDep,
    principal: PrincipalDep,
    session: SessionDep,
) -> KeyViews:
    """Take a key back: nothing leaves for it any more. The only usable one goes if it is `compromised` alone."""
    allowed = service.policy.authorize(principal, "withdraw-key", Resource("department-key", department=department))
    now = datetime.now(UTC)
    await withdraw_department_key(
        session,
        vault=service.vault,
        access=Access(principal, policies=allowed.policies),
        department=department,
        kid=kid,
        reason=body.reason,
        now=now,
    )
    return views.keys(key_states(await queries.department_keys(session, department), now))


@router.get("/feed")
@attempts(Action.READ_FEED)
@visible_to(Visibility.DEPARTMENT)
async def read_feed(
    request: Request,
    department: Department,
    service: ServiceDep,
    principal: PrincipalDep,
    purpose: PurposeDep,
    after: Annotated[UUID | None, Query(description="The `next` of the page before.")] = None,
    limit: Limit = 50,
    wait: Wait = 0,
) -> FeedMessages:
    """The messages of the department's feed behind a cursor: those of its topic, under the same ids.

    With `wait` the answer comes as soon as there is one; if none came in time, with no messages.
    """
    feed = Resource("feed", department=department)
    allowed = service.policy.authorize(principal, "read-feed", feed, purpose=purpose, case=CaseKind.REQUEST)
    access = Access(principal, purpose, allowed.policies)

    async def pull(cursor: UUID | None) -> FeedPage:
        async with service.database.transaction() as session:
            return await pull_feed(
                session, vault=service.vault, access=access, department=department, after=cursor, limit=limit
            )

    room: WaitingRoom = request.app.state.waiting_room
    ends = time.monotonic() + wait
    page, newest = await pull(after), 0
    while not (page.messages or page.more) and time.monotonic() < ends:
        newest = max(newest, page.place)
        waiting = room.wait(department, newest, ends - time.monotonic())
        try:
            newest = await at_rest(request, waiting, ending=service.stopping)
        except TimeoutError:
            break
        page = await pull(page.next)
    return views.feed_messages(page)


@router.post("/requests/{ref}/erased")
@attempts(Action.ACKNOWLEDGE_ERASURE, "ref", queries.subjects_of_ref)
@visible_to(Visibility.DEPARTMENT)
async def erased(
    department: Department,
    ref: UUID,
    service: ServiceDep,
    principal: PrincipalDep,
    session: SessionDep,
) -> ErasureAnswer:
    """The department says that it deleted what it held of a withdrawn request; said again, it changes nothing."""
    allowed = service.policy.authorize(principal, "acknowledge-erasure", Resource("request", department=department))
    at = await acknowledge_erasure(
        session,
        vault=service.vault,
        access=Access(principal, policies=allowed.policies),
        department=department,
        ref=ref,
        now=datetime.now(UTC),
    )
    return ErasureAnswer(ref=ref, acknowledged_at=at)
