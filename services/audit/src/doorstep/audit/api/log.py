"""The log over HTTP: checkpoint, tiles and entry bundles as C2SP tlog-tiles names them, and proofs of inclusion.

All of that is public: an entry says nothing to whoever does not hold its detail. How the log fits what services
promised is for auditors and operators; there are numbers in it and nothing else.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from email.utils import format_datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.audit import queries
from doorstep.audit.domain import qr
from doorstep.audit.domain.errors import Malformed, TooLong
from doorstep.audit.domain.note import encode_base64
from doorstep.audit.domain.tiles import BUNDLE, Tile, encode_bundle, parse_path
from doorstep.audit.errors import EntryPending, EntryUnknown
from doorstep.audit.operations.matching import SENDERS
from doorstep.audit.operations.proving import prove_inclusion, receipt
from doorstep.audit.schemas import GapShown, Inclusion, Promises, PromisesOf
from doorstep.contracts.codes import Action
from doorstep.kit.policy import Resource
from doorstep.kit.problems import Problem
from doorstep.kit.service import PrincipalDep, ServiceDep, SessionDep, Visibility, attempts, visible_to

router = APIRouter(prefix="/api/log", tags=["log"])

TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"
SVG = "image/svg+xml"
IMMUTABLE = "public, max-age=31536000, immutable"
MOMENT = "public, max-age=1"
_AS_BYTES: dict[int | str, dict[str, Any]] = {
    200: {"content": {BYTES: {"schema": {"type": "string", "format": "binary"}}}}
}
_AS_SVG: dict[int | str, dict[str, Any]] = {200: {"content": {SVG: {"schema": {"type": "string"}}}}}
_AS_TEXT: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}


@router.get("/checkpoint", response_class=Response, responses=_AS_TEXT)
@visible_to(Visibility.PUBLIC)
async def read_checkpoint(session: SessionDep) -> Response:
    """The newest signed checkpoint, since Last-Modified, with the cosignatures that are there for it."""
    size, note = await _newest(session)
    signed_at = format_datetime((await queries.signed_at(session, size)).astimezone(UTC), usegmt=True)
    headers = {"Cache-Control": MOMENT, "Last-Modified": signed_at}
    return Response(await queries.cosigned(session, size, note), media_type=TEXT, headers=headers)


@router.get("/witnessed-checkpoint", response_class=Response, responses=_AS_TEXT)
@visible_to(Visibility.PUBLIC)
async def read_witnessed_checkpoint(request: Request, session: SessionDep) -> Response:
    """The newest checkpoint that a quorum of the log's witnesses cosigned, with their cosignatures."""
    witnessed = await queries.newest_witnessed(session, request.app.state.trusted)
    if witnessed is None:
        zh, en = "尚无足够见证方联署的检查点。", "No checkpoint has the cosignatures of enough witnesses yet."
        raise Problem(404, "not-witnessed", zh, en)
    return Response(witnessed[1], media_type=TEXT, headers={"Cache-Control": MOMENT})


@router.get("/vkey", response_class=Response, responses=_AS_TEXT)
@visible_to(Visibility.PUBLIC)
async def read_verifier_key(request: Request) -> Response:
    """The newest key that verifies checkpoints. Whoever relies on it gets it on another way than from here."""
    return Response(f"{request.app.state.verifier_keys[0]}\n", media_type=TEXT, headers={"Cache-Control": MOMENT})


@router.get("/vkeys", response_class=Response, responses=_AS_TEXT)
@visible_to(Visibility.PUBLIC)
async def read_verifier_keys(request: Request) -> Response:
    """The keys that verify checkpoints, old ones too: one a line, the newest first."""
    keys = "".join(f"{key}\n" for key in request.app.state.verifier_keys)
    return Response(keys, media_type=TEXT, headers={"Cache-Control": MOMENT})


