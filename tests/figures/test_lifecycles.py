"""The benchmark of lifecycles works: its parts by themselves, and all of it small, against a real stack."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import asyncpg
import pytest
import pytest_asyncio
from rich.console import Console

from bench import seed as seeding
from bench.drawn import WISHES
from bench.households import PART, households
from bench.lifecycle_report import draw, lifecycle_aims, show_lifecycles
from bench.profile import CALLS, Life, Search, Step, arrivals, by_step, drained, held, spikes, timeline, times
from bench.seed import seed
from bench.site import PRODUCT, Site
from bench.spikes import CLIENT, ClientFailed, Crowd, Measures, lifecycle_figures, scanned
from bench.wire import Answered, NoAnswer, Wire, request
from doorstep.contracts.codes import Department
from doorstep.contracts.topics import SERVICES
from doorstep.local.front_door import FrontDoor
from doorstep.local.stack import Stack, StackOptions, running_stack
from doorstep.referral import queries

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
SMALL = Measures(step=0.4, rung=1.0, warm=0.5, first=2.0, rungs=1, spike=12.0, drain=30.0)
STORED = 2 * PART


def life(due: float, over: float | None, failed: str | None = None) -> Life:
    """A lifecycle whose calls took ten milliseconds each, and the way to the department five."""
    if over is None:
        return Life(due, asked=[due], failed=failed)
    asked = [due + 0.02 * place for place in range(len(CALLS))]
    return Life(due, asked, [one + 0.01 for one in asked], offered=due + 0.015, over=over, failed=failed)


def test_lifecycles_are_due_by_the_clock_evenly_in_each_step() -> None:
    assert arrivals([Step(2.0, 2.0), Step(0.0, 3.0), Step(1.0, 1.0)]) == [0.25, 0.75, 1.25, 1.75, 5.5]
    steps = spikes(10.0)
    assert [step.rate for step in steps] == [1, 15, 1, 25, 2, 35, 10, 0, 120, 0]
    assert len(arrivals(steps)) == 10 * 209


def test_a_backlog_is_gone_when_the_last_that_was_due_has_succeeded() -> None:
    lives = [life(0.5, 0.6), life(0.9, 4.0), life(1.5, 1.6)]
    assert drained(lives, 0.0, 1.0) == 3.0
    assert drained(lives, 1.0, 2.0) == 0.0
    assert drained([*lives, life(0.7, None, "not over")], 0.0, 1.0) is None
    assert drained([*lives, life(0.7, 0.8, "Answered: 500")], 0.0, 1.0) is None


def test_a_rate_is_held_only_if_all_succeed_and_none_is_late_at_the_end() -> None:
    steps = [Step(2.0, 1.0)]
    assert held([life(0.2, 0.3), life(0.7, 2.9)], steps)
    assert not held([life(0.2, 0.3), life(0.7, 3.1)], steps)
    assert not held([life(0.2, 0.3), life(0.7, None, "not over")], steps)
    assert not held([], steps)


@pytest.mark.parametrize("capacity", [3.0, 20.0, 92.0, 400.0])
def test_the_search_ends_at_the_highest_rate_that_is_held(capacity: float) -> None:
    search, tried = Search(20.0), []
    while (rate := search.rate) is not None:
        tried.append(rate)
        search.tried(rate, well=rate <= capacity)
    assert search.best <= capacity < search.best * 1.11
    assert len(tried) < 16


def test_times_are_told_of_each_call_and_of_each_step() -> None:
    lives = [life(0.0, 0.1), life(0.5, 0.7), life(1.2, None, "not over")]
    spread = times(lives)
    assert set(spread) == {*CALLS, "to the department", "whole"}
    assert round(spread["rate"]["p99"]) == 10
    assert round(spread["to the department"]["p50"]) == 5
    assert round(spread["whole"]["max"]) == 200  # from when it was due, and of those that succeeded
    first, second = by_step(lives, [Step(2.0, 1.0), Step(1.0, 1.0)])
    assert (first["due"], first["succeeded"], first["drained"]) == (2, 2, 0.0)
    assert (second["due"], second["succeeded"], second["drained"]) == (1, 0, None)
    assert [one["under_way"] for one in timeline(lives, 1.0)] == [0, 1]


@pytest_asyncio.fixture(loop_scope="session")
async def answering() -> AsyncIterator[Callable[[Handler], Awaitable[str]]]:
    """Answers by a handler of one's own: `await answering(handler)` gives the address."""
    servers = []

    async def serve(handler: Handler) -> str:
        server = await asyncio.start_server(handler, "127.0.0.1", 0)
        servers.append(server)
        return "http://127.0.0.1:{1}".format(*server.sockets[0].getsockname()[:2])

    yield serve
    for one in servers:
        one.close()
        await one.wait_closed()


