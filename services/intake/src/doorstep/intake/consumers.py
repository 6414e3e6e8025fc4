"""Which event intake takes to which use case."""

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.envelope import Event
from doorstep.contracts.registry import SubjectErased
from doorstep.intake.operations import erase_subject
from doorstep.kit.consumer import Handler, Received


async def _on_subject_erased(session: AsyncSession, received: Received) -> None:
    event: SubjectErased = received.event
    await erase_subject(session, subject_id=event.subject_id)


HANDLERS: Mapping[type[Event], Handler] = {SubjectErased: _on_subject_erased}
