"""No personal data in keys, headers, logs, spans, metrics, problems or tables: marked values go through the whole.

One record with marked values is taken, assessed, decided on, worked off and rated; other marked values come in what is
refused and in what cannot be read. Then everything that the stack keeps or shows is searched for them, and a planted
leak of each kind must be found.
"""

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import aiohttp
import asyncpg
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from doorstep.contracts.codes import Department
from doorstep.contracts.envelope import Envelope
from doorstep.contracts.topics import SERVICES, TOPICS
from doorstep.contracts.wire import to_headers
from doorstep.kit.delivery import new_private_key
from doorstep.kit.testing import eventually
from doorstep.local.front_door import FrontDoor, Refused, fresh_id
from doorstep.local.records import demonstration
from doorstep.local.stack import Stack, StackOptions, running_stack

STATION = "station-1"
DEPARTMENTS = (Department.CIVIL_AFFAIRS, Department.HEALTH, Department.JUSTICE, Department.FIRE)
RECORDED = {
    "name": "欧阳测漏",
    "document_number": "110105194811203823",
    "phone": "13900571482",
    "address": "清溪市测漏街9号楼3单元702室",
    "description": "测漏街9号楼3单元的楼道口",
    "reason": "审核理由：欧阳老人膝盖不便",
    "note": "办理备注：钥匙在隔壁司徒家",
}
REFUSED = {
    "name": "上官误录",
    "document_number": "110105195001019917",
    "phone": "13700842615",
    "query": "慕容误查的地址",
    "token": "dG9rZW4tb2YtbXVyb25n-慕容",
}
POISON = {"name": "诸葛毒信", "phone": "13600193574", "header": "13500286419"}
PLANTED = {"name": "端木种下", "phone": "13400375928"}
POISON_TEXT = json.dumps({"name": POISON["name"], "phone": POISON["phone"]}, ensure_ascii=False)
KEPT_AS_IT_CAME = {
    ("dead_letter", "key"), ("dead_letter", "headers"), ("dead_letter", "body"),
    ("outbox", "headers"), ("outbox", "body"), ("unreadable", "message"),
}  # fmt: skip
Heap = dict[str, bytes]


@dataclass
class Journey:
    """What was sent through a stack, and what it answered to what it refused."""

    stack: Stack
    traces: Path
    record: dict[str, Any]
    follow_codes: list[str] = field(default_factory=list)
    problems: Heap = field(default_factory=dict)

    def token(self, role: str, **claims: str) -> str:
        return self.stack.token(role, station=STATION, **claims)

    async def send(self, what: str, method: str, path: str, *, token: str | None = None, **sent: Any) -> None:
        """Send what is to be refused, and keep the answer."""
        headers = {"Authorization": f"Bearer {token or self.token('collector')}", **sent.pop("headers", {})}
        async with (
            aiohttp.ClientSession() as client,
            client.request(method, self.stack.front_door + path, headers=headers, **sent) as answer,
        ):
            assert answer.status >= 400, what
            said = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
            self.problems[f"{what}: {answer.status}"] = said.encode() + await answer.read()


def marked_record() -> dict[str, Any]:
    """The record of the demonstration, told of people who do not exist."""
    record = demonstration(11, now=datetime.now(UTC))
    for subject in record["subjects"]:
        subject.update({name: RECORDED[name] for name in subject if name in RECORDED})
    return record


