"""The peer's triage: what was wished for is needed."""

from typing import Any
from uuid import UUID, uuid4

import orjson
from sqlalchemy import select

from bench.peer.running import Peer, log
from bench.peer.tables import NeedRow
from doorstep.contracts.needs import NEED_TYPES

NEEDS = "peer.needs"
_WISH = "wish."


async def on_facts(peer: Peer, event: dict[str, Any]) -> None:
    """Find the needs of a record once, then publish them."""
    record_id = UUID(event["record_id"])
    async with peer.sessions() as session:
        if (await session.execute(select(NeedRow.need_id).where(NeedRow.record_id == record_id))).first() is not None:
            return
        needs = [need for subject in event["subjects"] for need in _needs(subject)]
        for need in needs:
            session.add(
                NeedRow(
                    need_id=UUID(need["need_id"]),
                    record_id=record_id,
                    subject_id=UUID(need["subject_id"]),
                    need_type=need["need_type"],
                    content=orjson.dumps(need).decode(),
                )
            )
            log(session, "assess-needs", UUID(need["subject_id"]), purpose="triage")
        await session.commit()
    if needs:
        found = {name: event[name] for name in ("record_id", "file_id", "station")}
        await peer.publish(NEEDS, UUID(event["file_id"]), {**found, "needs": needs})


def _needs(subject: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for fact in subject["facts"]:
        code = fact["code"].removeprefix(_WISH)
        if fact["code"].startswith(_WISH) and fact["value"] is True and code in NEED_TYPES:
            card = {name: value for name, value in subject.items() if name != "facts"}
            found.append({**card, "need_id": str(uuid4()), "need_type": code, "facts": [fact]})
    return found
