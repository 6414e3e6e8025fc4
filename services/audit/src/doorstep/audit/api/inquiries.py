"""HTTP: an auditor asks about one person, on the person's complaint or with a second auditor's agreement.

Each step is logged under the person before it is answered, and so is each that is refused. An erased person and one who
never was are answered like one without entries.
"""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.audit.api.entries import Caller, cursor_mac, permitted, stale_cursor
from doorstep.audit.domain.criteria import EPOCH
from doorstep.audit.domain.cursor import Cursor
from doorstep.audit.domain.errors import Malformed
from doorstep.audit.domain.inquiry import Ground, Hindrance, Inquiry
from doorstep.audit.errors import InquiryHindered, InquiryUnknown
from doorstep.audit.operations.inquiring import (
    KeptInquiry,
    agree_to_inquiry,
    complains,
    find_inquiry,
    inquiry_to_read,
    open_inquiry,
)
from doorstep.audit.operations.opening import Place
from doorstep.audit.operations.searching import about
from doorstep.audit.schemas import AgreementBody, EntriesAbout, InquiryBody, InquiryShown, PortionAsked
from doorstep.audit.views import view_entry
from doorstep.contracts.codes import Action
from doorstep.kit import idempotency
from doorstep.kit.edge import case_kind
from doorstep.kit.intents import concerned, staff_subject
from doorstep.kit.policy import CaseKind
from doorstep.kit.problems import Problem
from doorstep.kit.service import (
    PrincipalDep,
    PurposeDep,
    Service,
    ServiceDep,
    SessionDep,
    Visibility,
    WhyDep,
    attempts,
    visible_to,
)

_HINDRANCES: dict[Hindrance, tuple[int, str, str]] = {
    Hindrance.OWN: (
        403,
        "提出查询的人不能自己同意，须由另一名审计员同意。",
        "Another auditor has to agree, not who asked.",
    ),
    Hindrance.MISSING: (403, "尚无第二名审计员同意。", "No second auditor has agreed yet."),
    Hindrance.LAPSED: (403, "这项查询已过期，请重新提出。", "This inquiry has lapsed; ask anew."),
    Hindrance.NOT_NEEDED: (409, "这项查询由居民本人提出，无需同意。", "The person complained; no agreement is needed."),
    Hindrance.GIVEN: (409, "这项查询已有人同意。", "Somebody has agreed already."),
}


def inquiry_router(service: Service) -> APIRouter:
    """The routes of inquiries at the log's service: it finds whom one is about, so that refusals are logged there."""
    router = APIRouter(prefix="/api/log/inquiries", tags=["auditors"])

    async def whom(session: AsyncSession, inquiry_id: UUID) -> list[UUID]:
        try:
            return [(await find_inquiry(session, service.vault, inquiry_id)).subject]
        except InquiryUnknown:
            return []

    router.post("", status_code=201)(attempts(Action.ASK_ABOUT_SUBJECT)(ask_about))
    router.post("/{inquiry_id}/agreement")(attempts(Action.AGREE_TO_ASK, "inquiry_id", whom)(agree))
    router.get("/{inquiry_id}/entries")(attempts(Action.READ_ABOUT_SUBJECT, "inquiry_id", whom)(read_about))
    return router


@visible_to(Visibility.AUDITOR)
async def ask_about(
    body: InquiryBody, service: ServiceDep, session: SessionDep, principal: PrincipalDep, purpose: PurposeDep
) -> InquiryShown:
    """Ask about a person: open at once with the follow code that they gave, else waiting for a second auditor."""
    caller = permitted(service, principal, purpose, Action.ASK_ABOUT_SUBJECT)
    ground = Ground.AGREEMENT if body.follow_code is None else Ground.COMPLAINT
    if body.follow_code is not None and not complains(service.vault, body.subject_id, body.follow_code):
        await _refuse_code(service, caller, body.subject_id)  # the request's own transaction has not begun
    digest = idempotency.digest_of(service.vault, body)
    replay = await idempotency.claim(session, principal, body.id, digest)
    if replay is not None:
        return InquiryShown.model_validate(replay.answer)
    inquiry = Inquiry(ground, staff_subject(service.vault, principal), datetime.now(UTC))
    kept = await open_inquiry(session, service.vault, inquiry_id=body.id, subject=body.subject_id, inquiry=inquiry)
    await _log(service, session, caller, Action.ASK_ABOUT_SUBJECT, kept, f"by-{ground}")
    return await _keep(session, body.id, kept)


