"""What a running stack tells of itself: one trace to the last consumer, and the metrics of every service."""

import json
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest_asyncio

from doorstep.contracts.topics import SERVICES
from doorstep.kit.testing import eventually
from doorstep.local.front_door import FrontDoor
from doorstep.local.records import demonstration
from doorstep.local.stack import Stack, StackOptions, running_stack

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
UNSAMPLED = "00-11111111111111111111111111111111-2222222222222222-00"
TOLD = {
    "doorstep_outbox_depth", "doorstep_outbox_age_seconds", "doorstep_published_total", "doorstep_requests_total",
}  # fmt: skip
TOLD_BY_CONSUMERS = {
    "doorstep_consumer_lag", "doorstep_consumed_total", "doorstep_parked_keys", "doorstep_holes",
    "doorstep_dead_letters",
}  # fmt: skip


class Span(NamedTuple):
    service: str
    name: str
    span_id: str
    parent_id: str | None


class Watched(NamedTuple):
    stack: Stack
    traces: Path

    def spans(self) -> dict[str, list[Span]]:
        """The spans of every trace."""
        found = defaultdict(list)
        for path in self.traces.glob("*.jsonl"):
            for line in path.read_text(encoding="utf-8").splitlines():
                span = json.loads(line)
                context = span["context"]
                made = Span(path.stem, span["name"], context["span_id"], span["parent_id"])
                found[context["trace_id"].removeprefix("0x")].append(made)
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def watched(tmp_path_factory) -> AsyncIterator[Watched]:
    """A stack that took one record in a sampled trace and one in an unsampled one."""
    traces = tmp_path_factory.mktemp("traces")
    options = StackOptions(port=0, durable=False, environment={"DOORSTEP_TRACES": str(traces)})
    async with running_stack(options) as stack:
        token = stack.token("collector", station="station-1")
        async with FrontDoor(stack.front_door, lambda: token) as collector:
            for seed, parent in enumerate((PARENT, UNSAMPLED)):
                record = demonstration(seed, now=datetime.now(UTC))
                await collector.call("POST", "/api/records", record, headers={"traceparent": parent})
        yield Watched(stack, traces)


async def test_one_trace_leads_from_the_request_to_the_last_consumer(watched: Watched) -> None:
    consumed = {
        "registry intake.visit-recorded.v1", "risk registry.facts-asserted.v1", "referral risk.needs-assessed.v1",
        "gateway referral.request-opened.v1",
    }  # fmt: skip

    async def all_there() -> bool:
        return consumed <= {span.name for span in watched.spans()[TRACE_ID]}

    await eventually(all_there, within=60)
    spans = {span.span_id: span for span in watched.spans()[TRACE_ID]}
    assert {span.service for span in spans.values()} >= {"gateway", "intake", "registry", "risk", "referral"}
    last = next(span for span in spans.values() if span.name == "gateway referral.request-opened.v1")
    way = [last]
    while way[-1].parent_id and way[-1].parent_id.removeprefix("0x") != PARENT.split("-")[2]:
        way.append(spans[way[-1].parent_id])
    assert [span.service for span in reversed(way)] == ["gateway", "intake", "registry", "risk", "referral", "gateway"]


async def test_few_spans_are_made_and_unsampled_traces_make_none(watched: Watched) -> None:
    spans = watched.spans()
    assert UNSAMPLED.split("-")[1] not in spans
    assert len(spans[TRACE_ID]) < 40


async def scraped(address: str) -> tuple[set[str], set[str]]:
    """The metrics that a service keeps, and those of them that have a value by now."""
    async with aiohttp.ClientSession() as client, client.get(address) as answer:
        lines = (await answer.text()).splitlines()
    kept = {line.split(" ")[2] for line in lines if line.startswith("# TYPE doorstep_")}
    return kept, {line.partition(" ")[0].partition("{")[0] for line in lines if line.startswith("doorstep_")}


async def test_every_service_tells_its_metrics(watched: Watched) -> None:
    for service in SERVICES:
        address = watched.stack.metrics_url(service)
        kept, _ = await scraped(address)  # is itself a request that is counted
        assert {"doorstep_consumer_retries", "doorstep_topic_epochs"} <= {name.removesuffix("_total") for name in kept}
        expected = {"doorstep_requests_total", "doorstep_log_contradicted"} if service == "audit" else set(TOLD)
        if service == "gateway":
            expected -= {"doorstep_published_total"}  # nobody has looked yet
        if service != "intake":
            expected |= TOLD_BY_CONSUMERS

        async def all_valued(address: str = address, expected: set[str] = expected) -> bool:
            _, valued = await scraped(address)
            return expected <= valued

        await eventually(all_valued, within=60)  # depth and lag are looked at every few seconds