async def read(reader: asyncio.StreamReader) -> bytes:
    """The body of one request; nothing where the connection ended."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
    [length] = [line.split(b":")[1] for line in head.split(b"\r\n") if line.startswith(b"Content-Length")]
    return await reader.readexactly(int(length))


def answered(status: int, body: bytes) -> bytes:
    """The bytes of an answer."""
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def test_connections_are_kept_and_each_answer_is_that_of_its_request(answering) -> None:
    connections = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        while body := await read(reader):
            await asyncio.sleep(0.001 * (int(body) % 3))
            writer.write(answered(200, body))
        writer.close()

    wire = Wire(await answering(echo), most=4)
    bodies = [str(number).encode() for number in range(60)]
    found = await asyncio.gather(*(wire.ask(request("POST", "/x", body)) for body in bodies))
    wire.close()
    assert [one.body for one in found] == bodies
    assert len(connections) == 4


async def test_what_was_not_answered_or_met_a_busy_site_is_sent_again_and_a_problem_is_not(answering) -> None:
    seen: list[bytes] = []

    async def moody(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while body := await read(reader):
            seen.append(body)
            if len(seen) == 1:
                break
            writer.write(answered({2: 503, 3: 201}.get(len(seen), 409), b"once"))
        writer.close()

    wire = Wire(await answering(moody))
    assert (await wire.ask(request("POST", "/x", b"1"))).status == 201
    assert (wire.broken, wire.busy) == (1, 1)
    with pytest.raises(Answered, match="409 once"):
        await wire.ask(request("POST", "/x", b"2"))
    wire.close()
    assert seen == [b"1", b"1", b"1", b"2"]


async def test_a_site_that_always_hangs_up_is_given_up(answering) -> None:
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    wire = Wire(await answering(rude))
    with pytest.raises(NoAnswer):
        await wire.ask(request("POST", "/x", b"1"))


def test_a_part_is_the_same_however_often_it_is_drawn_and_nobody_is_in_two() -> None:
    began = datetime(2026, 11, 22, tzinfo=UTC)
    first, again, other = households(0, began), households(0, began), households(1, began)
    papers = [each.card.document_number for one in (*first, *other) for each in one.people]
    assert [(one.file_id, one.people) for one in first] == [(one.file_id, one.people) for one in again]
    assert len(set(papers)) == len(papers)
    assert sum(len(each.wishes) for one in first for each in one.people) == PART


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack() -> AsyncIterator[Stack]:
    """A whole stack, quick and forgetful."""
    async with running_stack(StackOptions(durable=False, port=0)) as running:
        yield running


@pytest.fixture(scope="module")
def site(stack: Stack) -> Site:
    """The stack as the benchmark sees it."""
    return Site(PRODUCT, stack.front_door, stack, {name: stack.pid(name) for name in SERVICES}, "")


class Died(Exception):
    """Somebody ended the seeding."""


@dataclass
class Stored:
    """What seeding told, after it had died once in between."""

    told: list[int]
    found: dict[str, Any]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stored(stack: Stack) -> Stored:
    """Requests stored in the stack; in the midst of the second part of triage's database it died, and went on."""
    whole, told = seeding._copy, list[int]()

    async def dying(connection, database, part, rows) -> None:
        if (database, part) == ("risk", 1):
            raise Died
        await whole(connection, database, part, rows)

    with pytest.MonkeyPatch.context() as patching, pytest.raises(ExceptionGroup) as died:
        patching.setattr(seeding, "_copy", dying)
        await seed(stack, 2 * PART, told.append)
    assert died.group_contains(Died)
    assert told == [PART]
    return Stored(told, await seed(stack, STORED, told.append))


