"""Which event intake takes to which use case."""

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.envelope import Event
from doorstep.contracts.registry import FileOpened, SubjectErased
from doorstep.intake.operations import erase_subject
from doorstep.kit.consumer import Handler, Received
from doorstep.kit.edge import open_file


async def _on_subject_erased(session: AsyncSession, received: Received) -> None:
    event: SubjectErased = received.event
    await erase_subject(session, subject_id=event.subject_id)


async def _on_file_opened(session: AsyncSession, received: Received) -> None:
    await open_file(session, received.event)


HANDLERS: Mapping[type[Event], Handler] = {SubjectErased: _on_subject_erased, FileOpened: _on_file_opened}