async def go_the_whole_way(journey: Journey) -> None:
    """Hand the record in, decide, work every request off, follow and rate."""
    stack, record_id = journey.stack, journey.record["record_id"]
    async with (
        FrontDoor(stack.front_door, lambda: journey.token("collector")) as collector,
        FrontDoor(stack.front_door, lambda: journey.token("reviewer")) as reviewer,
        FrontDoor(stack.front_door) as resident,
    ):
        receipts = (await collector.hand_in(journey.record))["receipts"]
        journey.follow_codes += [receipt["follow_code"] for receipt in receipts]
        await asyncio.gather(*(work_off(journey, department) for department in DEPARTMENTS), decide(journey, reviewer))
        for receipt in receipts:
            for request in await resident.follow(receipt["follow_code"]):
                await resident.rate(receipt["follow_code"], request["ref"], solved=True, stars=5)
        await reviewer.read(f"/api/files/{journey.record['file_id']}", "triage")
        await reviewer.read(f"/api/journeys/{record_id}", "follow-up")
        await reviewer.read(f"/api/requests?record_id={record_id}", "follow-up")


async def decide(journey: Journey, reviewer: FrontDoor) -> None:
    found: dict[str, Any] = {}

    async def assessed() -> bool:
        try:
            found.update(await reviewer.read(f"/api/assessments/{journey.record['record_id']}", "triage"))
        except Refused as refused:
            assert refused.status == 404
        return bool(found)

    await eventually(assessed, within=60)
    for need in found["needs"]:
        if need["state"] == "suggested":
            await reviewer.decide(need["need_id"], "confirmed", RECORDED["reason"])


async def work_off(journey: Journey, department: Department) -> None:
    """Publish a key, wait for a request, and take it to its end with a note at each step."""
    token = journey.stack.token("department-system", agency=department)
    async with FrontDoor(journey.stack.front_door, lambda: token) as door:
        await door.publish_key(department, new_private_key(f"{department}-1").as_dict(private=False))
        offered: list[dict[str, Any]] = []

        async def arrived() -> bool:
            offered[:] = (await door.read(f"/api/departments/{department}/requests", "service"))["requests"]
            return bool(offered)

        await eventually(arrived, within=60)
        for one in offered:
            _, etag = await door.look_up(department, one["ref"])
            etag = await door.move(department, one["ref"], etag, "accepted", note=RECORDED["note"])
            etag = await door.move(department, one["ref"], etag, "in-progress", note=RECORDED["note"])
            outcome = {"outcome": "service-provided", "note": RECORDED["note"]}
            await door.move(department, one["ref"], etag, "completed", **outcome)


async def be_refused(journey: Journey) -> None:
    """Send marked values in whatever is refused: bodies, addresses, headers."""
    for what, body in refused_bodies():
        await journey.send(what, "POST", "/api/records", json=body)
    text = json.dumps(refused_record(), ensure_ascii=False).encode()
    json_type = {"Content-Type": "application/json"}
    await journey.send("broken off", "POST", "/api/records", data=text[:-30], headers=json_type)
    await journey.send("in GB18030", "POST", "/api/records", data=text.decode().encode("gb18030"), headers=json_type)
    await journey.send("as text", "POST", "/api/records", data=text, headers={"Content-Type": "text/plain"})
    await journey.send("too large", "POST", "/api/records", data=io.BytesIO(text + b" " * 2**20), headers=json_type)
    await journey.send("as a stranger", "POST", "/api/records", data=text, headers=json_type, token=REFUSED["token"])
    await journey.send("as a reviewer", "POST", "/api/records", json=refused_record(), token=journey.token("reviewer"))
    wanted = quote(REFUSED["query"])
    for path in ("records", "files", "assessments", "requests", "journeys", "departments", "log", "nowhere"):
        await journey.send(f"/api/{path}/", "GET", f"/api/{path}/{wanted}?phone={REFUSED['phone']}")
    purpose = {"Doorstep-Purpose": REFUSED["phone"]}
    await journey.send("unknown purpose", "GET", f"/api/files/{uuid4()}", headers=purpose)
    decision = {"id": str(fresh_id()), "decision": REFUSED["name"], "reason": ""}
    reviewer = journey.token("reviewer")
    await journey.send("unknown decision", "POST", f"/api/needs/{uuid4()}/decision", json=decision, token=reviewer)
    rating = {"id": REFUSED["phone"], "ref": REFUSED["name"], "solved": 1, "stars": 9}
    await journey.send("unknown rating", "POST", f"/api/follow/{wanted}/ratings", json=rating)


