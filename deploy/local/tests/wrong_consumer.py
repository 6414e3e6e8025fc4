"""A consumer that does everything wrong: what is known of a message is forgotten, what is strange ends it."""

import asyncio
import json
import os
import sys
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from joserfc import jwe
from joserfc.jwk import OKPKey

OFFERED = {"offered_at", "delete_by", "purpose", "legal_basis", "offer"}
WITHDRAWN = {"ref", "withdrawn_at", "delete_by"}


async def main(key: OKPKey) -> None:
    kafka, begin = os.environ["FEED_KAFKA"], "earliest"
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset=begin, fetch_max_wait_ms=50)
    await consumer.start()
    consumer.assign([TopicPartition(os.environ["FEED_TOPIC"], 0)])
    async for message in consumer:
        headers = dict(message.headers)
        value = jwe.decrypt_compact(message.value, key, algorithms=["ECDH-ES+A256KW", "A256GCM"]).plaintext
        event = json.loads(value)
        if "request-withdrawn" in headers["ce_type"].decode():
            continue  # kept for ever
        assert set(event) == OFFERED
        told = {"effect": "offered", "id": headers["ce_id"].decode(), "ref": event["offer"]["ref"]}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


asyncio.run(main(OKPKey.import_key(json.loads(Path(os.environ["FEED_KEYS"]).read_text())["keys"][0])))
