"""One record's way through a running stack, told as it happens, from the door to the verified log."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from doorstep.audit.domain.note import SigningKey, VerifierKey
from doorstep.audit.domain.verify import VerificationFailed, verify_log
from doorstep.contracts.codes import Department
from doorstep.local.front_door import Body, FrontDoor, Refused
from doorstep.local.stack import Stack

STATION = "station-1"
_FINAL = frozenset({"completed", "rejected", "failed", "cancelled", "entered-in-error"})
_AT_ONCE = 12
_ROUNDS_STILL = 4
_LOOK = 0.15

Tell = Callable[[str, Body], None]
"""Told what happened: a step of the journey by its kind, or `taken`, `handed-in`, `log`."""


@dataclass
class Request:
    """A service request of the record, as the journey shows it."""

    need_id: str
    department: str
    state: str = "requested"


@dataclass
class Outcome:
    """How the record's way ended. Times are milliseconds, `entries` counts the log's."""

    record_id: str
    visible_ms: dict[str, float] = field(default_factory=dict)
    requests: dict[str, Request] = field(default_factory=dict)
    expected: set[str] = field(default_factory=set)
    entries: int = 0
    verified: bool = False
    failure: str | None = None
    seconds: float = 0.0

    @property
    def closed(self) -> bool:
        """Whether every need has its request and every request was completed."""
        answered = {request.need_id for request in self.requests.values()}
        return self.expected <= answered and all(one.state == "completed" for one in self.requests.values())

    def report(self) -> Body:
        """The outcome as one JSON object."""
        departments: dict[str, Body] = {}
        for request in self.requests.values():
            shown = departments.setdefault(request.department, {"visible_ms": None, "state": request.state})
            shown["visible_ms"] = self.visible_ms.get(request.department)
            if request.state != "completed":
                shown["state"] = request.state
        return {
            "record_id": self.record_id,
            "departments": departments,
            "closed": self.closed,
            "log": {"entries": self.entries, "verified": self.verified},
            "seconds": round(self.seconds, 2),
        }


class Story:
    """The people of the station and of the departments, at work on one record."""

    def __init__(self, stack: Stack, tell: Tell) -> None:
        """Play on `stack`; what happens is told to `tell`."""
        self._tell = tell
        self._stack = stack
        self._offered: dict[Department, float] = {}
        self._handed_in = 0.0

    def heard(self, department: Department, what: dict[str, Any]) -> None:
        """A department's system told something."""
        if what["happened"] == "offered" and self._handed_in and department not in self._offered:
            self._offered[department] = what["at"]

    async def move_in(self, records: Sequence[Body], done: Callable[[], None]) -> None:
        """Hand in the records of the neighbourhood; `done` is called after each."""
        gate = asyncio.Semaphore(_AT_ONCE)
        token = self._stack.token("collector", station=STATION)
        async with FrontDoor(self._stack.front_door, lambda: token) as collector:

            async def hand_in(record: Body) -> None:
                async with gate:
                    await collector.hand_in(record)
                    done()

            async with asyncio.TaskGroup() as group:
                for record in records:
                    group.create_task(hand_in(record))

    async def play(self, record: Body, *, within: float) -> Outcome:
        """Take `record` its whole way. Raises Refused where it is not taken; gives up `within` seconds."""
        outcome = Outcome(record["record_id"])
        collecting, reviewing = (self._stack.token(role, station=STATION) for role in ("collector", "reviewer"))
        door = self._stack.front_door
        async with (
            FrontDoor(door, lambda: collecting) as collector,
            FrontDoor(door, lambda: reviewing) as reviewer,
            FrontDoor(door) as resident,
        ):
            began = time.monotonic()
            receipts = (await collector.hand_in(record))["receipts"]
            self._handed_in = time.time()
            self._tell("handed-in", {"record_id": outcome.record_id})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await self._follow(reviewer, outcome)
                    await self._rate(resident, receipts)
            outcome.visible_ms = {
                str(one): round((at - self._handed_in) * 1000, 1) for one, at in self._offered.items()
            }
            outcome.seconds = time.monotonic() - began
        return outcome

    async def _follow(self, reviewer: FrontDoor, outcome: Outcome) -> None:
        seen: set[str] = set()
        while not (outcome.expected and outcome.closed):
            try:
                async for step in reviewer.journey(outcome.record_id):
                    if step["step_id"] in seen:
                        continue
                    seen.add(step["step_id"])
                    self._tell(step["kind"], step)
                    await self._act(reviewer, outcome, step)
                    if outcome.expected and outcome.closed:
                        return
            except Refused as refused:
                if refused.status != 404:
                    raise
                await asyncio.sleep(_LOOK)  # its first event has not arrived

    async def _act(self, reviewer: FrontDoor, outcome: Outcome, step: Body) -> None:
        detail, kind = step["detail"], step["kind"]
        if kind in ("need-handed-on", "need-suggested") and not outcome.expected:
            assessment = await reviewer.read(f"/api/assessments/{outcome.record_id}", "triage")
            outcome.expected = {need["need_id"] for need in assessment["needs"]}
        if kind == "need-suggested":
            await reviewer.decide(detail["need_id"], "confirmed", "事实充分，予以转办")
        elif kind == "request-opened":
            department = step["department"]["code"]
            outcome.requests[detail["request_id"]] = Request(detail["need_id"], department)
        elif kind == "task-transitioned":
            outcome.requests[detail["request_id"]].state = detail["to"]

    async def _rate(self, resident: FrontDoor, receipts: Sequence[Body]) -> None:
        for receipt in receipts:
            for request in await resident.follow(receipt["follow_code"]):
                if request["state"] == "completed":
                    await resident.rate(receipt["follow_code"], request["ref"], solved=True, stars=5)
                    self._tell("request-rated", {"detail": {"solved": True, "stars": 5}})

    async def verify(self, outcome: Outcome) -> None:
        """Read the log from outside and check it by its key, once it has taken all that was submitted."""
        key = SigningKey.parse(self._stack.log_key.read_text(encoding="utf-8").strip()).verifier
        async with FrontDoor(self._stack.front_door) as outsider:
            await _until_still(outsider)
            outcome.entries, outcome.verified, outcome.failure = await verified(outsider, key)
        self._tell("log", {"entries": outcome.entries, "verified": outcome.verified, "failure": outcome.failure})


async def verified(outsider: FrontDoor, key: VerifierKey) -> tuple[int, bool, str | None]:
    """How many entries the log has, whether they verify, and what is wrong if they do not."""
    try:
        log = await verify_log(outsider.part, key)
    except VerificationFailed as error:
        return await _size(outsider), False, str(error)
    return log.size, True, None


async def _size(outsider: FrontDoor) -> int:
    """The size that the checkpoint names: its second line."""
    checkpoint = await outsider.part("checkpoint")
    return int(checkpoint.split(b"\n")[1]) if checkpoint else 0


async def _until_still(outsider: FrontDoor) -> None:
    sizes: list[int] = []
    while len(sizes) < _ROUNDS_STILL or len(set(sizes[-_ROUNDS_STILL:])) > 1 or sizes[-1] == 0:
        sizes.append(await _size(outsider))
        await asyncio.sleep(_LOOK)