async def test_requests_are_stored_part_by_part_gone_on_with_and_read_by_the_services(
    stack: Stack, stored: Stored
) -> None:
    assert stored.told == [PART, *range(PART, STORED + 1, PART)]
    assert stored.found["requests"] == STORED
    databases = stored.found["databases"]
    assert databases["referral"]["rows"] > 5 * STORED
    assert databases["keys"]["rows"] >= STORED * 3 // 4
    assert all(one["megabytes"] > 0 for one in databases.values())
    assert await each_database_has(stack, {"record": STORED // 4, "file": STORED // 4, "need": STORED, "task": STORED})
    await opened_by_everybody(stack)


async def each_database_has(stack: Stack, counts: dict[str, int]) -> bool:
    """Whether each service has so many rows, none twice and none left out."""
    for database, (table, count) in zip(("intake", "registry", "risk", "referral"), counts.items(), strict=True):
        connection = await asyncpg.connect(stack.database_url(database).replace("+asyncpg", ""))
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") == count  # noqa: S608
        await connection.close()
    return True


async def opened_by_everybody(stack: Stack) -> None:
    """A stored household is read by each service, and its open request goes on."""
    connection = await asyncpg.connect(stack.database_url("referral").replace("+asyncpg", ""))
    row = await connection.fetchrow(
        "SELECT r.record_id, r.file_id, t.ref FROM request r JOIN task t USING (request_id)"
        " WHERE t.department = 'health' AND t.state = 'requested' LIMIT 1"
    )
    began = await connection.fetchval("SELECT at FROM bench_began")
    await connection.close()
    drawn = [one for part in range(STORED // PART) for one in households(part, began)]
    [household] = [one for one in drawn if one.file_id == row["file_id"]]
    [person] = [one for one in household.people if Department.HEALTH in one.wishes]
    record = str(row["record_id"])
    reviewer, health = stack.token("reviewer", station="station-1"), stack.token("officer", agency="health")
    async with FrontDoor(stack.front_door, lambda: reviewer) as door:
        for path in (f"/api/records/{record}", f"/api/files/{row['file_id']}"):
            assert person.card.name in json.dumps(await door.read(path, "triage"), ensure_ascii=False), path
        needs = (await door.read(f"/api/assessments/{record}", "triage"))["needs"]
        assert sorted(one["need_type"] for one in needs) == sorted(WISHES.values())
        requests = (await door.read(f"/api/requests?record_id={record}", "follow-up", record))["requests"]
        assert {task["state"] for one in requests for task in one["tasks"]} == {"requested"}
        steps = (await door.read(f"/api/journeys/{record}", "follow-up"))["steps"]
        assert [one["kind"] for one in steps].count("request-opened") == len(WISHES)
    async with FrontDoor(stack.front_door, lambda: health) as door:
        offer, etag = await door.look_up("health", str(row["ref"]))
        assert offer["offer"]["name"] == person.card.name
        etag = await door.move("health", str(row["ref"]), etag, "accepted")
        await door.move("health", str(row["ref"]), etag, "completed", outcome="service-provided")


async def test_a_departments_open_requests_are_found_without_reading_those_that_are_closed(
    stack: Stack, stored: Stored
) -> None:
    query = queries._LIST_OF_DEPARTMENT
    for name, value in {"department": "'health'", "state": "'requested'", "after": "NULL", "page": "50"}.items():
        query = query.replace(f":{name}", value)
    connection = await asyncpg.connect(stack.database_url("referral").replace("+asyncpg", ""))
    plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {query}"))
    await connection.close()
    assert "task_department_state" in plan, plan


async def test_lifecycles_go_their_whole_way_in_spikes_and_valleys(site: Site, stored: Stored, tmp_path: Path) -> None:
    found = {"stored": await lifecycle_figures(site, SMALL, lambda what, part: None)}
    one = found["stored"]
    assert one["failures"] == []
    assert one["succeeded"] == one["lifecycles"] == len(arrivals(spikes(SMALL.step, SMALL.spike)))
    assert [step["due"] for step in one["steps"]] == [round(step.rate * 0.4) for step in spikes(0.4, 12.0)]
    assert all(one["times"][name]["p50"] > 0 for name in (*CALLS, "to the department", "whole"))
    assert one["times"]["whole"]["p50"] > max(one["times"][name]["p50"] for name in CALLS)
    assert len(one["sustained"]["rungs"]) == 1
    assert not {"referral.request", "referral.task", "intake.record", "registry.subject"} & set(one["scanned"])
    spent = one["milliseconds_of_processor"]
    assert {"intake", "gateway", CLIENT} < set(spent)
    assert spent["referral"] > 0
    shown = StringIO()
    show_lifecycles(found, Console(file=shown, width=200))
    assert "40 of 40 lifecycles succeeded" in shown.getvalue()
    [picture] = draw(found, {"cores": 2, "date": "today"}, tmp_path / "latest.json")
    assert ElementTree.parse(picture).getroot().tag.endswith("svg")  # noqa: S314 - our own
    [share, _, rate] = lifecycle_aims(found)
    assert (share[1], share[3]) == (100.0, True)
    assert rate[1] == one["sustained"]["rate"]


async def test_a_client_that_dies_is_an_error_and_no_figure() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "input(); exit(3)", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    with pytest.raises(ClientFailed, match="3"):
        await Crowd(process).run([Step(5.0, 1.0)], 1.0, "", lambda what, part: None)


def test_tables_that_are_read_whole_are_named_with_the_rows_of_a_lifecycle() -> None:
    assert scanned({"a": 10, "b": 0}, {"a": 10_020, "b": 30_000, "c": 20_002}, 10) == {
        "a": 1001,
        "b": 3000,
        "c": 2000.2,
    }
    assert scanned({"a": 10}, {"a": 10_010}, 10) == {}


def test_aims_are_missed_by_what_fails_and_the_ratio_is_of_the_rates_held() -> None:
    lives = [life(0.5, 0.6), life(0.7, None, "not over")]
    steps = [Step(2.0, 1.0), Step(0.0, 1.0)]
    one = {"succeeded": 1, "lifecycles": 2, "steps": by_step(lives, steps)}
    aims = lifecycle_aims(
        {"empty": {**one, "sustained": {"rate": 100.0}}, "a million": {**one, "sustained": {"rate": 89.0}}}
    )
    assert [(figure, met) for _, figure, _, met in aims] == [
        (50.0, False), (None, False), (100.0, True), (50.0, False), (None, False), (89.0, False), (0.89, False),
    ]  # fmt: skip
