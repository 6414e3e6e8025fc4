"""Documents of a request: its department attaches, lists and reads them, the station reads those of an outcome."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import UUID7

from doorstep.contracts.codes import Action, Department
from doorstep.contracts.documents import DOCUMENT_NAMES, DocumentForm, DocumentKind
from doorstep.kit import idempotency
from doorstep.kit.policy import Resource
from doorstep.kit.problems import Fault, Problem
from doorstep.kit.service import PrincipalDep, ServiceDep, SessionDep, Visibility, WhyDep, attempts, visible_to
from doorstep.referral import queries
from doorstep.referral.api.commands import digest
from doorstep.referral.api.departments import access_of
from doorstep.referral.api.parts import station_of
from doorstep.referral.domain.deadlines import whole_minute
from doorstep.referral.domain.documents import SUFFIXES
from doorstep.referral.operations import documents
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.documents import Document, New
from doorstep.referral.schemas import Answer, Body

router = APIRouter(tags=["documents"])

_OF_DEPARTMENT = "/api/departments/{department}/requests/{ref}/documents"
_OF_STATION = "/api/requests/{request_id}/documents"
_FILE = {form.value: {"schema": {"type": "string", "format": "binary"}} for form in DocumentForm}
_TAKEN = {"requestBody": {"required": True, "content": _FILE}}
_TOLD: dict[int | str, dict[str, Any]] = {200: {"content": _FILE}}


class ErrorBody(Body):
    """A document was attached in error."""

    id: UUID7


class DocumentView(Answer):
    """A document: what it is, `zh` and `en` its name, its SHA-256 in hex, and for its department who attached it."""

    document_id: UUID
    kind: str
    zh: str
    en: str
    media_type: DocumentForm
    bytes: int
    sha256: str
    attached_at: datetime
    attached_by: str | None = None


class StationDocument(DocumentView):
    """A document with the part of the request that it belongs to, and that part's department."""

    part: int
    department: Department


class Documents(Answer):
    """The documents of a department's request, oldest first."""

    documents: tuple[DocumentView, ...]


class StationDocuments(Answer):
    """The documents that came with the outcomes of a request, oldest first."""

    documents: tuple[StationDocument, ...]


class ErrorAnswer(Answer):
    """The document is listed no more."""

    document_id: UUID


@router.put(f"{_OF_DEPARTMENT}/{{document_id}}", response_model_exclude_none=True, openapi_extra=_TAKEN)
@attempts(Action.ATTACH_DOCUMENT, "ref", queries.subjects_of_ref)
@visible_to(Visibility.DEPARTMENT)
async def attach(
    department: Department,
    ref: UUID,
    document_id: UUID7,
    request: Request,
    service: ServiceDep,
    principal: PrincipalDep,
    session: SessionDep,
    kind: Annotated[DocumentKind | None, Query(description="What it is; needed.")] = None,
) -> DocumentView:
    """Attach a PDF, PNG or JPEG of at most 5 MiB, sent as it is, under an id that the sender makes (UUIDv7).

    The same again is the same; other bytes, or another kind, under this id are refused.
    """
    allowed = service.policy.authorize(principal, "transition-task", Resource("request", department=department))
    if kind is None:
        zh, en = "请指定 kind。", "Name a kind."
        raise Problem(422, "invalid", zh, en, faults=[Fault("/query/kind", zh, en)])
    file, form = await request.body(), _form(request)
    about = f"{department}\n{ref}\n{kind}\n{form}\n"
    sent = service.vault.digest(about.encode() + file)
    access = Access(principal, policies=allowed.policies)
    mine: dict[str, Any] = {"vault": service.vault, "access": access, "department": department, "ref": ref}
    if await idempotency.claim(session, principal, document_id, sent, answer={"ref": str(ref)}) is not None:
        return _view(await documents.attached_before(session, **mine, document_id=document_id))
    new = New(document_id, kind, form, file)
    return _view(await documents.attach_document(session, **mine, new=new, now=datetime.now(UTC)))


@router.get(_OF_DEPARTMENT, response_model_exclude_none=True)
@attempts(Action.READ_DOCUMENT, "ref", queries.subjects_of_ref)
@visible_to(Visibility.DEPARTMENT)
async def list_own(
    department: Department,
    ref: UUID,
    service: ServiceDep,
    principal: PrincipalDep,
    why: WhyDep,
    session: SessionDep,
) -> Documents:
    """The documents of the department's own request. The case is its `ref`."""
    access = replace(access_of(service, principal, "read-request", department, why.purpose), case=why.case)
    found = await documents.list_documents(session, vault=service.vault, access=access, department=department, ref=ref)
    return Documents(documents=tuple(_view(one) for one in found))


