"""Departments' keys: one is current, the next may be published before its time, any may be taken back.

Messages leave for the key that came into use last and was not taken back, also when they leave again. Invariants: a key
id names one key for good; a key that was taken back comes into use no more, under whatever id.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, Department
from doorstep.kit import intents
from doorstep.kit.vault import NOBODY, Vault
from doorstep.referral import queries
from doorstep.referral.domain.keys import KeyState, WithdrawnFor
from doorstep.referral.errors import KeyIdTaken, KeyNeeded, KeyUnknown, KeyWithdrawn
from doorstep.referral.operations.access import Access
from doorstep.referral.queries import KeyRow

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('department-key:' || :department, 0))")
_REGISTER = text(
    """
    INSERT INTO department_key (department, kid, jwk, registered_at, registered_by, use_from)
    VALUES (:department, :kid, CAST(:jwk AS jsonb), :now, :person, :use_from)
    """
)
_WITHDRAW = text(
    """
    UPDATE department_key SET withdrawn_at = :now, withdrawn_by = :person, withdrawn_for = :reason
    WHERE department = :department AND kid = :kid
    """
)


async def register_department_key(
    session: AsyncSession,
    *,
    vault: Vault,
    access: Access,
    department: Department,
    kid: str,
    jwk: dict[str, Any],
    now: datetime,
    use_from: datetime | None = None,
) -> bool:
    """Make `jwk`, a public X25519 key, the department's current one, or from `use_from` on; whether it is new.

    The same key under the same id changes nothing; raises KeyIdTaken for another key under a known id, and KeyWithdrawn
    for a key that was taken back.
    """
    known = await _locked(session, department)
    same = next((one for one in known if one.kid == kid), None)
    if same is not None and same.jwk != jwk:
        raise KeyIdTaken
    if any(one.withdrawn_at is not None and one.jwk["x"] == jwk["x"] for one in known):
        raise KeyWithdrawn
    if same is not None:
        return False
    row = {
        "department": department,
        "kid": kid,
        "jwk": orjson.dumps(jwk, option=orjson.OPT_SORT_KEYS).decode(),
        "now": now,
        "person": access.principal.subject,
        "use_from": use_from,
    }
    await session.execute(_REGISTER, row)
    await _log(session, vault, access, Action.REGISTER_KEY)
    return True


async def withdraw_department_key(
    session: AsyncSession,
    *,
    vault: Vault,
    access: Access,
    department: Department,
    kid: str,
    reason: WithdrawnFor,
    now: datetime,
) -> None:
    """Take a key back: nothing leaves for it any more. Done again, it changes nothing.

    Raises KeyUnknown, and KeyNeeded where the only usable key is to be retired; a compromised one goes in any case, and
    the feed waits for another.
    """
    known = await _locked(session, department)
    found = next((one for one in known if one.kid == kid), None)
    if found is None:
        raise KeyUnknown
    if found.withdrawn_at is not None:
        return
    others = [one for one in known if one.usable(now) and one.kid != kid]
    if reason is WithdrawnFor.RETIRED and found.usable(now) and not others:
        raise KeyNeeded
    await session.execute(
        _WITHDRAW,
        {"now": now, "person": access.principal.subject, "reason": reason, "department": department, "kid": kid},
    )
    await _log(session, vault, access, Action.WITHDRAW_KEY, outcome=reason)


def key_states(keys: Sequence[KeyRow], now: datetime) -> list[tuple[KeyRow, KeyState]]:
    """Each of a department's `keys`, ordered as they come into use, with what it is used for at `now`."""
    usable = [one.kid for one in keys if one.usable(now)]
    current = usable[-1] if usable else None
    return [(one, _state(one, current, now)) for one in keys]


def _state(key: KeyRow, current: str | None, now: datetime) -> KeyState:
    if key.withdrawn_at is not None:
        return KeyState.WITHDRAWN
    if not key.usable(now):
        return KeyState.NEXT
    return KeyState.CURRENT if key.kid == current else KeyState.PREVIOUS


async def _locked(session: AsyncSession, department: Department) -> list[KeyRow]:
    """The department's keys, which nobody else changes until the transaction ends."""
    await session.execute(_LOCK, {"department": department})
    return await queries.department_keys(session, department)


async def _log(session: AsyncSession, vault: Vault, access: Access, action: Action, outcome: str = "done") -> None:
    ring = await vault.ring([NOBODY], create=True)
    intent = intents.Intent(action, [NOBODY], outcome=outcome, policies=access.policies)
    intents.record(session, ring, intent, principal=access.principal)
