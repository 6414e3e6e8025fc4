"""What triage does on the events of others: the rules read facts that were asserted; who is erased is forgotten."""

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.envelope import Event
from doorstep.contracts.registry import ExclusionsNamed, FactsAsserted, FileOpened, HouseholdLeft, SubjectErased
from doorstep.kit.consumer import Handler, Received
from doorstep.kit.edge import open_file
from doorstep.kit.exclusions import exclude, move
from doorstep.kit.vault import Vault
from doorstep.risk.domain.compiler import CompiledPack
from doorstep.risk.operations import assess_record, erase_subject


def handlers(vault: Vault, pack: CompiledPack) -> Mapping[type[Event], Handler]:
    """Event type to what is done about it."""

    async def on_facts_asserted(session: AsyncSession, received: Received) -> None:
        await assess_record(session, event=received.event, vault=vault, pack=pack)

    async def on_subject_erased(session: AsyncSession, received: Received) -> None:
        event: SubjectErased = received.event
        await erase_subject(session, subject_id=event.subject_id)

    async def on_exclusions_named(session: AsyncSession, received: Received) -> None:
        event: ExclusionsNamed = received.event
        await exclude(session, event.subject_ids, event.staff)

    async def on_file_opened(session: AsyncSession, received: Received) -> None:
        await open_file(session, received.event)

    async def on_household_left(session: AsyncSession, received: Received) -> None:
        await move(session, received.event)

    return {
        FactsAsserted: on_facts_asserted,
        SubjectErased: on_subject_erased,
        ExclusionsNamed: on_exclusions_named,
        FileOpened: on_file_opened,
        HouseholdLeft: on_household_left,
    }
