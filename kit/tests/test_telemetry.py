"""Log lines, metrics and traces: what they tell, and what they must not."""

import contextlib
import json
import logging
from uuid import UUID

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from doorstep.kit.telemetry import JsonLines, current_traceparent, describe, parse_traceparent, span

NAME = "张三"
WRITTEN = UUID(int=1)  # the key of what /written writes
METRICS = (
    "doorstep_consumer_lag doorstep_consumed_total doorstep_consumer_retries_total doorstep_parked_keys doorstep_holes"
    " doorstep_dead_letters doorstep_outbox_depth doorstep_outbox_age_seconds doorstep_published_total"
    " doorstep_topic_epochs_total doorstep_requests_total"
)


def line_of(logger: str, message: str, *arguments, error: BaseException | None = None, **extra) -> dict:
    record = logging.getLogger(logger).makeRecord(
        logger,
        logging.ERROR,
        __file__,
        1,
        message,
        arguments,
        None if error is None else (type(error), error, error.__traceback__),
        extra=extra,
    )
    return json.loads(JsonLines("risk").format(record))


def raised(error: Exception) -> Exception:
    with contextlib.suppress(type(error)):
        raise error
    return error


def test_a_line_about_an_exception_has_its_type_and_places_and_never_its_message():
    cause = raised(ValueError(f"{NAME} 110101194001010013"))
    try:
        raise KeyError(NAME) from cause
    except KeyError as error:
        line = line_of("doorstep.x", "failed", error=error)
    assert line["error"] == "KeyError < ValueError"
    assert any("test_telemetry" in place for place in line["at"])
    assert NAME not in json.dumps(line, ensure_ascii=False)
    assert "1101" not in json.dumps(line)


def test_what_asyncio_says_of_a_lost_exception_is_cut_to_its_first_line():
    text_of = f"Task exception was never retrieved\nfuture: <Task finished exception=ValueError('{NAME}')>"
    assert line_of("asyncio", text_of)["event"] == "Task exception was never retrieved"


async def test_the_error_of_a_statement_shows_neither_its_values_nor_the_row(store):
    with pytest.raises(DBAPIError) as failed:
        async with store.producer.transaction() as session:
            await session.execute(text("SELECT CAST(:name AS integer)"), {"name": NAME})
    assert NAME not in json.dumps(line_of("doorstep.x", "failed", error=failed.value), ensure_ascii=False)
    assert NAME not in describe(failed.value)


def test_a_line_is_one_line_of_json_with_time_level_service_and_event():
    line = line_of("doorstep.x", "published %d", 7, topic="risk.needs")
    assert (line["level"], line["service"], line["event"], line["topic"]) == (
        "error",
        "risk",
        "published 7",
        "risk.needs",
    )
    assert line["time"].endswith("+00:00")


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "x",
        "00-0-0-00",
        "00-" + "0" * 32 + "-" + "1" * 16 + "-01",
        "00-" + "g" * 32 + "-" + "1" * 16 + "-01",
        "-" * 60,
        None,
    ],
)
def test_what_is_no_traceparent_begins_a_trace_of_its_own(wrong):
    assert parse_traceparent(wrong) is None


@pytest.fixture(scope="module")
def spans():
    """Every span of this process, kept."""
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    trace._TRACER_PROVIDER = None
    trace._TRACER_PROVIDER_SET_ONCE._done = False
    trace.set_tracer_provider(provider)
    return kept


async def test_one_trace_leads_from_the_request_through_the_broker_to_the_last_consumer(stage, edge, spans):
    """HTTP request -> outbox -> header -> consumer -> its own event -> header -> next consumer."""
    edge.service.database = stage.flow.producer

    async def pass_on(session, received):
        inside.append(current_traceparent())

    inside: list[str | None] = []
    stage.behaviour[WRITTEN] = pass_on
    parent = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    status, answer, _ = await edge.ask("POST", "/api/things/written", headers={"traceparent": parent})
    assert status == 201
    await stage.has(WRITTEN, 1)
    server = next(one for one in spans.get_finished_spans() if one.name == "referral POST")
    consumer = next(one for one in spans.get_finished_spans() if one.name == "referral risk.needs-assessed.v1")
    assert {f"{one.context.trace_id:032x}" for one in (server, consumer)} == {"a" * 32}
    assert f"{server.parent.span_id:016x}" == "b" * 16
    assert consumer.parent.span_id == server.context.span_id
    # what the consumer writes in turn carries its own span as the parent of the next
    assert inside == [f"00-{'a' * 32}-{consumer.context.span_id:016x}-01"]
    assert answer["serials"]


def test_a_span_notes_the_type_of_an_error_and_not_its_message(spans):
    with pytest.raises(ValueError, match=NAME), span("failing", attribute="x"):
        raise ValueError(NAME)
    ended = spans.get_finished_spans()[-1]
    assert ended.attributes["error.type"] == "ValueError"
    assert NAME not in ended.to_json()
    assert ended.events == ()


async def test_metrics_have_their_names_and_no_label_that_could_name_a_person(edge):
    await edge.ask("GET", "/api/things/own")
    async with edge.client.get(f"{edge.url}/metrics") as answer:
        shown = await answer.text()
    for name in METRICS.split():
        assert f"# TYPE {name.removesuffix('_total')}" in shown or f"# TYPE {name} " in shown
    assert 'doorstep_requests_total{route="/api/things/own",service="referral",status="401"}' in shown
    await edge.ask("GET", "/api/things/%E5%BC%A0%E4%B8%89")
    async with edge.client.get(f"{edge.url}/metrics") as answer:
        assert NAME not in await answer.text()
