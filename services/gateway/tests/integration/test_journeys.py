"""The journey of a record: shown to its station's reviewer, at once or live, and every look is logged."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import uuid4

import orjson

from doorstep.gateway.app import new_app
from doorstep.kit.testing import eventually


async def test_a_journey_tells_step_by_step_who_has_what(way) -> None:
    await way.asserted(way.person)
    await way.moved(await way.opened())
    steps = (await way.look()).body["steps"]
    assert [step["kind"] for step in steps] == ["recorded", "facts-asserted", "request-opened", "task-transitioned"]
    assert steps[1]["facts"] == [{"code": "living.alone", "zh": "独居", "en": "Lives alone", "value": True}]
    assert steps[2]["need"] == {"code": "legal-aid", "zh": "法律援助", "en": "Legal aid"}
    assert steps[2]["department"]["code"] == "justice"
    assert (steps[3]["detail"]["from"], steps[3]["detail"]["to"]) == ("requested", "accepted")
    assert "王秀英" not in str(steps)


async def test_a_journey_tells_of_each_part_by_its_number_and_need(way) -> None:
    request = await way.opened()
    await way.moved(request)
    await way.moved(request, part=2)
    whole, part = [step for step in (await way.look()).body["steps"] if step["kind"] == "task-transitioned"]
    assert not {"part", "need"} & {*whole, *whole["detail"]}
    assert (part["detail"]["part"], part["need"]["zh"]) == (2, "人民调解")


async def test_steps_that_arrive_before_the_record_wait_for_it(desk, way) -> None:
    early = replace(way, record_id=uuid4())
    await early.asserted(way.person)
    assert (await early.look()).status == 404
    await early.taken()
    assert [step["kind"] for step in (await early.look()).body["steps"]] == ["facts-asserted", "recorded"]


async def test_every_look_is_logged_for_every_subject_before_the_first_byte(desk, way) -> None:
    await way.asserted(way.person, way.dwelling)
    for times in (1, 2):
        await way.look(purpose="follow-up")
        for subject in (way.person, way.dwelling):
            entries = await desk.logged(subject)
            assert [(one["action"], one["actor"], one["purpose"]) for one in entries] == [
                ("read-journey", "reviewer-1", "follow-up")
            ] * times


async def test_who_has_no_business_here_sees_nothing(desk, way, refused) -> None:
    who, purpose, status = refused
    await way.asserted(way.person)
    answer = await way.look(who, purpose)
    assert answer.status == status
    assert "living.alone" not in answer.raw.decode()
    assert await desk.unlogged(answer, who, "read-journey", way.record_id, way.person) == []
    assert await desk.logged(way.person) == await desk.refusals(way.person)


async def test_who_took_the_record_is_kept_from_its_journey_and_that_is_logged(desk, way) -> None:
    await way.asserted(way.person)
    answer = await way.look("collector-as-reviewer")
    assert (answer.status, answer.body["type"]) == (403, "urn:doorstep:problem:own-record")
    assert await desk.unlogged(answer, "collector-as-reviewer", "read-journey", way.record_id, way.person) == []


async def test_another_stations_journey_is_answered_like_none_at_all(way) -> None:
    unknown = await replace(way, record_id=uuid4()).look("reviewer-elsewhere")
    assert await way.look("reviewer-elsewhere") == unknown


async def test_a_stream_that_is_refused_is_logged_and_never_begins(desk, way) -> None:
    await way.asserted(way.person)
    path = f"/api/journeys/{way.record_id}/events"
    answer = await desk.call("GET", path, "police", doorstep_purpose="follow-up")
    assert answer.headers["content-type"] == "application/problem+json"
    assert await desk.unlogged(answer, "police", "read-journey", way.record_id, way.person) == []


async def test_what_the_gateway_hands_on_it_does_not_log_itself(desk, way) -> None:
    before = await desk.counts()
    for path in (f"/api/records/{way.record_id}", f"/api/files/{way.file_id}", "/api/nothing"):
        assert (await desk.call("GET", path, "police", doorstep_purpose="triage")).status in (404, 503)
    assert await desk.counts() == before


async def test_of_an_erased_subject_a_journey_says_that_something_happened_and_not_what(desk, way) -> None:
    await way.asserted(way.person, way.dwelling)
    await desk.vault.destroy(way.person)
    answer = await way.look()
    assert answer.status == 200
    assert [step.get("facts") is None for step in answer.body["steps"]] == [True, True, False]


async def test_two_gateways_show_the_same_journey(desk, way) -> None:
    await way.asserted(way.person)
    other = replace(desk.call, app=new_app(replace(desk.service, closers=[])))
    shown = await other("GET", f"/api/journeys/{way.record_id}", "reviewer", doorstep_purpose="triage")
    assert shown.body == (await way.look()).body


class Stream:
    """A stream of server-sent events, as a browser follows it."""

    def __init__(self, desk: Any, way: Any) -> None:
        self.sent: list[Any] = []
        self._desk = desk
        headers = [(b"authorization", b"Bearer reviewer"), (b"doorstep-purpose", b"follow-up")]
        headers.append((b"doorstep-case", str(way.record_id).encode()))
        path = f"/api/journeys/{way.record_id}/events"
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "path": path,
            "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http", "headers": headers,
        }  # fmt: skip
        self._gone = asyncio.Event()
        self._task = asyncio.create_task(desk.call.app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.sent.append(message)

    def steps(self) -> list[Any]:
        """The steps so far."""
        text = b"".join(part.get("body", b"") for part in self.sent).decode()
        return [orjson.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]

    async def until(self, count: int) -> None:
        """Wait for so many steps."""

        async def there() -> bool:
            assert not self._task.done() or self._task.result() is None
            return len(self.steps()) >= count

        await eventually(there)

    async def close(self) -> None:
        """The browser goes away."""
        self._gone.set()
        await self._task


async def test_a_journey_is_followed_live_each_step_once(desk, way) -> None:
    stream = Stream(desk, way)
    await stream.until(1)
    await way.asserted(way.person)
    await stream.until(2)
    await way.opened()
    await stream.until(3)
    assert [step["kind"] for step in stream.steps()] == ["recorded", "facts-asserted", "request-opened"]
    headers = dict(stream.sent[0]["headers"])
    assert headers[b"content-type"].startswith(b"text/event-stream")
    assert headers[b"cache-control"] == b"no-store"
    await stream.close()


async def test_a_subject_that_comes_into_an_open_stream_is_logged_once_before_its_first_step(desk, way) -> None:
    stream = Stream(desk, way)
    await stream.until(1)
    assert await desk.logged(way.person) == []
    await way.asserted(way.person)
    await stream.until(2)
    await way.opened()
    await stream.until(3)
    assert [one["action"] for one in await desk.logged(way.person)] == ["read-journey"]
    assert await desk.logged(way.dwelling) == []
    await stream.close()


async def test_a_stream_ends_when_the_service_does(desk, way) -> None:
    stream = Stream(desk, way)
    await stream.until(1)
    desk.service.stopping.set()
    try:
        async with asyncio.timeout(5):
            await stream._task
    finally:
        desk.service.stopping.clear()