@router.get("/tile/{path:path}", response_class=Response, responses=_AS_BYTES)
@visible_to(Visibility.PUBLIC)
async def read_tile(path: str, session: SessionDep) -> Response:
    """A tile `<L>/<N>[.p/<W>]`, or an entry bundle `entries/<N>[.p/<W>]`, under the newest checkpoint."""
    try:
        tile = parse_path(f"tile/{path}")
    except Malformed:
        raise _nothing_there() from None
    size, _ = await _newest(session)
    data = await _read(session, tile) if tile.within(size) else None
    if data is None:
        raise _nothing_there()
    return Response(data, media_type=BYTES, headers={"Cache-Control": IMMUTABLE})


@router.get("/proof/inclusion")
@visible_to(Visibility.PUBLIC)
async def read_inclusion_proof(entry_id: UUID, session: SessionDep) -> Inclusion:
    """A proof that an entry is under the newest checkpoint."""
    with _telling_what_is_not_there():
        proof = await prove_inclusion(session, entry_id=entry_id)
    return Inclusion(
        entry_id=entry_id,
        index=proof.index,
        size=proof.size,
        leaf_hash=encode_base64(proof.leaf),
        proof=[encode_base64(hash_) for hash_ in proof.hashes],
        checkpoint=proof.checkpoint.decode(),
    )


@router.get("/proof/receipt", response_class=Response, responses=_AS_TEXT)
@visible_to(Visibility.PUBLIC)
async def read_receipt(entry_id: UUID, request: Request, session: SessionDep) -> Response:
    """The receipt of an entry (C2SP tlog-proof): checked without the log, it tells nothing to a stranger."""
    with _telling_what_is_not_there():
        made = await receipt(session, entry_id=entry_id, trusted=request.app.state.trusted)
    return Response(made.encode(), media_type=TEXT)


@router.get("/proof/receipt.svg", response_class=Response, responses=_AS_SVG)
@visible_to(Visibility.PUBLIC)
async def read_receipt_as_qr(entry_id: UUID, request: Request, session: SessionDep) -> Response:
    """The receipt of an entry as a QR code that holds its text; none for an entry with very many commitments."""
    with _telling_what_is_not_there():
        made = await receipt(session, entry_id=entry_id, trusted=request.app.state.trusted)
    try:
        drawn = qr.svg(made.encode())
    except TooLong:
        zh, en = "凭证超出一个二维码的容量，请取其文本。", "The receipt is too long for one QR code; fetch its text."
        raise Problem(413, "receipt-too-long", zh, en) from None
    return Response(drawn, media_type=SVG)


@router.get("/manifests")
@attempts(Action.LIST_GAPS)
@visible_to(Visibility.OPERATOR)
async def read_manifests(
    service: ServiceDep,
    session: SessionDep,
    principal: PrincipalDep,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Promises:
    """How the log fits what services promised in their manifests, and at most `limit` gaps."""
    service.policy.authorize(principal, "list-gaps", Resource("manifest"))
    return Promises(
        services=[PromisesOf.model_validate(row) for row in await queries.promises(session, SENDERS)],
        gaps=[GapShown.model_validate(row) for row in await queries.gaps(session, limit=limit)],
    )


@contextmanager
def _telling_what_is_not_there() -> Iterator[None]:
    try:
        yield
    except EntryUnknown:
        zh, en = "日志中没有这一条。", "The log has no such entry."
        raise Problem(404, "entry-unknown", zh, en) from None
    except EntryPending:
        zh, en = "该条已收到，尚未签名，请稍后再试。", "The entry is stored and not signed yet; try again in a moment."
        raise Problem(404, "entry-pending", zh, en, headers={"Retry-After": "1"}) from None


async def _newest(session: AsyncSession) -> tuple[int, bytes]:
    newest = await queries.newest_checkpoint(session)
    if newest is None:
        zh, en = "日志尚未开始。", "The log has not begun."
        raise Problem(503, "log-not-begun", zh, en, headers={"Retry-After": "1"})
    return newest


async def _read(session: AsyncSession, tile: Tile) -> bytes | None:
    if tile.level != BUNDLE:
        return await queries.tile(session, tile)
    rows = await queries.rows(session, tile.start, tile.start + tile.width)
    return encode_bundle([body for _, body, _ in rows]) if len(rows) == tile.width else None


def _nothing_there() -> Problem:
    zh, en = "日志中没有这一块。", "The log has no such tile under its newest checkpoint."
    return Problem(404, "no-such-tile", zh, en)