@visible_to(Visibility.AUDITOR)
async def agree(
    inquiry_id: UUID,
    body: AgreementBody,
    service: ServiceDep,
    session: SessionDep,
    principal: PrincipalDep,
    purpose: PurposeDep,
) -> InquiryShown:
    """Agree to another auditor's inquiry, once and within seven days; it is then open for seven days."""
    caller = permitted(service, principal, purpose, Action.AGREE_TO_ASK)
    digest = idempotency.digest_of(service.vault, body, inquiry_id)
    replay = await idempotency.claim(session, principal, body.id, digest)
    if replay is not None:
        return InquiryShown.model_validate(replay.answer)
    try:
        kept = await agree_to_inquiry(
            session,
            service.vault,
            policy=service.policy,
            principal=principal,
            purpose=purpose,
            inquiry_id=inquiry_id,
            now=datetime.now(UTC),
        )
    except (InquiryUnknown, InquiryHindered) as error:
        raise _hindered(error) from None
    await _log(service, session, caller, Action.AGREE_TO_ASK, kept)
    return await _keep(session, body.id, kept)


@visible_to(Visibility.AUDITOR)
async def read_about(
    inquiry_id: UUID,
    asked: Annotated[PortionAsked, Query()],
    service: ServiceDep,
    session: SessionDep,
    principal: PrincipalDep,
    why: WhyDep,
) -> EntriesAbout:
    """Read the entries about the person of one's own inquiry, while its ground holds."""
    caller = permitted(service, principal, why.purpose, Action.READ_ABOUT_SUBJECT, CaseKind.INQUIRY)
    await case_kind(session, service.vault, principal, why.case, file_id=None, own={inquiry_id: CaseKind.INQUIRY})
    mac, scope, after = cursor_mac(service.vault), f"inquiry={inquiry_id}", Place.before(EPOCH)
    if asked.cursor is not None:
        try:
            cursor = Cursor.parse(asked.cursor)
            cursor.check(asked.cursor, mac, scope)
        except Malformed:
            raise stale_cursor() from None
        after = Place(cursor.hour, cursor.entry_id)
    who, now = staff_subject(service.vault, principal), datetime.now(UTC)
    try:
        kept = await inquiry_to_read(session, service.vault, inquiry_id=inquiry_id, who=who, now=now)
    except (InquiryUnknown, InquiryHindered) as error:
        raise _hindered(error) from None
    found = await about(session, service.vault, subject=kept.subject, after=after, limit=asked.limit)
    await _log(service, session, caller, Action.READ_ABOUT_SUBJECT, kept)
    place = found.reached
    return EntriesAbout(
        inquiry_id=inquiry_id,
        cursor=None if place is None else Cursor(EPOCH, EPOCH, place.hour, place.entry_id).encode(mac, scope),
        entries=[view_entry(one) for one in found.entries],
    )


async def _log(
    service: Service, session: AsyncSession, caller: Caller, action: Action, kept: KeptInquiry, outcome: str = "done"
) -> None:
    ring, subjects = await concerned(service.vault, [kept.subject], caller.principal)
    intent = caller.intent(action, subjects, case=kept.inquiry_id, outcome=outcome)
    service.record(session, ring, intent, principal=caller.principal)


async def _refuse_code(service: Service, caller: Caller, subject: UUID) -> None:
    """Log under the person that somebody came with a code that is not theirs, and raise Problem."""
    ring, subjects = await concerned(service.vault, [subject], caller.principal)
    code = "follow-code-wrong"
    async with service.database.transaction() as session:
        intent = caller.intent(Action.ASK_ABOUT_SUBJECT, subjects, outcome=f"refused:{code}")
        service.record(session, ring, intent, principal=caller.principal)
    zh, en = "查询码与此人不符，已记录。", "The follow code is not this person's; that was logged."
    raise Problem(403, code, zh, en, refusal=False)


async def _keep(session: AsyncSession, command_id: UUID, kept: KeptInquiry) -> InquiryShown:
    """The answer to a command, kept for when it comes again."""
    answer = InquiryShown(
        inquiry_id=kept.inquiry_id,
        ground=kept.inquiry.ground,
        standing=kept.inquiry.standing(datetime.now(UTC)),
        until=kept.inquiry.until,
    )
    await idempotency.keep(session, command_id, answer.model_dump(mode="json"))
    return answer


def _hindered(error: InquiryUnknown | InquiryHindered) -> Problem:
    """The answer to whoever may not; another's inquiry is answered like none."""
    if isinstance(error, InquiryUnknown) or error.hindrance is Hindrance.OF_ANOTHER:
        zh, en = "您没有这项查询。", "You have no such inquiry."
        return Problem(404, Hindrance.OF_ANOTHER, zh, en)
    status, zh, en = _HINDRANCES[error.hindrance]
    return Problem(status, error.hindrance, zh, en, policies=error.policies)
