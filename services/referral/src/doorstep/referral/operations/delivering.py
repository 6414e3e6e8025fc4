"""Delivering feeds: a projection is opened and encrypted for its department's current key when it leaves.

By topic, pull and webhook the same leaves: the same event under the same id, encrypted anew each time.
"""

import base64
import time
from typing import Any

import orjson
from joserfc.jwk import OKPKey
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Department
from doorstep.contracts.envelope import JOSE, SPEC_VERSION
from doorstep.contracts.wire import format_time
from doorstep.kit import outbox
from doorstep.kit.db import Database
from doorstep.kit.delivery import encrypt_for, public_key
from doorstep.kit.relay import NotDeliverable, Withdrawn
from doorstep.kit.vault import SubjectErased, Vault
from doorstep.referral import queries
from doorstep.referral.operations.placing import FeedRow

SOURCE = "doorstep/referral"
SIZES = 256
"""A message is filled up with spaces to a multiple of so many bytes: its length tells of no name or address."""

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
        return await encode_for(await self._key(row.recipient), self._vault, row)

    async def _key(self, department: str) -> OKPKey:
        if time.monotonic() - self._read >= _KEYS_SERVE:
            async with self._database.transaction() as session:
                self._keys = {name: public_key(jwk) for name, jwk in await queries.current_keys(session)}
            self._read = time.monotonic()
        if department not in self._keys:
            raise NotDeliverable(department)
        return self._keys[department]


async def current_key(session: AsyncSession, department: Department) -> OKPKey:
    """The key that messages leave for now. Raises NotDeliverable."""
    for name, jwk in await queries.current_keys(session):
        if name == department:
            return public_key(jwk)
    raise NotDeliverable(department)


async def encode_for(key: OKPKey, vault: Vault, row: Any) -> bytes:
    """The projection in `row` as compact JWE for `key`. Raises Withdrawn when the subject was erased."""
    try:
        ring = await vault.ring([row.subject])
        projection = ring.decrypt(row.subject, outbox.feed_context(row.key), row.body)
    except SubjectErased:
        raise Withdrawn from None
    return encrypt_for(key, projection + b" " * (-len(projection) % SIZES))


def cloud_event(row: FeedRow, value: bytes) -> dict[str, Any]:
    """A feed's message as one CloudEvent in JSON (structured mode), `value` its JWE.

    It says what the message on the topic says: whole minutes, and no id that another department could know too.
    """
    return {
        "specversion": SPEC_VERSION,
        "id": str(row.id),
        "source": SOURCE,
        "type": row.type,
        "time": format_time(row.time.replace(second=0, microsecond=0)),
        "datacontenttype": JOSE,
        "partitionkey": str(row.key),
        "number": row.number,
        "data_base64": base64.b64encode(value).decode(),
    }


def structured(row: FeedRow, value: bytes) -> bytes:
    """The same as the body of a webhook."""
    return orjson.dumps(cloud_event(row, value))
