"""What a department's consumer remembers in a file: each message of its feed once, in order, and what was done.

What a message does and that it was done is one transaction. A consumer may be ended at any moment, read its feed from
the beginning again, and does nothing twice; a broker's offsets are not needed. What was withdrawn or is over, goes.
"""

import sqlite3
import ssl
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import UUID

from doorstep.contracts.envelope import Envelope
from doorstep.contracts.feeds import RequestOffered, RequestWithdrawn
from doorstep.contracts.wire import Headers, MalformedEvent, from_message

Effect = dict[str, str]
"""`effect` is offered, withdrawn or set-aside; `id` of the message, and of what could be read `ref` and `need_type`."""
_TABLES = """
    CREATE TABLE IF NOT EXISTS last (key PRIMARY KEY, number);
    CREATE TABLE IF NOT EXISTS aside (id, value);
    CREATE TABLE IF NOT EXISTS request (ref PRIMARY KEY, event, delete_by);
"""


class Inbox:
    """The requests of a department: table `request`, its `event` as it was decrypted, its `delete_by` in seconds."""

    def __init__(self, file: str, decrypt: Callable[[bytes], bytes]) -> None:
        """Open or make `file`; `decrypt` gives the plain text of a message, or raises ValueError."""
        self._db = sqlite3.connect(file)
        self._db.executescript(_TABLES)
        self._decrypt = decrypt
        self._waiting: defaultdict[UUID, dict[int, tuple[Envelope, bytes]]] = defaultdict(dict)

    def take(self, headers: Headers, key: bytes | None, value: bytes | None) -> list[Effect]:
        """Do what this message asks for, and those that waited for it; nothing if it is known or waits itself.

        What cannot be decrypted is set aside for a person to look at. Raises MalformedEvent.
        """
        envelope, data = from_message(headers, key, value)
        if envelope.number is None:
            raise MalformedEvent("the message has no number")
        waiting, whose = self._waiting[envelope.key], str(envelope.key)
        waiting[envelope.number] = (envelope, data)
        known = self._db.execute("SELECT number FROM last WHERE key = ?", (whose,)).fetchone()
        last: int = known[0] if known else envelope.number - 1
        for number in [number for number in waiting if number <= last]:
            del waiting[number]
        effects = []
        while last + 1 in waiting:
            last += 1
            with self._db:
                effects += self._act(*waiting.pop(last))
                self._db.execute("INSERT OR REPLACE INTO last VALUES (?, ?)", (whose, last))
                self._db.execute("DELETE FROM request WHERE delete_by < ?", (time.time(),))
        return effects

    def _act(self, envelope: Envelope, value: bytes) -> list[Effect]:
        """Of a type that is not known nothing is done."""
        done: Effect = {"effect": "set-aside", "id": str(envelope.id)}
        if envelope.type not in (RequestOffered.event_type, RequestWithdrawn.event_type):
            return []
        try:
            plain = self._decrypt(value)
        except ValueError:
            self._db.execute("INSERT INTO aside VALUES (?, ?)", (str(envelope.id), value))
            return [done]
        if envelope.type == RequestWithdrawn.event_type:
            ref = str(RequestWithdrawn.model_validate_json(plain).ref)
            self._db.execute("DELETE FROM request WHERE ref = ?", (ref,))
            return [done | {"effect": "withdrawn", "ref": ref}]
        event = RequestOffered.model_validate_json(plain)
        ref, until = str(event.offer.ref), event.delete_by.timestamp()
        self._db.execute("INSERT OR REPLACE INTO request VALUES (?, ?, ?)", (ref, plain, until))
        return [done | {"effect": "offered", "ref": ref, "need_type": event.offer.need_type}]


def sign_in_options(environment: Mapping[str, str]) -> dict[str, object]:
    """How an aiokafka client signs in at the broker; empty where FEED_USER is not set.

    FEED_PASSWORD_FILE has the password. It goes over TLS unless FEED_SECURITY says otherwise. Raises KeyError, OSError.
    """
    user, protocol = environment.get("FEED_USER"), environment.get("FEED_SECURITY", "SASL_SSL")
    if not user:
        return {}
    password = Path(environment["FEED_PASSWORD_FILE"]).read_text(encoding="utf-8").strip()
    options: dict[str, object] = {"security_protocol": protocol, "sasl_mechanism": "SCRAM-SHA-512"}
    options |= {"sasl_plain_username": user, "sasl_plain_password": password}
    return options | ({"ssl_context": ssl.create_default_context()} if protocol == "SASL_SSL" else {})
