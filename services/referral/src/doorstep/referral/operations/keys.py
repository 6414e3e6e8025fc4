"""Departments' keys: the newest public key is the one that a department's feed is encrypted for."""

from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, Department
from doorstep.kit import intents
from doorstep.kit.vault import NOBODY, Vault
from doorstep.referral.errors import KeyIdTaken
from doorstep.referral.operations.access import Access

_REGISTER = text(
    """
    INSERT INTO department_key (department, kid, jwk, registered_at, registered_by)
    VALUES (:department, :kid, CAST(:jwk AS jsonb), :now, :person)
    ON CONFLICT (department, kid) DO NOTHING RETURNING kid
    """
)
_KNOWN = text("SELECT jwk FROM department_key WHERE department = :department AND kid = :kid")


async def register_department_key(
    session: AsyncSession,
    *,
    vault: Vault,
    access: Access,
    department: Department,
    kid: str,
    jwk: dict[str, Any],
    now: datetime,
) -> bool:
    """Make `jwk`, a public X25519 key, the department's current one; whether it is new.

    The same key under the same id changes nothing; raises KeyIdTaken for another key under a known id.
    """
    row = {
        "department": department,
        "kid": kid,
        "jwk": orjson.dumps(jwk, option=orjson.OPT_SORT_KEYS).decode(),
        "now": now,
        "person": access.principal.subject,
    }
    if (await session.execute(_REGISTER, row)).first() is None:
        known = (await session.execute(_KNOWN, {"department": department, "kid": kid})).scalar_one()
        if known != jwk:
            raise KeyIdTaken
        return False
    ring = await vault.ring([NOBODY], create=True)
    intent = intents.Intent(Action.REGISTER_KEY, [NOBODY], policies=access.policies)
    intents.record(session, ring, intent, principal=access.principal)
    return True
