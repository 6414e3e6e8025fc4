"""A department's consumer: each message of its feed once, in order, remembered in one transaction with what was done.

Reads FEED_KAFKA (HOST:PORT), FEED_TOPIC, FEED_KEYS (a JWK Set with the private keys) and FEED_STATE (a file that is
kept), where one signs in also FEED_USER, FEED_PASSWORD_FILE and FEED_SECURITY; tells one line of JSON for each effect.
"""

import asyncio
import json
import os
import sqlite3
import time
from collections import defaultdict
from pathlib import Path
from ssl import create_default_context

from aiokafka import AIOKafkaConsumer, TopicPartition
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from doorstep.contracts.feeds import RequestOffered, RequestWithdrawn
from doorstep.contracts.wire import MalformedEvent, from_message

TABLES = """CREATE TABLE IF NOT EXISTS last (key PRIMARY KEY, number); CREATE TABLE IF NOT EXISTS aside (id, value);
            CREATE TABLE IF NOT EXISTS request (ref PRIMARY KEY, event, delete_by);"""
WAITING = defaultdict(dict)  # key -> number -> a message that came before the one that it follows


def act(db, envelope, value):
    """Do what the event asks for; tells what was done, None for a type that is not known."""
    if envelope.type not in (RequestOffered.event_type, RequestWithdrawn.event_type):
        return None
    try:
        keys = KeySet.import_key_set(json.loads(Path(os.environ["FEED_KEYS"]).read_bytes()))
        data = jwe.decrypt_compact(value, keys, algorithms=["ECDH-ES+A256KW", "A256GCM"]).plaintext
    except (JoseError, ValueError):  # not for us: a person looks at it, the feed goes on
        db.execute("INSERT INTO aside VALUES (?, ?)", (str(envelope.id), value))
        return {"effect": "set-aside", "id": str(envelope.id)}
    if envelope.type == RequestWithdrawn.event_type:
        ref = str(RequestWithdrawn.model_validate_json(data).ref)
        db.execute("DELETE FROM request WHERE ref = ?", (ref,))
        return {"effect": "withdrawn", "id": str(envelope.id), "ref": ref}
    event = RequestOffered.model_validate_json(data)
    ref, until = str(event.offer.ref), event.delete_by.timestamp()
    db.execute("INSERT OR REPLACE INTO request VALUES (?, ?, ?)", (ref, data, until))
    return {"effect": "offered", "id": str(envelope.id), "ref": ref, "need_type": event.offer.need_type}


def take(db, envelope, value):
    """Act on this message, and on those that waited for it; on one that is known already do nothing."""
    waiting, key = WAITING[envelope.key], str(envelope.key)
    waiting[envelope.number] = (envelope, value)
    known = db.execute("SELECT number FROM last WHERE key = ?", (key,)).fetchone()
    last = known[0] if known else envelope.number - 1
    for number in [number for number in waiting if number <= last]:
        del waiting[number]
    while last + 1 in waiting:
        last += 1
        with db:
            done = act(db, *waiting.pop(last))
            db.execute("INSERT OR REPLACE INTO last VALUES (?, ?)", (key, last))
            db.execute("DELETE FROM request WHERE delete_by < ?", (time.time(),))
        if done:
            print(json.dumps(done), flush=True)


def signed_in():
    """The client options to sign in at the broker, over TLS unless FEED_SECURITY says otherwise."""
    user, protocol = os.environ.get("FEED_USER"), os.environ.get("FEED_SECURITY", "SASL_SSL")
    if not user:
        return {}
    password = Path(os.environ["FEED_PASSWORD_FILE"]).read_text(encoding="utf-8").strip()
    options = {"security_protocol": protocol, "sasl_mechanism": "SCRAM-SHA-512"}
    options |= {"sasl_plain_username": user, "sasl_plain_password": password}
    return options | ({"ssl_context": create_default_context()} if protocol == "SASL_SSL" else {})


async def main():
    """Read the feed from its beginning: what was done is in the state, and not in the broker's offsets."""
    db = sqlite3.connect(os.environ["FEED_STATE"])
    db.executescript(TABLES)
    kafka, begin = os.environ["FEED_KAFKA"], "earliest"
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset=begin, fetch_max_wait_ms=100, **signed_in())
    await consumer.start()
    consumer.assign([TopicPartition(os.environ["FEED_TOPIC"], 0)])
    try:
        async for message in consumer:
            try:
                take(db, *from_message(message.headers, message.key, message.value))
            except MalformedEvent as error:
                print(json.dumps({"set aside at offset": message.offset, "why": str(error)}), flush=True)
    finally:
        await consumer.stop()


asyncio.run(main())
