"""HTTP: hand in a record, read one; the menu, and requests of one's own; orders of the hotline."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Response

from doorstep.contracts.codes import DEPARTMENT_NAMES, Action
from doorstep.contracts.facts import SubjectKind
from doorstep.contracts.needs import MENU
from doorstep.intake import queries
from doorstep.intake.domain.orders import kinds_to_see
from doorstep.intake.domain.papers import PaperInvalid, PaperKind, normalised
from doorstep.intake.domain.record import Flaw, Record, Subject, flaws
from doorstep.intake.errors import (
    CodeUnknown,
    HouseholdKnown,
    HouseholdUnknown,
    OwnRecord,
    RecordUnknown,
    SubjectTaken,
    TooManyOwnRequests,
)
from doorstep.intake.operations import orders, own_requests, records
from doorstep.intake.schemas import (
    Menu,
    OrderAnswer,
    OrderBody,
    OwnRequestBody,
    OwnRequestTaken,
    Receipt,
    RecordBody,
    RecordShown,
    RecordTaken,
    Service,
    SubjectShown,
)
from doorstep.kit.policy import Resource, kind_name
from doorstep.kit.problems import Fault, Problem, pointer
from doorstep.kit.service import (
    PrincipalDep,
    ServiceDep,
    SessionDep,
    Visibility,
    WhyDep,
    attempts,
    visible_to,
)

router = APIRouter(tags=["records"])


@router.post("/api/records", status_code=201)
@attempts(Action.RECORD_VISIT, subjects=queries.subjects_of_file)
@visible_to(Visibility.STATION)
async def record_visit(
    body: RecordBody, principal: PrincipalDep, session: SessionDep, service: ServiceDep, response: Response
) -> RecordTaken:
    """Hand in one record. Sent again with the same content, it is answered again (200) and nothing is doubled."""
    service.policy.authorize(principal, Action.RECORD_VISIT, Resource("record"))
    if principal.station is None:
        zh, en = "令牌中没有站点。", "The token names no station."
        raise Problem(403, "no-station", zh, en)
    record = _checked(body.record())
    for kind in record.kinds:
        service.policy.authorize(principal, "state-fact", Resource("fact", fact_kind=kind_name(kind)))
    digest = service.vault.digest(body.model_dump_json().encode())
    try:
        taken = await records.record_visit(
            session, vault=service.vault, principal=principal, record=record, digest=digest
        )
    except HouseholdUnknown:
        zh, en = "没有这户的档案，请以 new 提交", "no such household; send it as new"
        raise _refused("/file_id", zh, en, refusal=True, about=record.file_id) from None  # it may be another station's
    except HouseholdKnown:
        raise _refused(
            "/file_id", "这户已有档案，请以 known 提交", "the household is known; send it as known"
        ) from None
    except SubjectTaken:
        zh, en = "有对象编号已被使用", "a subject's id belongs to another subject"
        raise _refused("/subjects", zh, en, refusal=True) from None
    if taken.again:
        response.status_code = 200
    codes = taken.follow_codes if service.policy.permits(principal, "see-receipt", Resource("receipt")) else {}
    receipts = tuple(Receipt(subject_id=one, follow_code=code) for one, code in codes.items())
    return RecordTaken(
        record_id=record.record_id, file_id=record.file_id, recorded_at=taken.recorded_at, receipts=receipts
    )


@router.get("/api/records/{record_id}", response_model_exclude_none=True)
@attempts(Action.READ_RECORD, "record_id", queries.subjects_of_record)
@visible_to(Visibility.STATION)
async def read_record(
    record_id: UUID, principal: PrincipalDep, why: WhyDep, session: SessionDep, service: ServiceDep
) -> RecordShown:
    """Read a record that somebody else took, for triage or follow-up. The read is logged.

    The case is the record, its file, or an emergency access to the file.
    """
    try:
        shown = await records.show_record(
            session,
            vault=service.vault,
            policy=service.policy,
            principal=principal,
            why=why,
            record_id=record_id,
        )
    except RecordUnknown:
        raise Problem(404, "record-unknown", "没有这份记录。", "There is no such record.") from None
    except OwnRecord:
        zh, en = "采集员不能审核自己采集的记录。", "Who took the record does not review it."
        raise Problem(403, "own-record", zh, en) from None
    subjects = tuple(
        SubjectShown(
            subject_id=subject_id,
            kind=kind,
            said=content.said if kinds_to_see(content.facts) <= shown.sight.kinds else None,
            facts=tuple(fact for fact in content.facts if shown.sight.fact(fact.code)),
            **content.card.model_dump(exclude={"follow_code", *shown.sight.hidden}),
        )
        for subject_id, kind, content in shown.subjects
    )
    row = shown.row
    return RecordShown(
        record_id=row.record_id,
        file_id=row.file_id,
        station=row.station,
        channel=row.channel,
        visited_at=row.visited_at,
        recorded_at=row.recorded_at,
        subjects=subjects,
    )


@router.get("/api/menu", tags=["residents"])
@visible_to(Visibility.PUBLIC)
async def read_menu() -> Menu:
    """The services that residents ask for by themselves, in both languages."""
    return Menu(
        services=tuple(
            Service(
                code=one.code,
                zh=one.zh,
                en=one.en,
                department_zh=DEPARTMENT_NAMES[one.department][0],
                department_en=DEPARTMENT_NAMES[one.department][1],
                working_days=one.complete_days,
            )
            for one in MENU
        )
    )


@router.post("/api/own-requests", status_code=201, tags=["residents"])
@visible_to(Visibility.SUBJECT)
async def ask_for_service(
    body: OwnRequestBody, session: SessionDep, service: ServiceDep, response: Response
) -> OwnRequestTaken:
    """Ask for a service of the menu by the code on a receipt. Sent again, it is answered again (200)."""
    request = own_requests.OwnRequest(body.id, body.code, body.service)
    digest = service.vault.digest(body.model_dump_json().encode())
    try:
        taken = await own_requests.take_own_request(
            session, vault=service.vault, request=request, digest=digest, now=datetime.now(UTC)
        )
    except CodeUnknown:
        zh, en = (
            "没有这个查询码，或该查询码不能在此申请；请核对回执，或到服务站、打电话办理。",
            "No such code, or none that asks here: compare it with your receipt, or ask at the station or by phone.",
        )
        raise Problem(404, "code-unknown", zh, en, refusal=False) from None
    except TooManyOwnRequests:
        zh, en = "今日申请已达上限，请明日再试或联系服务站。", "So many requests a day are taken; come again tomorrow."
        raise Problem(429, "too-many-requests", zh, en, headers={"Retry-After": "86400"}) from None
    if taken.again:
        response.status_code = 200
    [code] = taken.follow_codes.values()
    return OwnRequestTaken(record_id=body.id, follow_code=code, recorded_at=taken.recorded_at)


@router.post("/api/orders", status_code=201, tags=["orders"])
@attempts(Action.HAND_IN_ORDER)
@visible_to(Visibility.HOTLINE)
async def hand_in_order(
    body: OrderBody, principal: PrincipalDep, session: SessionDep, service: ServiceDep, response: Response
) -> OrderAnswer:
    """Hand in an order of the 12345 hotline. Its number sent again with the same content is answered again (200)."""
    service.policy.authorize(principal, "hand-in-order", Resource("order", station=principal.station))
    if principal.station is None:
        zh, en = "令牌中没有站点。", "The token names no station."
        raise Problem(403, "no-station", zh, en)
    record = _checked(body.record(orders.record_id_of(service.vault, principal, body.number)))
    digest = service.vault.digest(body.model_dump_json().encode())
    taken = await orders.take_order(
        session, vault=service.vault, principal=principal, order=body.order(), record=record, digest=digest
    )
    if taken.again:
        response.status_code = 200
    return OrderAnswer(receipt=taken.order_id, received_at=taken.received_at.astimezone(UTC))


def _checked(record: Record) -> Record:
    """The `record` with its papers normalised; a problem that names every flaw otherwise."""
    now = datetime.now(UTC)
    found = flaws(record, now=now)
    subjects: list[Subject] = []
    for index, subject in enumerate(record.subjects):
        try:
            subjects.append(_with_papers(subject, now))
        except PaperInvalid as error:
            found.append(Flaw(("subjects", index, "document_number"), *error.args))
    if found:
        faults = [Fault(pointer(flaw.path), flaw.zh, flaw.en) for flaw in found]
        zh, en = f"有 {len(faults)} 处内容无效，请改正后重发。", f"{len(faults)} places are not valid; mend and resend."
        raise Problem(422, "invalid", zh, en, faults=faults)
    return Record(
        record.record_id, record.file_id, record.continues, record.channel, record.visited_at, tuple(subjects)
    )


def _with_papers(subject: Subject, now: datetime) -> Subject:
    card = subject.card
    if subject.kind is not SubjectKind.PERSON or card.document_kind is None or card.document_number is None:
        return subject
    number = normalised(PaperKind(card.document_kind), card.document_number, today=now.date())
    return Subject(subject.subject_id, subject.kind, card.model_copy(update={"document_number": number}), subject.facts)


def _refused(where: str, zh: str, en: str, **more: Any) -> Problem:
    return Problem(422, "invalid", zh + "。", en[0].upper() + en[1:] + ".", faults=[Fault(where, zh, en)], **more)
