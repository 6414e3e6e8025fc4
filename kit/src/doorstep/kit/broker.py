"""The Kafka cluster: producers, consumers, topics, and what lies at the end of a partition."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from ssl import create_default_context
from typing import Any, Literal
from uuid import UUID

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError, for_code

from doorstep.contracts.topics import TOPICS, Topic, consumed_by, produced_by
from doorstep.kit.wakeups import Bell, NoBell, Ringer

_EXISTS = 36
_NOT_OURS_TO_MAKE = 29  # where users have rights, topics are made beforehand
_TAIL_WAIT_MS = 50
_RUNG_WAIT_MS = 10
_GAP_AFTER = 3.0
_ANSWERS_WITHIN = 30.0
_STOPS_WITHIN = 5.0


@contextmanager
def broken_off() -> Iterator[None]:
    """Raise KafkaConnectionError where a client's own task was cancelled; that ours is to end stays as it is.

    A client hands on the cancelling of a task of its own, by itself or by a time limit, to whoever waits for it.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise KafkaConnectionError("broken off") from error


async def stop(client: AIOKafkaConsumer | AIOKafkaProducer) -> None:
    """Stop `client`, within seconds and whatever is wrong with its broker."""
    with suppress(KafkaError, OSError, TimeoutError), broken_off():
        async with asyncio.timeout(_STOPS_WITHIN):
            await client.stop()


def signing_in(
    user: str, password: str, *, protocol: Literal["SASL_PLAINTEXT", "SASL_SSL"], ca: Path | None = None
) -> dict[str, Any]:
    """The client options to sign in by SCRAM-SHA-512, over TLS against the certificates in `ca` or the system's.

    Raises ValueError if `ca` holds no certificates.
    """
    options: dict[str, Any] = {
        "security_protocol": protocol,
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": user,
        "sasl_plain_password": password,
    }
    if protocol == "SASL_SSL":
        options["ssl_context"] = create_default_context(cafile=ca)
    return options


