"""Separation of duties: on one record a person is collector, reviewer or supervisor, the first of them for good."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Role
from doorstep.kit.auth import Principal
from doorstep.kit.db import run
from doorstep.kit.policy import Policy, Resource
from doorstep.kit.vault import Vault

STAFF = "staff"

_NOTE = """
    INSERT INTO duty (record_id, person, role) VALUES (:record_id, :person, :role) ON CONFLICT DO NOTHING
"""
# Of two duties that somebody takes at once one waits, and is told which the other was.
_TAKE = """
    INSERT INTO duty (record_id, person, role)
    SELECT record_id, :person, :role FROM request WHERE request_id = :request_id AND station = :station
    ON CONFLICT (record_id, person) DO UPDATE SET role = duty.role RETURNING role
"""


_TAKE_OF_ORDER = """
    INSERT INTO duty (record_id, person, role)
    SELECT record_id, :person, :role FROM (
        SELECT record_id FROM hotline_order WHERE order_id = :order_id AND station = :station
        UNION SELECT r.record_id FROM order_request l JOIN request r USING (request_id)
        WHERE l.order_id = :order_id AND r.station = :station
    ) of_order ORDER BY record_id
    ON CONFLICT (record_id, person) DO UPDATE SET role = duty.role RETURNING role
"""


async def note_duty(session: AsyncSession, record_id: UUID, person: UUID | None, role: Role) -> None:
    """Somebody, by pseudonym, has a duty on a record, unless they had another; nobody of an older event has."""
    if person is not None:
        await run(session, _NOTE, {"record_id": record_id, "person": person, "role": role})


async def take_duty(
    session: AsyncSession,
    *,
    vault: Vault,
    policy: Policy,
    principal: Principal,
    action: str,
    station: str,
    request_id: UUID,
) -> tuple[str, ...]:
    """Have the caller do `action` to a request of the station as who they are; the policies that permit it.

    Raises Forbidden where they have another duty on the request's record. An unknown request has none.
    """
    values = {
        "person": vault.pairwise(STAFF, principal.subject),
        "role": principal.role,
        "request_id": request_id,
        "station": station,
    }
    held = [row["role"] for row in await run(session, _TAKE, values)]
    duty = held[0] if held else None
    thing = Resource("request", own_record=duty == Role.COLLECTOR, duty=duty)
    return policy.authorize(principal, action, thing).policies


async def take_order_duty(
    session: AsyncSession,
    *,
    vault: Vault,
    policy: Policy,
    principal: Principal,
    action: str,
    station: str,
    order_id: UUID,
) -> tuple[str, ...]:
    """Have the caller do `action` to an order of the station as who they are; the policies that permit it.

    Raises Forbidden where they have another duty on its record, or on that of a request that answers it.
    """
    values = {
        "person": vault.pairwise(STAFF, principal.subject),
        "role": principal.role,
        "order_id": order_id,
        "station": station,
    }
    held = {row["role"] for row in await run(session, _TAKE_OF_ORDER, values)}
    duty = next(iter(sorted(held - {principal.role}) or sorted(held)), None)
    thing = Resource("order", station=station, own_record=Role.COLLECTOR in held, duty=duty)
    return policy.authorize(principal, action, thing).policies