def refused_record(**changes: Any) -> dict[str, Any]:
    """A record as another person might tell it, with one thing wrong."""
    record = demonstration(12, now=datetime.now(UTC))
    person = record["subjects"][0]
    person.update(name=REFUSED["name"], phone=REFUSED["phone"], document_number=REFUSED["document_number"])
    person.update(changes)
    return record


def refused_bodies() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "invalid paper", refused_record()
    yield "unknown field", refused_record(nickname=REFUSED["name"])
    yield "name too long", refused_record(name=REFUSED["name"] * 90)
    yield "control characters", refused_record(name=f"{REFUSED['name']}\x00")
    yield "a number for a name", refused_record(name={"first": REFUSED["name"]})
    yield "unknown kind", refused_record(kind=REFUSED["name"])
    yield "unknown fact", refused_record(facts=[{"fact_id": str(fresh_id()), "code": REFUSED["name"], "value": 1}])
    yield "an id that is none", refused_record(subject_id=REFUSED["phone"])
    yield "unknown household", {**refused_record(document_number=RECORDED["document_number"]), "household": "known"}


async def be_poisoned(journey: Journey) -> None:
    """Put messages on topics that nobody can process, with marked values in value, header and key."""
    producer = AIOKafkaProducer(bootstrap_servers=journey.stack.kafka)
    await producer.start()
    try:
        value = POISON_TEXT.encode()
        for topic, event_type in (
            ("intake.visits", "intake.visit-recorded.v1"),
            ("risk.needs", "risk.need-decided.v1"),
            ("audit.entry.intake", "audit.entry-submitted.v1"),
        ):
            envelope = Envelope(
                id=uuid4(), source="doorstep/intake", type=event_type, time=datetime.now(UTC), key=uuid4(), number=1
            )
            extra = ("x-caller", POISON["header"].encode())
            headers = [*to_headers(envelope), extra]
            await producer.send_and_wait(topic, value, key=str(envelope.key).encode(), headers=headers)
            await producer.send_and_wait(topic, value, key=POISON["phone"].encode(), headers=[extra])
            await producer.send_and_wait(topic, value, key=str(uuid4()).encode())
    finally:
        await producer.stop()

    async def buried() -> bool:
        return [await count(journey.stack, service, "dead_letter") for service in ("registry", "referral")] == [3, 3]

    await eventually(buried, within=60)


async def count(stack: Stack, service: str, table: str) -> int:
    connection = await asyncpg.connect(stack.database_url(service).replace("+asyncpg", ""))
    try:
        return await connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608
    finally:
        await connection.close()


async def settled(stack: Stack) -> None:
    """Wait until every outbox is published and every log entry has its place."""

    async def empty() -> bool:
        waiting = [await unpublished(stack, service) for service in SERVICES]
        return waiting == [0] * len(SERVICES)

    await eventually(empty, within=60)
    await asyncio.sleep(1)  # spans are written every half second


async def unpublished(stack: Stack, service: str) -> int:
    connection = await asyncpg.connect(stack.database_url(service).replace("+asyncpg", ""))
    try:
        return await connection.fetchval(
            "SELECT count(*) FROM outbox WHERE published_at IS NULL AND (recipient IS NULL OR recipient = ANY($1))",
            [str(department) for department in DEPARTMENTS],
        )
    finally:
        await connection.close()


