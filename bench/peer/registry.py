"""The peer's registry: the facts of a record go into the household's file."""

import hashlib
import hmac
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bench.peer.running import Peer, log
from bench.peer.tables import FactRow, FileRow, MentionRow, PersonRow

FACTS = "peer.facts"


async def on_visit(peer: Peer, event: dict[str, Any]) -> None:
    """Store the facts of a record, each household's file under lock; then publish them."""
    file_id = UUID(event["file_id"])
    async with peer.sessions() as session:
        file = await session.get(FileRow, file_id, with_for_update=True)
        if file is None:
            file = FileRow(file_id=file_id, station=event["station"], version=0)
            session.add(file)
        file.version += 1
        for subject in event["subjects"]:
            await _keep(session, peer, file_id, subject)
        await session.commit()
    await peer.publish(FACTS, file_id, {**event, "file_version": file.version})


async def _keep(session: AsyncSession, peer: Peer, file_id: UUID, subject: dict[str, Any]) -> None:
    subject_id = UUID(subject["subject_id"])
    mention = await session.get(MentionRow, subject_id)
    if mention is not None:  # the message came again
        return
    person = await _person(session, peer, subject) if subject["kind"] == "person" else None
    card = {name: value for name, value in subject.items() if name not in ("facts", "subject_id", "kind")}
    session.add(
        MentionRow(
            subject_id=subject_id,
            file_id=file_id,
            person_id=None if person is None else person.person_id,
            card=orjson.dumps(card).decode(),
        )
    )
    await session.flush()
    session.add_all(
        FactRow(fact_id=UUID(fact["fact_id"]), subject_id=subject_id, content=orjson.dumps(fact).decode())
        for fact in subject["facts"]
    )
    log(session, "assert-facts", subject_id, purpose="intake")


async def _person(session: AsyncSession, peer: Peer, subject: dict[str, Any]) -> PersonRow:
    number = subject.get("document_number")
    paper = None if number is None else hmac.new(peer.settings.key, number.encode(), hashlib.sha256).digest()
    person = None
    if paper is not None:
        person = (await session.execute(select(PersonRow).where(PersonRow.paper == paper))).scalar_one_or_none()
    if person is None:
        person = PersonRow(paper=paper)
        session.add(person)
        await session.flush()
    return person
