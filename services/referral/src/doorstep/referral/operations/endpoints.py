"""Endpoints for webhooks: a department registers one address, gets a secret once, and has messages sent again.

Invariant: of two who change an endpoint, or change it while messages leave, the later change holds: what leaves was
read under a `generation`, and notes how far it came under no other.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid4

from doorstep.contracts.codes import Action, Department
from doorstep.kit import intents
from doorstep.kit.db import run
from doorstep.kit.vault import NOBODY, KeyRing, Vault
from doorstep.referral.domain.webhooks import SECRET_BYTES, address_of, shown_secret
from doorstep.referral.errors import AddressRefused, EndpointUnknown
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.placing import place_before, place_messages

OLD_SECRET_SERVES = timedelta(days=1)

_REGISTER = """
    INSERT INTO feed_endpoint (department, url, secret, registered_at, registered_by, generation)
    VALUES (:department, :url, :secret, :now, :person, :generation)
    ON CONFLICT (department) DO UPDATE SET
        url = excluded.url, secret = excluded.secret, old_secret = feed_endpoint.secret, old_secret_until = :until,
        registered_at = excluded.registered_at, registered_by = excluded.registered_by, state = 'active',
        generation = excluded.generation, failures = 0, refusals = 0, failing_since = NULL, last_status = NULL,
        next_attempt_at = now()
"""
_FIND = """
    SELECT e.url, e.state, e.registered_at, greatest(coalesce(f.last, 0) - e.delivered, 0) AS waiting, e.failures,
        e.failing_since, e.last_status, e.next_attempt_at
    FROM feed_endpoint e LEFT JOIN feed f USING (department) WHERE e.department = :department
"""
_DEAD = "SELECT id, status, died_at FROM feed_dead_letter WHERE department = :department ORDER BY died_at, id LIMIT 100"
_REMOVE = (
    "DELETE FROM feed_dead_letter WHERE department = :department",
    "DELETE FROM feed_endpoint WHERE department = :department RETURNING department",
)
_REWIND = """
    UPDATE feed_endpoint SET delivered = :place, state = 'active', generation = :generation, failures = 0, refusals = 0,
        failing_since = NULL, next_attempt_at = now()
    WHERE department = :department RETURNING department
"""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that the endpoint answered with the same refusal again and again."""

    id: UUID
    status: int
    died_at: datetime


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A department's endpoint and how it is doing; of its secret nothing."""

    url: str
    state: Literal["active", "paused", "gone"]
    registered_at: datetime
    waiting: int
    failures: int
    failing_since: datetime | None
    last_status: int | None
    next_attempt_at: datetime
    dead_letters: tuple[DeadLetter, ...]


async def register_endpoint(
    session: AsyncSession,
    *,
    vault: Vault,
    access: Access,
    department: Department,
    url: str,
    inside: bool,
    now: datetime,
) -> str:
    """Have the department's messages go to `url` from the oldest that is kept, or from where they were; gives a secret.

    It is shown this once; the one before it signs beside it for a day. Raises AddressRefused.
    """
    if address_of(url, inside=inside) is None:
        raise AddressRefused
    ring = await vault.ring([NOBODY], create=True)
    secret = secrets.token_bytes(SECRET_BYTES)
    values = {"department": department, "url": url, "secret": seal_secret(ring, department, secret), "now": now}
    values |= {"person": access.principal.subject, "generation": uuid4(), "until": now + OLD_SECRET_SERVES}
    await run(session, _REGISTER, values)
    _log(session, ring, access)
    return shown_secret(secret)


async def find_endpoint(session: AsyncSession, department: Department) -> Endpoint:
    """The department's endpoint. Raises EndpointUnknown."""
    rows = await run(session, _FIND, {"department": department})
    if not rows:
        raise EndpointUnknown
    dead = await run(session, _DEAD, {"department": department})
    return Endpoint(**dict(rows[0]), dead_letters=tuple(DeadLetter(*row) for row in dead))


async def remove_endpoint(session: AsyncSession, *, vault: Vault, access: Access, department: Department) -> None:
    """Send the department no webhooks any more. Raises EndpointUnknown."""
    letters, endpoint = _REMOVE
    await run(session, letters, {"department": department})
    if not await run(session, endpoint, {"department": department}):
        raise EndpointUnknown
    _log(session, await vault.ring([NOBODY], create=True), access)


async def replay_webhooks(
    session: AsyncSession, *, vault: Vault, access: Access, department: Department, since: datetime
) -> None:
    """Send the department's messages from `since` on again, under the same ids; also to an endpoint that was paused.

    Raises EndpointUnknown.
    """
    await place_messages(session, department)
    place = await place_before(session, department, since)
    values = {"department": department, "place": place, "generation": uuid4()}
    if not await run(session, _REWIND, values):
        raise EndpointUnknown
    _log(session, await vault.ring([NOBODY], create=True), access)


def seal_secret(ring: KeyRing, department: str, secret: bytes) -> bytes:
    """For `feed_endpoint.secret`."""
    return ring.encrypt(NOBODY, f"feed_endpoint.secret:{department}", secret)


def open_secret(ring: KeyRing, department: str, blob: bytes) -> bytes:
    """From `feed_endpoint.secret`."""
    return ring.decrypt(NOBODY, f"feed_endpoint.secret:{department}", blob)


def _log(session: AsyncSession, ring: KeyRing, access: Access) -> None:
    intent = intents.Intent(Action.CHANGE_ENDPOINT, [NOBODY], policies=access.policies)
    intents.record(session, ring, intent, principal=access.principal)