@router.get(f"{_OF_DEPARTMENT}/{{document_id}}", response_class=Response, responses=_TOLD)
@attempts(Action.READ_DOCUMENT, "ref", queries.subjects_of_ref)
@visible_to(Visibility.DEPARTMENT)
async def read_own(
    department: Department,
    ref: UUID,
    document_id: UUID,
    service: ServiceDep,
    principal: PrincipalDep,
    why: WhyDep,
    session: SessionDep,
) -> Response:
    """A document of the department's own request, to be saved. The case is the request's `ref`."""
    access = replace(access_of(service, principal, "read-request", department, why.purpose), case=why.case)
    found, file = await documents.read_document(
        session, vault=service.vault, access=access, department=department, ref=ref, document_id=document_id
    )
    return _saved(found, file)


@router.post(f"{_OF_DEPARTMENT}/{{document_id}}/entered-in-error")
@attempts(Action.ATTACH_DOCUMENT, "ref", queries.subjects_of_ref)
@visible_to(Visibility.DEPARTMENT)
async def enter_in_error(
    department: Department,
    ref: UUID,
    document_id: UUID,
    body: ErrorBody,
    service: ServiceDep,
    principal: PrincipalDep,
    session: SessionDep,
) -> ErrorAnswer:
    """Say that a document does not belong to the request; it is listed and read no more."""
    allowed = service.policy.authorize(principal, "transition-task", Resource("request", department=department))
    sent = digest(service.vault, body, "document", department, ref, document_id)
    if await idempotency.claim(session, principal, body.id, sent, answer={"ref": str(ref)}) is None:
        await documents.enter_in_error(
            session,
            vault=service.vault,
            access=Access(principal, policies=allowed.policies),
            department=department,
            ref=ref,
            document_id=document_id,
            now=datetime.now(UTC),
        )
    return ErrorAnswer(document_id=document_id)


@router.get(_OF_STATION, response_model_exclude_none=True)
@attempts(Action.READ_DOCUMENT, "request_id", queries.subjects_of_request)
@visible_to(Visibility.STATION)
async def list_for_station(
    request_id: UUID, service: ServiceDep, principal: PrincipalDep, why: WhyDep, session: SessionDep
) -> StationDocuments:
    """The documents that came with the outcomes of a request of the station; of what is confidential none."""
    found = await documents.list_for_station(
        session,
        vault=service.vault,
        policy=service.policy,
        principal=principal,
        why=why,
        station=station_of(principal),
        request_id=request_id,
    )
    return StationDocuments(documents=tuple(_station_view(one) for one in found))


@router.get(f"{_OF_STATION}/{{document_id}}", response_class=Response, responses=_TOLD)
@attempts(Action.READ_DOCUMENT, "request_id", queries.subjects_of_request)
@visible_to(Visibility.STATION)
async def read_for_station(
    request_id: UUID,
    document_id: UUID,
    service: ServiceDep,
    principal: PrincipalDep,
    why: WhyDep,
    session: SessionDep,
) -> Response:
    """One of them, to be saved. The case is the request, its record or its file."""
    found, file = await documents.read_for_station(
        session,
        vault=service.vault,
        policy=service.policy,
        principal=principal,
        why=why,
        station=station_of(principal),
        request_id=request_id,
        document_id=document_id,
    )
    return _saved(found, file)


def _form(request: Request) -> DocumentForm | None:
    """The form that the sender names."""
    named = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return DocumentForm(named) if named in set(DocumentForm) else None


def _fields(found: Document) -> dict[str, Any]:
    kind, about = found.about.kind, found.about
    zh, en = DOCUMENT_NAMES[DocumentKind(kind)] if kind in set(DocumentKind) else (kind, kind)
    return {
        "document_id": found.document_id,
        "kind": kind,
        "zh": zh,
        "en": en,
        "media_type": about.form,
        "bytes": about.size,
        "sha256": about.sha256,
    }


def _view(found: Document) -> DocumentView:
    """A document as its department sees it."""
    at = whole_minute(found.attached_at)
    return DocumentView(**_fields(found), attached_at=at, attached_by=found.attached_by)


def _station_view(found: Document) -> StationDocument:
    """A document as the station sees it."""
    department = Department(str(found.task.department))
    return StationDocument(**_fields(found), attached_at=found.attached_at, part=found.task.part, department=department)


def _saved(found: Document, file: bytes) -> Response:
    """A file that a browser saves and neither shows nor keeps, under a name that says nothing."""
    name = f"{found.document_id}.{SUFFIXES[found.about.form]}"
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return Response(file, media_type=found.about.form, headers=headers)
