"""Which event the registry takes to which use case."""

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.envelope import Event
from doorstep.contracts.intake import VisitRecorded
from doorstep.contracts.referral import FactsAttested
from doorstep.kit.consumer import Handler, Received
from doorstep.kit.vault import Vault
from doorstep.registry.operations.attesting import take_attested
from doorstep.registry.operations.files import assert_facts


def handlers(vault: Vault) -> Mapping[type[Event], Handler]:
    """The events of intake and referral that the registry takes."""

    async def on_visit_recorded(session: AsyncSession, received: Received) -> None:
        await assert_facts(session, vault=vault, recorded=received.event)

    async def on_facts_attested(session: AsyncSession, received: Received) -> None:
        await take_attested(session, vault=vault, attested=received.event)

    return {VisitRecorded: on_visit_recorded, FactsAttested: on_facts_attested}
