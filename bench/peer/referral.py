"""The peer's referral: needs become requests, departments get them encrypted, and move them."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID, uuid4

import orjson
from fastapi import APIRouter, Depends, Header, HTTPException, Request, Response
from joserfc.jwk import OKPKey
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bench.peer.running import Peer, log
from bench.peer.settings import Caller, caller
from bench.peer.tables import DepartmentKeyRow, RequestRow, TransitionRow
from doorstep.contracts.codes import Department
from doorstep.contracts.envelope import JOSE, Envelope
from doorstep.contracts.facts import CATALOGUE
from doorstep.contracts.feeds import FEEDS, Offer, OfferedFact, RequestOffered
from doorstep.contracts.needs import NEED_TYPES, NeedType
from doorstep.contracts.topics import feed_topic
from doorstep.contracts.wire import to_headers
from doorstep.kit.delivery import encrypt_for, public_key
from doorstep.referral.schemas import KeyBody, TransitionBody

router = APIRouter(prefix="/api/departments/{department}")
TASKS = "peer.tasks"
_KEYS: dict[str, OKPKey] = {}
_STEPS = {"requested": {"accepted", "rejected"}, "accepted": {"in-progress", "completed"}, "in-progress": {"completed"}}


async def on_needs(peer: Peer, event: dict[str, Any]) -> None:
    """Open a request for each need, then tell its department and everybody else."""
    rows: list[RequestRow] = []
    async with peer.sessions() as session:
        for need in event["needs"]:
            need_id = UUID(need["need_id"])
            if (await session.execute(select(RequestRow).where(RequestRow.need_id == need_id))).first() is not None:
                continue
            row = _request(event, need)
            session.add(row)
            rows.append(row)
            log(session, "open-request", row.subject_id, purpose="service")
        await session.commit()
    for row in rows:
        await peer.publish(TASKS, row.file_id, {"request_id": row.request_id, "state": row.state, "version": 1})
        await _offer(peer, row)


def _request(event: dict[str, Any], need: dict[str, Any]) -> RequestRow:
    kind, now, ref = NEED_TYPES[need["need_type"]], datetime.now(UTC), uuid4()
    return RequestRow(
        need_id=UUID(need["need_id"]),
        record_id=UUID(event["record_id"]),
        file_id=UUID(event["file_id"]),
        subject_id=UUID(need["subject_id"]),
        department=kind.department,
        ref=ref,
        state="requested",
        version=1,
        opened_at=now,
        offer=_projection(kind, need, ref, now).model_dump_json(exclude_none=True),
        transitions=[TransitionRow(version=1, to_state="requested", at=now)],
    )


def _projection(kind: NeedType, need: dict[str, Any], ref: UUID, now: datetime) -> Offer:
    feed = FEEDS[kind.department]
    card = {**need, "place": need.get("description")}
    return Offer(
        ref=ref,
        subject_ref=uuid4(),
        need_type=kind.code,
        urgency=kind.urgency,
        respond_by=now + timedelta(hours=kind.respond_hours),
        complete_by=now + timedelta(days=kind.complete_days),
        facts=tuple(
            OfferedFact(code=fact["code"], value=fact["value"])
            for fact in need["facts"]
            if CATALOGUE[fact["code"]].kind in feed.fact_kinds
        ),
        **{name: card[name] for name in feed.fields if card.get(name) is not None},
    )


async def _offer(peer: Peer, row: RequestRow) -> None:
    kind, department = NEED_TYPES[Offer.model_validate_json(row.offer).need_type], Department(row.department)
    event = RequestOffered(
        offered_at=row.opened_at,
        delete_by=row.opened_at + timedelta(days=14),
        purpose=FEEDS[department].purpose,
        legal_basis=kind.legal_basis,
        offer=Offer.model_validate_json(row.offer),
    )
    envelope = Envelope(
        id=uuid4(), source="peer/referral", type=event.event_type, time=row.opened_at, key=row.ref, content_type=JOSE
    )
    value = encrypt_for(_KEYS[department], event.model_dump_json(exclude_none=True).encode())
    topic = feed_topic(department)
    await peer.producer.send_and_wait(topic, value, key=str(row.ref).encode(), headers=to_headers(envelope))


def _own(who: Caller, department: str) -> None:
    if who.role not in ("department-system", "officer") or who.agency != department:
        raise HTTPException(403)


async def _row(session: AsyncSession, department: str, ref: UUID, *, lock: bool = False) -> RequestRow:
    query = select(RequestRow).where(RequestRow.ref == ref, RequestRow.department == department)
    row = (await session.execute(query.with_for_update() if lock else query)).scalar_one_or_none()
    if row is None:
        raise HTTPException(404)
    return row


@router.put("/keys/{kid}")
async def put_key(
    department: str, kid: str, body: KeyBody, request: Request, who: Annotated[Caller, Depends(caller)]
) -> dict[str, str]:
    """Publish the key that the department's feed is encrypted for."""
    _own(who, department)
    jwk = {"kty": body.kty, "crv": body.crv, "x": body.x, "kid": kid}
    _KEYS[department] = public_key(jwk)
    async with request.app.state.peer.sessions() as session:
        await session.merge(DepartmentKeyRow(department=department, jwk=jwk))
        await session.commit()
    return {"kid": kid}


@router.get("/requests/{ref}")
async def read_request(
    department: str,
    ref: UUID,
    request: Request,
    response: Response,
    who: Annotated[Caller, Depends(caller)],
    doorstep_purpose: Annotated[str, Header()],
) -> dict[str, Any]:
    """One of the department's own requests, with its history."""
    _own(who, department)
    async with request.app.state.peer.sessions() as session:
        row = await _row(session, department, ref)
        log(session, "read-request", row.subject_id, actor=who.subject, purpose=doorstep_purpose)
        await session.commit()
    response.headers["ETag"] = f'"{row.version}"'
    history = [{"version": one.version, "to_state": one.to_state, "outcome": one.outcome} for one in row.transitions]
    return {
        "ref": ref, "state": row.state, "version": row.version, "offer": orjson.loads(row.offer), "history": history
    }  # fmt: skip


@router.post("/requests/{ref}/transitions")
async def transition(
    department: str,
    ref: UUID,
    body: TransitionBody,
    request: Request,
    response: Response,
    who: Annotated[Caller, Depends(caller)],
    if_match: Annotated[str, Header()],
) -> dict[str, Any]:
    """A step of the department, on the version that it saw."""
    _own(who, department)
    peer: Peer = request.app.state.peer
    async with peer.sessions() as session:
        row = await _row(session, department, ref, lock=True)
        if if_match.strip('"') != str(row.version):
            raise HTTPException(412)
        if body.to not in _STEPS.get(row.state, set()):
            raise HTTPException(409)
        row.state, row.version = body.to, row.version + 1
        step = TransitionRow(
            version=row.version, command_id=body.id, to_state=body.to, at=datetime.now(UTC), outcome=body.outcome
        )
        row.transitions.append(step)
        log(session, "transition-task", row.subject_id, actor=who.subject, purpose="service")
        await session.commit()
    event = {"request_id": row.request_id, "state": row.state, "version": row.version}
    await peer.publish(TASKS, row.file_id, event)
    response.headers["ETag"] = f'"{row.version}"'
    return {"ref": ref, "state": row.state, "version": row.version}
