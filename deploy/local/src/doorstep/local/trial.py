"""A feed made for one consumer on trial: real messages, encrypted for its keys, on a topic of its own."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID, uuid4

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import for_code
from joserfc.jwk import OKPKey

from doorstep.contracts.codes import Department, LegalBasis, Urgency
from doorstep.contracts.envelope import JOSE, Envelope, Event
from doorstep.contracts.feeds import FEED_DAYS, FEEDS, Offer, RequestOffered, RequestWithdrawn
from doorstep.contracts.needs import NEED_TYPES
from doorstep.contracts.wire import to_headers
from doorstep.kit.delivery import encrypt_for, new_private_key
from doorstep.local.neighbourhood import Town

UNKNOWN_TYPE = "feed.request-postponed.v1"
"""A type of event that no version of the contracts has."""
_UNKNOWN = {"x_added_later": {"in": ["a", "later", "version"]}}


@dataclass(frozen=True)
class Message:
    """A message of the feed as it travels, and what a consumer reads in it."""

    envelope: Envelope
    value: bytes
    ref: UUID
    need_type: str | None = None
    headers: Sequence[tuple[str, bytes]] = ()

    @property
    def id(self) -> str:
        """The event's id."""
        return str(self.envelope.id)


class KeyFile:
    """A JWK Set with the private keys of the consumer on trial: made for it, of no use for anything else."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._keys: list[OKPKey] = []

    def add(self) -> OKPKey:
        """Make a further key; the file holds it beside the earlier ones before a message is encrypted for it."""
        key = new_private_key(f"trial-{uuid4()}")
        self._keys.append(key)
        partial = self.path.with_suffix(".new")
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump({"keys": [one.as_dict(private=True) for one in self._keys]}, file)
        partial.replace(self.path)
        return key


@dataclass
class Feed:
    """What `producer` sends on `topic`; every message that was encrypted for the consumer is kept to be sent again."""

    producer: AIOKafkaProducer
    topic: str
    department: Department
    key: OKPKey
    sent: list[Message] = field(default_factory=list)
    epoch: int = 1
    rng: Random = field(default_factory=lambda: Random(7))  # noqa: S311 - made up, not secret

    async def send(self, *messages: Message) -> None:
        """Send `messages` in this order, and wait until the broker has them. Raises KafkaError."""
        for one in messages:
            headers = [*to_headers(one.envelope), *one.headers]
            key = str(one.envelope.key).encode()
            await self.producer.send_and_wait(self.topic, one.value, key, partition=0, headers=headers)

    def offered(self, number: int = 1, *, ref: UUID | None = None, key: OKPKey | None = None) -> Message:
        """A request on offer; `key` is whom it is encrypted for, if not for the consumer's current key."""
        event = self._offer(ref or uuid4())
        return self._message(event, event.offer.ref, number, key, event.offer.need_type)

    def withdrawn(self, offered: Message, number: int) -> Message:
        """That request is withdrawn."""
        now = _minute()
        event = RequestWithdrawn(ref=offered.ref, withdrawn_at=now, delete_by=now + timedelta(days=FEED_DAYS))
        return self._message(event, offered.ref, number, None, None)

    def with_unknown_fields(self) -> Message:
        """A request on offer as a later version may send it: with fields and a header that nobody knows yet."""
        event = self._offer(uuid4())
        document = event.model_dump(mode="json", exclude_none=True) | _UNKNOWN
        document["offer"] |= _UNKNOWN
        made = self._message(event, event.offer.ref, 1, None, event.offer.need_type, json.dumps(document).encode())
        return replace(made, headers=[("ce_addedlater", b"1")])

    def of_unknown_type(self, offered: Message, number: int) -> Message:
        """An event about that request whose type nobody knows yet."""
        made = self._message(self._offer(offered.ref), offered.ref, number, None, None)
        return replace(made, envelope=made.envelope.model_copy(update={"type": UNKNOWN_TYPE}))

    def replayed(self) -> list[Message]:
        """All that was sent, in order, as after a loss of the broker: a higher epoch, the same ids and numbers."""
        self.epoch += 1
        return [replace(one, envelope=one.envelope.model_copy(update={"epoch": self.epoch})) for one in self.sent]

    def _offer(self, ref: UUID) -> RequestOffered:
        now = _minute()
        person = Town(self.rng, now.date()).resident(age=self.rng.randint(20, 80), sex="female", relation="head")
        fields: dict[str, Any] = {
            "name": person.name,
            "phone": person.phone,
            "document_number": person.resident_id,
            "address": "清溪市幸福街道幸福里社区3号楼2单元502室",
            "place": "幸福里社区3号楼2单元楼道",
        }
        allowed = FEEDS[self.department].fields
        offer = Offer(
            ref=ref,
            subject_ref=uuid4(),
            need_type=self.rng.choice(needs_of(self.department)),
            urgency=Urgency.DAY,
            respond_by=now + timedelta(days=1),
            complete_by=now + timedelta(days=10),
            **{name: value for name, value in fields.items() if name in allowed},
        )
        return RequestOffered(
            offered_at=now,
            delete_by=now + timedelta(days=FEED_DAYS),
            purpose=FEEDS[self.department].purpose,
            legal_basis=str(LegalBasis.CONSENT),
            offer=offer,
        )

    def _message(
        self, event: Event, ref: UUID, number: int, key: OKPKey | None, need: str | None, data: bytes | None = None
    ) -> Message:
        envelope = Envelope(
            id=uuid4(),
            source="doorstep/referral",
            type=event.event_type,
            time=_minute(),
            key=ref,
            number=number,
            epoch=self.epoch,
            content_type=JOSE,
        )
        body = data or event.model_dump_json(exclude_none=True).encode()
        message = Message(envelope, encrypt_for(key or self.key, body), ref, need)
        self.sent.append(message)
        return message


async def make_topic(bootstrap: str, topic: str) -> None:
    """Make the trial's topic, of one partition as every feed. Raises KafkaError."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        answer = await admin.create_topics([NewTopic(name=topic, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()
    for _, code, *_ in answer.topic_errors:
        if code:
            raise for_code(code)


async def remove_topics(bootstrap: str, topics: Sequence[str]) -> None:
    """Remove the trial's topics from a broker that goes on. Raises KafkaError."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        await admin.delete_topics(list(topics))
    finally:
        await admin.close()


def needs_of(department: Department) -> list[str]:
    """The codes of what `department` may be asked for."""
    return [need.code for need in NEED_TYPES.values() if need.department is department]


def _minute() -> datetime:
    return datetime.now(UTC).replace(second=0, microsecond=0)
