"""What triage does on the events of others: facts that were asserted are read by the rules."""

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.envelope import Event
from doorstep.contracts.registry import FactsAsserted
from doorstep.kit.consumer import Handler, Received
from doorstep.kit.vault import Vault
from doorstep.risk.domain.compiler import CompiledPack
from doorstep.risk.operations import assess_record


def handlers(vault: Vault, pack: CompiledPack) -> Mapping[type[Event], Handler]:
    """Event type to what is done about it."""

    async def on_facts_asserted(session: AsyncSession, received: Received) -> None:
        await assess_record(session, event=received.event, vault=vault, pack=pack)

    return {FactsAsserted: on_facts_asserted}
