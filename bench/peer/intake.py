"""The peer's intake: a record is validated and stored, and published after the commit."""

import hashlib
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, HTTPException, Request, Response

from bench.peer.running import Peer, log
from bench.peer.settings import Caller, caller
from bench.peer.tables import RecordRow, SubjectRow
from doorstep.intake.schemas import RecordBody

router = APIRouter()
VISITS = "peer.visits"
_CARD = {"name", "document_kind", "document_number", "phone", "address", "description"}


@router.post("/api/records", status_code=201)
async def record_visit(
    body: RecordBody, request: Request, response: Response, who: Annotated[Caller, Depends(caller)]
) -> dict[str, Any]:
    """Take a record; the same one again is answered again."""
    if who.role != "collector" or who.station is None:
        raise HTTPException(403)
    peer: Peer = request.app.state.peer
    digest = hashlib.sha256(body.model_dump_json().encode()).digest()
    async with peer.sessions() as session:
        known = await session.get(RecordRow, body.record_id)
        if known is not None:
            if known.digest != digest or known.recorded_by != who.subject:
                raise HTTPException(409)
            response.status_code = 200
            return _answer(body, known.recorded_at)
        now = datetime.now(UTC)
        subjects = [_subject(one.model_dump(mode="json", exclude_none=True)) for one in body.subjects]
        session.add(
            RecordRow(
                record_id=body.record_id,
                file_id=body.file_id,
                station=who.station,
                channel=body.channel,
                visited_at=body.visited_at,
                recorded_at=now,
                recorded_by=who.subject,
                digest=digest,
                subjects=subjects,
            )
        )
        for one in subjects:
            log(session, "record-visit", one.subject_id, actor=who.subject, purpose="intake")
        await session.commit()
    event = {**body.model_dump(mode="json", exclude_none=True), "station": who.station, "recorded_at": now}
    await peer.publish(VISITS, body.file_id, event)
    return _answer(body, now)


def _subject(one: dict[str, Any]) -> SubjectRow:
    card = {name: one[name] for name in _CARD if name in one}
    return SubjectRow(
        subject_id=one["subject_id"],
        kind=one["kind"],
        card=orjson.dumps(card).decode(),
        facts=orjson.dumps(one["facts"]).decode(),
    )


def _answer(body: RecordBody, recorded_at: datetime) -> dict[str, Any]:
    return {"record_id": body.record_id, "file_id": body.file_id, "recorded_at": recorded_at, "receipts": []}
