"""A station at work for one department: hands in what made-up residents ask for, takes some back, follows the rest."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import ValidationError

from doorstep.contracts.codes import Department, Reason, TaskState
from doorstep.contracts.facts import CATALOGUE
from doorstep.contracts.needs import NEED_TYPES
from doorstep.contracts.referral import RequestOpened, TaskTransitioned
from doorstep.contracts.topics import TOPIC_OF
from doorstep.contracts.wire import MalformedEvent, from_message
from doorstep.local.front_door import Body, FrontDoor, Refused, fresh_id
from doorstep.local.neighbourhood import Town
from doorstep.local.records import CONSENTS, Statement, person, record

_WITHDRAWN_OF_TEN = 2
_FETCH_WAIT_MS = 100

Tell = Callable[[str, int, str], None]
"""Told what happened (`sent`, `withdrawn`, or a state that the department set), to which request, and of which need."""


@dataclass
class Asked:
    """A request as the station knows it; without `request_id` it is still on its way to the department."""

    number: int
    need_type: str
    request_id: UUID | None = None
    version: int = 1


def wishes_of(department: Department) -> list[str]:
    """What a resident can ask `department` for, so that it is handed on without anybody's decision."""
    needs = (need.code for need in NEED_TYPES.values() if need.department is department)
    return [code for code in needs if f"wish.{code}" in CATALOGUE]


def wish(department: Department, seed: int, number: int, *, now: datetime) -> tuple[str, Body]:
    """The `number`th made-up wish of this seed: its need, and the record to be handed in."""
    rng = Random(f"{seed} {number}")  # noqa: S311 - made up, not secret
    code = rng.choice(wishes_of(department))
    resident = Town(rng, now.date()).resident(
        age=rng.randint(18, 90), sex=rng.choice(("female", "male")), relation="head"
    )
    statements = [Statement("identity.birth-year", resident.born.year), Statement(f"wish.{code}", True), CONSENTS]
    return code, record(rng, [person(resident, statements)], now=now)


class Station:
    """Collector and reviewer of a station whose residents ask for what one department owes."""

    def __init__(self, department: Department, collector: FrontDoor, reviewer: FrontDoor, tell: Tell) -> None:
        """Ask for `department`; what happens is told to `tell`."""
        self._department = department
        self._collector = collector
        self._reviewer = reviewer
        self._tell = tell
        self._asked: dict[UUID, Asked] = {}

    async def ask(self, *, seed: int, every: float, count: int | None) -> None:
        """Hand in a wish `every` so many seconds, `count` in all or without end."""
        choosing = Random(seed)  # noqa: S311 - made up, not secret
        number = 0
        while count is None or number < count:
            number += 1
            need_type, body = wish(self._department, seed, number, now=datetime.now(UTC))
            asked = self._asked[UUID(body["record_id"])] = Asked(number, need_type)
            withdrawn = choosing.randrange(10) < _WITHDRAWN_OF_TEN
            try:
                await self._collector.hand_in(body)
                await asyncio.sleep(every)
                if withdrawn:
                    await self._withdraw(asked)
            except (aiohttp.ClientError, TimeoutError, Refused):  # a service that is away ends the stack, not we
                self._tell("not-sent", number, need_type)
                await asyncio.sleep(every)

    async def follow(self, kafka: str) -> None:
        """Follow what becomes of the requests, without end. Raises KafkaError."""
        topic = TOPIC_OF[RequestOpened]
        consumer = AIOKafkaConsumer(
            bootstrap_servers=kafka, auto_offset_reset="earliest", fetch_max_wait_ms=_FETCH_WAIT_MS
        )
        await consumer.start()
        try:
            consumer.assign([TopicPartition(topic.name, one) for one in range(topic.partitions)])
            async for message in consumer:
                with suppress(MalformedEvent, ValidationError):  # whoever tries the broker out may write anything
                    self._heard(message)
        finally:
            await consumer.stop()

    def _heard(self, message: Any) -> None:
        envelope, value = from_message(message.headers, message.key, message.value)
        if envelope.type == RequestOpened.event_type:
            opened = RequestOpened.model_validate_json(value)
            asked = self._asked.get(opened.record_id)
            if asked is not None:
                asked.request_id = opened.request_id
                self._tell("sent", asked.number, asked.need_type)
        elif envelope.type == TaskTransitioned.event_type:
            moved = TaskTransitioned.model_validate_json(value)
            asked = self._asked.get(moved.record_id)
            if asked is not None:
                asked.version = moved.version
                state = "withdrawn" if moved.to_state is TaskState.CANCELLED else str(moved.to_state)
                self._tell(state, asked.number, asked.need_type)

    async def _withdraw(self, asked: Asked) -> None:
        """Take a request back on the resident's word; one that the department just moved or closed stays."""
        if asked.request_id is None:
            return
        body = {"id": str(fresh_id()), "to": "cancelled", "reason": str(Reason.RESIDENT_WITHDREW)}
        headers = {"If-Match": f'"{asked.version}"'}
        with suppress(Refused):
            await self._reviewer.call("POST", f"/api/requests/{asked.request_id}/transitions", body, headers=headers)
