"""The use case of proxies: a person, by their own code, lets another follow their matters, or takes that back."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, ProxyScope, Purpose
from doorstep.contracts.registry import ProxyGrant, ProxyNamed
from doorstep.kit import intents, outbox
from doorstep.kit.intents import Intent
from doorstep.kit.vault import Vault
from doorstep.registry import queries


async def name_proxy(
    session: AsyncSession,
    *,
    vault: Vault,
    code: str,
    scopes: Sequence[ProxyScope],
    until: datetime | None,
    now: datetime,
) -> str | None:
    """Tell who shows what to a proxy of the code's person, in the place of the one before; gives the proxy's code.

    Without `until` there is no proxy from now on. An unknown code gets a code that opens nothing. The code is kept
    nowhere in clear: an answer that was lost is made good by naming the proxy again.
    """
    new = None if until is None else vault.new_code()
    found = await queries.mention_of_code(session, vault.follow_index(code))
    if found is None:
        return new
    file_id, subject_id = found
    ring = await vault.ring([subject_id])
    if subject_id not in ring:
        return new
    grant = None
    if new is not None and until is not None:
        grant = ring.seal(subject_id, ProxyGrant(code=new, scopes=tuple(sorted(set(scopes))), until=until))
    event = ProxyNamed(file_id=file_id, subject_id=subject_id, grant=grant, named_at=now)
    outbox.add(session, event, key=file_id, subject=subject_id)
    intents.record(session, ring, Intent(Action.NAME_PROXY, [subject_id], purpose=Purpose.RESIDENT_REQUEST))
    return new