class Broker:
    """A cluster reached at `bootstrap` (HOST:PORT, several by commas), with the client options of its security."""

    def __init__(
        self,
        bootstrap: str,
        *,
        replication: int = 1,
        fetch_wait_ms: int = 500,
        bells: Path | None = None,
        session_ms: int = 6_000,
        **security: Any,
    ) -> None:
        """Use the cluster at `bootstrap`, with `replication` copies of new topics.

        A fetch waits up to `fetch_wait_ms` for new messages: Kafka answers as soon as there are any. The embedded
        broker answers when the time is over; there the producer of messages rings the `bells` of their consumers, in a
        folder of the machine, and fetches are `fetch_wait_ms` apart. A consumer that says nothing for `session_ms` has
        left its group; Kafka itself accepts no less than six seconds.
        `security` goes to every client: the SASL and TLS settings of aiokafka.
        """
        self._replication = replication
        self._fetch_wait_ms = fetch_wait_ms
        self._bells = bells
        self._ringer = None if bells is None else Ringer(bells)
        self._session_ms = session_ms
        self.bootstrap = bootstrap
        self._security = security
        self._observer: AIOKafkaConsumer | None = None
        self._opening = asyncio.Lock()

    async def producer(self) -> AIOKafkaProducer:
        """A started producer that waits for all replicas. Raises KafkaError while no broker answers."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap,
            acks="all",
            request_timeout_ms=10_000,
            metadata_max_age_ms=30_000,
            max_batch_size=1_000_000,
            **self._security,
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        return producer

    def consumer(self, group: str | None = None) -> AIOKafkaConsumer:
        """A consumer, not started, that commits nothing by itself and begins at the earliest message."""
        return AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=self._fetch_wait_ms if self._bells is None else _RUNG_WAIT_MS,
            session_timeout_ms=self._session_ms,
            heartbeat_interval_ms=self._session_ms // 3,
            max_poll_interval_ms=300_000,
            metadata_max_age_ms=30_000,
            **self._security,
        )

    def bell(self, group: str, *, ending: asyncio.Event) -> NoBell:
        """What has a consumer of `group` fetch when messages came, and when `ending` is set. Raises OSError."""
        if self._bells is None:
            return NoBell()
        self._bells.mkdir(mode=0o700, exist_ok=True)  # again, if whoever cleans temporary folders was here
        return Bell(self._bells, group, rest=self._fetch_wait_ms / 1000, ending=ending)

    def ring(self, topic: str) -> None:
        """Tell the consumers of `topic` that the broker has messages for them, if it does not do that itself.

        Who takes a topic without being one of our groups is told by the topic's name.
        """
        known = TOPICS.get(topic)
        if self._ringer is not None and known is not None:
            self._ringer.ring(known.groups or (topic,))

    async def ensure_topics(self, service: str) -> None:
        """Make the topics that `service` produces or consumes, with their dead letters, where they do not exist."""
        wanted = [*produced_by(service), *consumed_by(service)]
        topics = [self._new(topic.name, topic) for topic in wanted]
        topics += [self._new(topic.dead_letter(service), topic, 1) for topic in consumed_by(service)]
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap, **self._security)
        try:
            await admin.start()
            answer = await admin.create_topics(topics)
        finally:
            await admin.close()
        for _, code, *_ in answer.topic_errors:
            if code not in (0, _EXISTS, _NOT_OURS_TO_MAKE):
                raise for_code(code)

    def _new(self, name: str, topic: Topic, partitions: int | None = None) -> NewTopic:
        return NewTopic(
            name=name,
            num_partitions=partitions or topic.partitions,
            replication_factor=self._replication,
            topic_configs={"retention.ms": str(topic.retention_days * 86_400_000)},
        )

    async def ends(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """An offset near the end of each partition: never beyond it, and beyond the first message of the last batch.

        Raises KafkaError.
        """
        wanted = list(places)
        if not wanted:  # the client would wait for an answer to a question that it never asks
            return {}
        observer = await self._observing()
        try:
            return dict(await observer.end_offsets(wanted))
        except KafkaError:
            await self._forget_observer()
            raise

    async def _observing(self) -> AIOKafkaConsumer:
        async with self._opening:  # two that ask at once share one
            if self._observer is None:
                observer = self.consumer()
                try:
                    await observer.start()
                except BaseException:
                    await observer.stop()
                    raise
                self._observer = observer
            return self._observer

    async def tails(
        self, starts: Mapping[TopicPartition, int]
    ) -> AsyncIterator[tuple[TopicPartition, list[ConsumerRecord[Any, Any]]]]:
        """The messages from the given offset to the end of each partition.

        A partition without such messages does not appear; one that ends before its offset appears with an empty list.
        A log that gives nothing for three seconds although it says that there is more has a gap at its end: so the
        embedded broker leaves it when a topic is made again behind a message. Raises KafkaError if no broker answers.
        """
        reader = self.consumer()
        await reader.start()
        try:
            reader.assign(list(starts))
            for place, offset in starts.items():
                reader.seek(place, offset)
            behind, quiet_since = set(starts), time.monotonic()
            while behind:
                found = await reader.getmany(timeout_ms=_TAIL_WAIT_MS)
                quiet_since = time.monotonic() if found else quiet_since
                for place, messages in found.items():
                    later = [message for message in messages if message.offset >= starts[place]]
                    if later:
                        yield place, later
                for place, end in await _reached(reader, behind):
                    behind.discard(place)
                    if end < starts[place]:
                        yield place, []
                if _given_up(reader, behind, time.monotonic() - quiet_since):
                    break
        finally:
            await reader.stop()

    async def close(self) -> None:
        """Close what was opened."""
        if self._ringer is not None:
            self._ringer.close()
        await self._forget_observer()

    async def _forget_observer(self) -> None:
        if self._observer is not None:
            observer, self._observer = self._observer, None
            await observer.stop()


def _given_up(reader: AIOKafkaConsumer, behind: Iterable[TopicPartition], quiet: float) -> bool:
    """Whether nothing more will come of `behind`, after so many quiet seconds. Raises KafkaTimeoutError."""
    if quiet > _ANSWERS_WITHIN:
        raise KafkaTimeoutError
    answered = all(reader.highwater(place) is not None for place in behind)
    return bool(quiet > _GAP_AFTER and answered)


async def _reached(reader: AIOKafkaConsumer, places: Iterable[TopicPartition]) -> list[tuple[TopicPartition, int]]:
    """Those of `places` that `reader` has read to their end, with that end."""
    ends = [(place, reader.highwater(place)) for place in sorted(places)]
    return [(place, end) for place, end in ends if end is not None and await reader.position(place) >= end]


def partition_of(key: UUID, partitions: int) -> int:
    """The partition of `key` among `partitions`: the same for every producer of the product."""
    return int.from_bytes(hashlib.blake2b(key.bytes, digest_size=4).digest()) % partitions
