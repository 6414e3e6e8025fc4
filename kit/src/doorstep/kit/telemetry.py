"""What a running service tells of itself: log lines, metrics and spans, none of which carries personal data."""

import json
import logging
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from prometheus_client import Counter, Gauge

LAG = Gauge("doorstep_consumer_lag", "Messages not yet consumed.", ("service", "topic", "partition"))
CONSUMED = Counter(
    "doorstep_consumed_total", "Messages consumed, by what became of them.", ("service", "topic", "fate")
)
RETRIES = Counter("doorstep_consumer_retries_total", "Work on a message begun again.", ("service", "reason"))
PARKED_KEYS = Gauge("doorstep_parked_keys", "Keys whose messages wait.", ("service",))
HOLES = Gauge("doorstep_holes", "Keys that have waited for a missing number for over a minute.", ("service",))
DEAD_LETTERS = Gauge("doorstep_dead_letters", "Dead letters not replayed.", ("service",))
OUTBOX_DEPTH = Gauge("doorstep_outbox_depth", "Events not yet published.", ("service",))
OUTBOX_AGE = Gauge("doorstep_outbox_age_seconds", "Age of the oldest event not yet published.", ("service",))
PUBLISHED = Counter("doorstep_published_total", "Events published.", ("service", "topic"))
EPOCHS = Counter(
    "doorstep_topic_epochs_total", "Topics published anew because the broker lost them.", ("service", "topic")
)
REQUESTS = Counter("doorstep_requests_total", "HTTP requests answered.", ("service", "route", "status"))
REFUSALS = Counter("doorstep_refusals_total", "Tries that were refused, by problem.", ("service", "problem"))
OWED_ERASURES = Gauge(
    "doorstep_owed_erasures",
    "Withdrawn requests that a department has not said in time to have deleted.",
    ("department",),
)
WEBHOOKS_WAITING = Gauge("doorstep_webhooks_waiting", "Messages that an endpoint has not taken yet.", ("department",))
FEED_CALLERS_WAITING = Gauge(
    "doorstep_feed_callers_waiting", "Callers who wait for the next message of a feed.", ("department",)
)
TASKS_OPEN = Gauge("doorstep_tasks_open", "Tasks that are open, everywhere together; nothing confidential.")
TASKS_OVERDUE = Gauge("doorstep_tasks_overdue", "Those of them of which the answer or the completion is late.")
CALLS_UNACKNOWLEDGED = Gauge(
    "doorstep_calls_unacknowledged", "Tasks of which the duty desk was called and no human took notice."
)
NOTICES_WAITING = Gauge("doorstep_notices_waiting", "Notices to residents that nobody took yet; nothing confidential.")
NOTICES_GIVEN_UP = Counter(
    "doorstep_notices_given_up_total", "Notices to residents that nobody could send, or took.", ("reason",)
)
LOST = Gauge("doorstep_lost", "What the check of requests found lost, by kind, when it looked last.", ("kind",))
WEBHOOKS_STOPPED = Gauge("doorstep_webhooks_stopped", "Whether an endpoint gets nothing any more.", ("department",))

_TRACER = trace.get_tracer("doorstep")
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class JsonLines(logging.Formatter):
    """One JSON object a line. Of an exception it shows type and places, never its message: that may quote data."""

    def __init__(self, service: str) -> None:
        """Write lines on behalf of `service`."""
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """The line for `record`."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "event": record.getMessage().partition("\n")[0],  # asyncio puts the exception into the lines after it
        }
        line.update({key: value for key, value in vars(record).items() if key not in _PLAIN})
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = describe(record.exc_info[1])
            line["at"] = places(record.exc_info[1])
        return json.dumps(line, ensure_ascii=False, default=str)


def describe(error: BaseException) -> str:
    """The type of `error` and of what caused it, without their messages."""
    names = [type(error).__name__]
    cause = getattr(error, "orig", None) or error.__cause__
    if cause is not None:
        names.append(type(cause).__name__)
    return " < ".join(names)


def places(error: BaseException) -> list[str]:
    """Where `error` came from, innermost last, at most eight places."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    return [f"{Path(frame.filename).stem}:{frame.lineno} {frame.name}" for frame in frames]


class SpanFile(SpanExporter):
    """Appends finished spans to a file, one JSON object a line."""

    def __init__(self, path: Path) -> None:
        """Append to `path`."""
        self._path = path

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write `spans`."""
        with self._path.open("a") as file:
            file.writelines(span.to_json(indent=None) + "\n" for span in spans)
        return SpanExportResult.SUCCESS


def configure_logging(service: str, level: str) -> None:
    """Send all log lines to standard output as JSON."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines(service))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("aiokafka").setLevel("ERROR")
    logging.getLogger("uvicorn.access").disabled = True


def configure_tracing(service: str, ratio: float, folder: Path | None) -> None:
    """Sample `ratio` of the traces that begin here and write their spans to `folder`, if there is one."""
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(ratio)), resource=Resource.create({"service.name": service})
    )
    if folder is not None:
        provider.add_span_processor(
            BatchSpanProcessor(SpanFile(folder / f"{service}.jsonl"), schedule_delay_millis=500)
        )
    trace.set_tracer_provider(provider)


def current_traceparent() -> str | None:
    """The W3C traceparent of the current span, if there is one."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def parse_traceparent(text: str | None) -> SpanContext | None:
    """The span context that `text` names; None if it names none."""
    parts = (text or "").split("-")
    if len(parts) != 4 or [len(part) for part in parts] != [2, 32, 16, 2]:
        return None
    try:
        trace_id, span_id, flags = (int(part, 16) for part in parts[1:])
    except ValueError:
        return None
    context = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    return context if context.is_valid else None


@contextmanager
def span(
    name: str, *, parent: str | None = None, kind: SpanKind = SpanKind.INTERNAL, **attributes: str
) -> Iterator[None]:
    """A span around a block; `parent` is a traceparent that came with a request or a message.

    The span notes the type of an exception but not its message.
    """
    remote = parse_traceparent(parent)
    context = None if remote is None else trace.set_span_in_context(trace.NonRecordingSpan(remote))
    with _TRACER.start_as_current_span(
        name, context=context, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield
        except Exception as error:
            current.set_attribute("error.type", type(error).__name__)
            raise
