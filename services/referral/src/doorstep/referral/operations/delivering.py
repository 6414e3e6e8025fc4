"""Delivering feeds: a projection is opened and encrypted for its department's current key when it leaves."""

import time
from typing import Any

from joserfc.jwk import OKPKey

from doorstep.kit import outbox
from doorstep.kit.db import Database
from doorstep.kit.delivery import encrypt_for, public_key
from doorstep.kit.relay import NotDeliverable, Withdrawn
from doorstep.kit.vault import SubjectErased, Vault
from doorstep.referral import queries

_KEYS_SERVE = 1.0


class FeedEncoder:
    """Encodes the relay's rows for a recipient; looks at the departments' keys at most once a second."""

    def __init__(self, database: Database, vault: Vault) -> None:
        """Read keys of departments from `database`, keys of subjects from `vault`."""
        self._database = database
        self._vault = vault
        self._keys: dict[str, OKPKey] = {}
        self._read = -_KEYS_SERVE

    async def encode(self, row: Any) -> bytes:
        """The value for `row.recipient` (compact JWE).

        Raises NotDeliverable while the department has no key, which holds its topic alone, and Withdrawn when the
        subject was erased.
        """
        key = await self._key(row.recipient)
        try:
            ring = await self._vault.ring([row.subject])
            projection = ring.decrypt(row.subject, outbox.feed_context(row.key), row.body)
        except SubjectErased:
            raise Withdrawn from None
        return encrypt_for(key, projection)

    async def _key(self, department: str) -> OKPKey:
        if time.monotonic() - self._read >= _KEYS_SERVE:
            async with self._database.transaction() as session:
                self._keys = {name: public_key(jwk) for name, jwk in await queries.current_keys(session)}
            self._read = time.monotonic()
        if department not in self._keys:
            raise NotDeliverable(department)
        return self._keys[department]
