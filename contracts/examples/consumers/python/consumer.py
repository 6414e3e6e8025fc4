"""A department's consumer: it decrypts its feed, keeps its requests, and tells one line for each effect."""

import asyncio
import json
import os
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from doorstep.contracts.inbox import Inbox, sign_in_options
from doorstep.contracts.wire import MalformedEvent


def decrypt(value: bytes) -> bytes:
    keys = KeySet.import_key_set(json.loads(Path(os.environ["FEED_KEYS"]).read_bytes()))  # anew: keys are changed
    try:
        return jwe.decrypt_compact(value, keys, algorithms=["ECDH-ES+A256KW", "A256GCM"]).plaintext
    except JoseError as error:
        raise ValueError("this is for another key") from error


async def main() -> None:
    inbox, kafka = Inbox(os.environ["FEED_STATE"], decrypt), os.environ["FEED_KAFKA"]
    signed_in = sign_in_options(os.environ)
    async with AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest", **signed_in) as consumer:
        consumer.assign([TopicPartition(os.environ["FEED_TOPIC"], 0)])
        async for message in consumer:
            try:
                for effect in inbox.take(message.headers, message.key, message.value):
                    print(json.dumps(effect), flush=True)
            except MalformedEvent as error:
                print(json.dumps({"set aside at offset": message.offset, "why": str(error)}), flush=True)


asyncio.run(main())
