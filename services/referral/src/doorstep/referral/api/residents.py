"""What a resident does by the follow code: withdraw, ask a human to look again, choose how to be told."""

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import UUID7
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import LookFinding, NoticeChannel, Role, TaskState
from doorstep.kit import idempotency
from doorstep.kit.auth import Principal
from doorstep.kit.service import Service, ServiceDep, SessionDep, Visibility, visible_to
from doorstep.referral.api.commands import digest
from doorstep.referral.errors import RequestUnknown
from doorstep.referral.operations import by_code, looking
from doorstep.referral.operations.access import follower
from doorstep.referral.schemas import Answer, Body

router = APIRouter(prefix="/api/follow", tags=["residents"])

Code = Annotated[str, Path(description="The code on the receipt.")]


class OfRequestBody(Body):
    """Which request, by the `ref` that the code shows."""

    id: UUID7
    ref: UUID


class WithdrawnAnswer(Answer):
    """The request is withdrawn."""

    ref: UUID
    state: TaskState


class LookAsked(Answer):
    """A human looks again until then."""

    ref: UUID
    due_by: datetime


class LookView(Answer):
    """A look: until when it is owed, and once it is answered what was found."""

    ref: UUID
    asked_at: datetime
    due_by: datetime
    answered_at: datetime | None = None
    finding: LookFinding | None = None


class LookViews(Answer):
    """The looks that the code's person asked for; an unknown code has none, likewise."""

    looks: tuple[LookView, ...]


class NoticesBody(Body):
    """By what notices are wanted: `sms`, `wechat`, `voice`, `paper`, or `none`."""

    channel: NoticeChannel


@router.post("/{code}/withdrawals")
@visible_to(Visibility.SUBJECT)
async def withdraw(code: Code, body: OfRequestBody, service: ServiceDep, session: SessionDep) -> WithdrawnAnswer:
    """Withdraw a request; it takes effect at once, waits for nobody, and nothing else changes by it."""

    async def carry_out(index: bytes) -> Answer:
        moved = await by_code.withdraw_request(
            session, vault=service.vault, follow_index=index, ref=body.ref, now=datetime.now(UTC)
        )
        return WithdrawnAnswer(ref=body.ref, state=moved.state)

    return WithdrawnAnswer.model_validate(await once(service, session, code, "withdraw", body, carry_out))


@router.post("/{code}/looks", status_code=201)
@visible_to(Visibility.SUBJECT)
async def ask_to_look_again(code: Code, body: OfRequestBody, service: ServiceDep, session: SessionDep) -> LookAsked:
    """Ask that a human who had no part in it look again at a request; answered within five working days."""

    async def carry_out(index: bytes) -> Answer:
        due_by = await looking.ask_to_look_again(
            session, vault=service.vault, follow_index=index, ref=body.ref, look_id=body.id, now=datetime.now(UTC)
        )
        return LookAsked(ref=body.ref, due_by=due_by)

    return LookAsked.model_validate(await once(service, session, code, "look", body, carry_out))


@router.get("/{code}/looks", response_model_exclude_none=True)
@visible_to(Visibility.SUBJECT)
async def see_looks(code: Code, service: ServiceDep, session: SessionDep) -> LookViews:
    """What a human found who looked again. An unknown code has none, likewise."""
    index = service.vault.follow_index(code)
    found = await looking.own_looks(session, vault=service.vault, follow_index=index)
    return LookViews(
        looks=tuple(
            LookView(
                ref=one.ref,
                asked_at=one.asked_at,
                due_by=one.due_by,
                answered_at=one.answered_at,
                finding=one.finding,
            )
            for one in found
        )
    )


@router.put("/{code}/notices")
@visible_to(Visibility.SUBJECT)
async def choose_notices(code: Code, body: NoticesBody, service: ServiceDep, session: SessionDep) -> NoticesBody:
    """Choose by what you are told that there is news, or that you are not. An unknown code is answered likewise."""
    index = service.vault.follow_index(code)
    await by_code.choose_notices(session, vault=service.vault, follow_index=index, channel=body.channel)
    return body


async def once(
    service: Service,
    session: AsyncSession,
    code: str,
    what: str,
    body: OfRequestBody,
    carry_out: Callable[[bytes], Coroutine[Any, Any, Answer]],
) -> Any:
    """Carry out what whoever holds the code asks, once; sent again it is answered again."""
    index = service.vault.follow_index(code)
    resident = Principal(follower(index), Role.RESIDENT, "resident")
    replay = await idempotency.claim(session, resident, body.id, digest(service.vault, body, what))
    if replay is not None:
        if not await by_code.shows(session, index):  # the code was good then, and opens nothing now
            raise RequestUnknown
        return replay.answer
    answer = (await carry_out(index)).model_dump(mode="json")
    await idempotency.keep(session, body.id, answer)
    return answer
