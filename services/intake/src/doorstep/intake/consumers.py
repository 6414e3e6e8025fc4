"""Which event intake takes to which use case."""

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.envelope import Event
from doorstep.contracts.registry import ExclusionsNamed, FileOpened, HouseholdLeft, SubjectErased
from doorstep.intake import queries
from doorstep.intake.operations.records import erase_subject, index_moved_codes
from doorstep.kit.consumer import Handler, Received
from doorstep.kit.edge import open_file
from doorstep.kit.vault import Vault


async def _on_subject_erased(session: AsyncSession, received: Received) -> None:
    event: SubjectErased = received.event
    await erase_subject(session, subject_id=event.subject_id)


async def _on_exclusions_named(session: AsyncSession, received: Received) -> None:
    event: ExclusionsNamed = received.event
    await queries.exclude(session, event.subject_ids, event.staff)


async def _on_file_opened(session: AsyncSession, received: Received) -> None:
    await open_file(session, received.event)


def _moving(vault: Vault) -> Handler:
    async def on_household_left(session: AsyncSession, received: Received) -> None:
        event: HouseholdLeft = received.event
        sealed = bool(event.address_sealed)
        await queries.begin_file(session, event.file_id, event.station, event.left_at, sealed=sealed)
        await queries.move(session, event)
        await index_moved_codes(session, vault=vault)

    return on_household_left


def handlers(vault: Vault) -> Mapping[type[Event], Handler]:
    """What intake does with which event."""
    return {
        SubjectErased: _on_subject_erased,
        ExclusionsNamed: _on_exclusions_named,
        FileOpened: _on_file_opened,
        HouseholdLeft: _moving(vault),
    }