async def messages(stack: Stack) -> Heap:
    """Keys, headers and values of every message on every topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=stack.kafka, fetch_max_wait_ms=20)
    await consumer.start()
    heap: Heap = {}
    try:
        topics = sorted(await consumer.topics() | set(TOPICS))
        places = [TopicPartition(topic, one) for topic in topics for one in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        quiet = 0
        while quiet < 5:
            found = await consumer.getmany(timeout_ms=200, max_records=1000)
            quiet = 0 if any(found.values()) else quiet + 1
            for message in (one for batch in found.values() for one in batch):
                at = f"{message.topic}/{message.partition}/{message.offset}"
                heap[f"{at} key"] = message.key or b""
                heap[f"{at} headers"] = b"\n".join(name.encode() + b": " + value for name, value in message.headers)
                heap[f"{at} value"] = message.value or b""
    finally:
        await consumer.stop()
    return heap


async def tables(stack: Stack) -> Heap:
    """Every column of every table of every database of the server, as it lies there; `database.table.column`."""
    heap: Heap = {}
    for database in await databases_of(stack):
        connection = await asyncpg.connect(stack.database_url(database).replace("+asyncpg", ""))
        try:
            names = await connection.fetch(
                "SELECT format('%I.%I', n.nspname, c.relname) AS place, c.relname FROM pg_class c"
                " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm', 'p')"
                " AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
            )
            for place, table in names:
                for row in await connection.fetch(f"SELECT * FROM {place}"):  # noqa: S608
                    for column, value in row.items():
                        at = f"{database}.{table}.{column}"
                        heap[at] = heap.get(at, b"") + as_bytes(value) + b"\n"
        finally:
            await connection.close()
    return heap


async def databases_of(stack: Stack) -> set[str]:
    """All databases that the server has, whoever made them."""
    connection = await asyncpg.connect(stack.database_url("keys").replace("+asyncpg", ""))
    try:
        found = await connection.fetch("SELECT datname FROM pg_database WHERE datallowconn")
    finally:
        await connection.close()
    assert {row[0] for row in found} >= {*SERVICES, "keys"}
    return {row[0] for row in found}


def as_bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


def files(*folders: Path) -> Heap:
    return {str(path): path.read_bytes() for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()}


async def answers(journey: Journey) -> Heap:
    """The metrics of each service, and the lists of dead letters as an operator sees them."""
    heap: Heap = {}
    operator = {"Authorization": f"Bearer {journey.token('operator')}"}
    async with aiohttp.ClientSession() as client:
        for service in SERVICES:
            async with client.get(journey.stack.metrics_url(service)) as answer:
                assert answer.status == 200
                heap[f"{service} metrics"] = await answer.read()
        for service in ("registry", "referral", "audit"):
            path = f"{journey.stack.front_door}/api/dead-letters/{service}"
            async with client.get(path, headers=operator) as answer:
                assert answer.status == 200, await answer.text()
                heap[f"{service} dead letters"] = await answer.read()
    return heap


async def everything(journey: Journey) -> Heap:
    """All that the stack keeps, writes or shows to those who may not see personal data."""
    return {
        **await messages(journey.stack),
        **await tables(journey.stack),
        **files(journey.stack.folder.logs, journey.traces),
        **await answers(journey),
        **journey.problems,
    }


def poison_may_lie(where: str) -> bool:
    """A message that nobody can read is kept as it came: where it was put, in its dead letters, and nowhere else."""
    if where.split(" ")[-1] in ("key", "headers", "value"):
        return where.startswith(("intake.visits/", "risk.needs/", "audit.entry.intake/")) or ".dead-letter/" in where
    return tuple(where.split(".")[1:]) in KEPT_AS_IT_CAME


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def journey(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Journey]:
    """A stack through which all the marked values went, every request traced."""
    traces = tmp_path_factory.mktemp("traces")
    environment = {"DOORSTEP_TRACES": str(traces), "DOORSTEP_TRACE_RATIO": "1", "DOORSTEP_LOG_LEVEL": "debug"}
    async with running_stack(StackOptions(port=0, durable=False, environment=environment)) as stack:
        made = Journey(stack, traces, marked_record())
        await go_the_whole_way(made)
        await be_refused(made)
        await be_poisoned(made)
        await settled(stack)
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def heap(journey: Journey) -> Heap:
    return await everything(journey)


def test_there_is_something_to_search_of_every_kind(journey: Journey, heap: Heap) -> None:
    told = {where.partition("/")[0] for where in heap if where.endswith(" value")}
    assert {"intake.visits", "registry.facts", "risk.needs", "referral.tasks", "feed.justice", "feed.fire"} <= told
    assert {f"audit.entry.{service}" for service in SERVICES if service != "audit"} <= told
    assert "intake.visits.registry.dead-letter" in told
    spans = b"".join(data for where, data in heap.items() if where.startswith(str(journey.traces)))
    logs = [where for where in heap if where.startswith(str(journey.stack.folder.logs))]
    for service in SERVICES:
        assert f'"service.name": "{service}"'.encode() in spans
        assert any(service in where for where in logs)
        assert heap[f"{service} metrics"]
        assert any(where.startswith(f"{service}.outbox.") for where in heap) or service == "audit"
    assert any(where.startswith("keys.data_key.") for where in heap)
    assert any(where.endswith("keystore.log") for where in logs)
    assert len(journey.problems) > 20
    assert journey.follow_codes


def test_nothing_of_the_record_stands_anywhere_in_the_open(journey: Journey, heap: Heap, leak_search) -> None:
    assert leak_search([*RECORDED.values(), *journey.follow_codes]).look_through(heap) == []


def test_nothing_of_what_was_refused_stands_anywhere(heap: Heap, leak_search) -> None:
    assert leak_search(REFUSED.values()).look_through(heap) == []


def test_what_cannot_be_read_is_kept_as_it_came_and_quoted_nowhere(heap: Heap, leak_search) -> None:
    hits = leak_search(POISON.values()).look_through(heap)
    assert {hit.where for hit in hits if "registry.dead_letter." in hit.where}
    assert [hit for hit in hits if not poison_may_lie(hit.where)] == []


async def plant(journey: Journey) -> None:
    """Leak a value into a header, a column, a log file and a span file, each written in another way."""
    name, phone = PLANTED["name"], PLANTED["phone"]
    producer = AIOKafkaProducer(bootstrap_servers=journey.stack.kafka)
    await producer.start()
    try:
        hidden = base64.b64encode(f"n={name}".encode("gb18030"))
        header = [("ce_caller", hidden)]
        await producer.send_and_wait("feed.housing", json.dumps({"n": name}).encode(), key=b"k", headers=header)
    finally:
        await producer.stop()
    connection = await asyncpg.connect(journey.stack.database_url("intake").replace("+asyncpg", ""))
    try:
        await connection.execute("CREATE TABLE planted (hidden bytea)")
        await connection.execute("INSERT INTO planted VALUES ($1)", name.encode("utf-16-le"))
    finally:
        await connection.close()
    with (journey.stack.folder.logs / "intake.log").open("a") as log:
        log.write(f'{{"event": "GET /find?name={quote(name)}"}}\n')
    with (journey.traces / "intake.jsonl").open("a") as spans:
        spans.write(f'{{"attributes": {{"caller": "{phone.encode().hex()}"}}}}\n')


async def test_a_planted_leak_of_each_kind_is_found(journey: Journey, leak_search) -> None:
    await plant(journey)
    heap = await everything(journey)
    labelled = f'doorstep_requests_total{{route="/api/follow/{PLANTED["phone"]}"}} 1\n'
    heap["intake metrics"] += labelled.encode()
    heap["a problem"] = json.dumps({"detail": PLANTED["name"]}).encode()
    found = {hit.where for hit in leak_search(PLANTED.values()).look_through(heap)}
    assert {where.partition("/")[0] + where[where.rindex(" ") :] for where in found if where.startswith("feed.")} == {
        "feed.housing headers",
        "feed.housing value",
    }
    assert found >= {
        "intake.planted.hidden",
        str(journey.stack.folder.logs / "intake.log"),
        str(journey.traces / "intake.jsonl"),
        "intake metrics",
        "a problem",
    }
