"""CloudEvents on Kafka: what we write another implementation reads, and the other way round; the rest is refused."""

import json
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid4

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, from_structured, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from doorstep.contracts.envelope import Envelope
from doorstep.contracts.wire import STRUCTURED, MalformedEvent, from_message, to_headers

VALUE = b'{"a":1}'
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def envelope(**changes: object) -> Envelope:
    given = {
        "id": uuid4(), "source": "doorstep/intake", "type": "intake.visit-recorded.v1",
        "time": datetime(2026, 11, 20, 2, 30, 0, 123456, tzinfo=UTC), "key": uuid4(), "subject": uuid4(), "number": 7,
        "epoch": 2, "traceparent": TRACE,
    }  # fmt: skip
    return Envelope(**given | changes)


def message(**changes: str | None) -> tuple[list[tuple[str, bytes]], bytes, bytes]:
    """A good message with some headers changed, or left out where None."""
    one = envelope()
    headers = {name: text.decode() for name, text in to_headers(one)} | changes
    return [(name, text.encode()) for name, text in headers.items() if text is not None], str(one.key).encode(), VALUE


ENVELOPES = st.builds(
    envelope,
    id=st.uuids(),
    key=st.uuids(),
    subject=st.none() | st.uuids(),
    number=st.none() | st.integers(1, 2**62),
    epoch=st.integers(1, 2**31),
    traceparent=st.none() | st.just(TRACE),
    time=st.datetimes(timezones=st.just(UTC)),
)


@given(ENVELOPES)
def test_what_is_written_is_read_again(one: Envelope) -> None:
    assert from_message(to_headers(one), str(one.key).encode(), VALUE) == (one, VALUE)


def test_another_implementation_reads_what_we_write() -> None:
    one = envelope()
    theirs = from_binary(
        KafkaMessage(headers=dict(to_headers(one)), key=str(one.key).encode(), value=VALUE), JSONFormat()
    )
    assert theirs.get_id() == str(one.id)
    assert theirs.get_type() == one.type
    assert theirs.get_source() == one.source
    assert theirs.get_time() == one.time
    assert theirs.get_data() == {"a": 1}
    assert theirs.get_extension("number") == "7"


@pytest.mark.parametrize("write", [to_binary, to_structured])
def test_we_read_what_another_implementation_writes(write) -> None:
    one = envelope()
    attributes = {
        "id": str(one.id), "source": one.source, "type": one.type, "time": one.time, "subject": str(one.subject),
        "datacontenttype": "application/json", "number": "7", "epoch": "2", "traceparent": TRACE,
    }  # fmt: skip
    event = CloudEvent(attributes, {"名": "字"})
    theirs = write(event, JSONFormat(), key_mapper=lambda _: str(one.key))
    key = theirs.key.encode() if isinstance(theirs.key, str) else theirs.key
    ours, data = from_message(list(theirs.headers.items()), key, theirs.value)
    assert ours == one
    assert json.loads(data) == {"名": "字"}


def test_another_implementation_s_reader_agrees_on_structured_mode() -> None:
    document = {"specversion": "1.0", "id": str(uuid4()), "source": "doorstep/intake", "type": "a.b.v1",
                "time": "2026-11-20T02:30:00Z", "data": {"a": 1}}  # fmt: skip
    value = json.dumps(document).encode()
    theirs = from_structured(
        KafkaMessage(headers={"content-type": STRUCTURED.encode()}, key=None, value=value), JSONFormat()
    )
    ours, data = from_message([("content-type", STRUCTURED.encode())], str(uuid4()).encode(), value)
    assert (str(ours.id), ours.type, ours.time) == (theirs.get_id(), theirs.get_type(), theirs.get_time())
    assert json.loads(data) == theirs.get_data()


def test_binary_data_in_structured_mode_comes_out_whole() -> None:
    document = {"specversion": "1.0", "id": str(uuid4()), "source": "s", "type": "t", "time": "2026-11-20T02:30:00Z",
                "datacontenttype": "application/jose", "data_base64": "AP8="}  # fmt: skip
    headers = [("content-type", b"application/cloudevents+json; charset=UTF-8")]
    ours, data = from_message(headers, str(uuid4()).encode(), json.dumps(document).encode())
    assert (ours.content_type, data) == ("application/jose", b"\x00\xff")


def test_a_time_with_another_offset_is_the_same_time_in_utc() -> None:
    ours, _ = from_message(*message(ce_time="2026-11-20T10:30:00+08:00"))
    assert ours.time == datetime(2026, 11, 20, 2, 30, tzinfo=UTC)
    assert ours.time.utcoffset() == timedelta(0)
    shanghai = timezone(timedelta(hours=8))
    assert dict(to_headers(envelope(time=ours.time.astimezone(shanghai))))["ce_time"] == b"2026-11-20T02:30:00.000000Z"


def test_headers_of_others_are_let_be() -> None:
    ours, data = from_message(*message(**{"ce_dataschema": "urn:x", "x-request": "1"}))
    assert data == VALUE
    assert ours.number == 7


@pytest.mark.parametrize(
    "changes",
    [
        {"ce_specversion": "0.3"}, {"ce_specversion": None}, {"ce_id": None}, {"ce_id": "7"}, {"ce_type": None},
        {"ce_source": None}, {"ce_time": None}, {"ce_time": "yesterday"}, {"ce_time": "2026-11-20T02:30:00"},
        {"ce_number": "0"}, {"ce_number": "-1"}, {"ce_number": "one"}, {"ce_epoch": "0"}, {"ce_subject": "林秀英"},
    ],
    ids=str,
)  # fmt: skip
def test_a_message_that_is_no_event_of_ours_is_refused(changes: dict[str, str | None]) -> None:
    with pytest.raises(MalformedEvent):
        from_message(*message(**changes))


@pytest.mark.parametrize(
    ("headers", "key", "value"),
    [
        ([], b"", b""),
        ([("content-type", STRUCTURED.encode())], str(UUID(int=1)).encode(), b"not json"),
        ([("content-type", STRUCTURED.encode())], str(UUID(int=1)).encode(), b"[]"),
        ([("content-type", STRUCTURED.encode())], str(UUID(int=1)).encode(), b'"' + b"[" * 40),
        ([("content-type", STRUCTURED.encode())], str(UUID(int=1)).encode(), b"[" * 200_000),
        ([("content-type", STRUCTURED.encode())], str(UUID(int=1)).encode(), b'{"specversion":"1.0"}'),
        ([("content-type", b"\xff")], b"k", b"{}"),
        (message()[0], None, VALUE),
        (message()[0], b"no uuid", VALUE),
        (message()[0], b"\xff\xfe", VALUE),
        (message()[0], str(UUID(int=1)).encode(), None),
        ([*message()[0], ("ce_id", b"twice")], str(UUID(int=1)).encode(), VALUE),
    ],
)
def test_whatever_comes_there_is_one_error(headers, key, value) -> None:
    with pytest.raises(MalformedEvent):
        from_message(headers, key, value)


@given(st.lists(st.tuples(st.text(max_size=12), st.binary(max_size=20)), max_size=5), st.binary(max_size=40))
def test_nothing_but_an_event_or_that_error_comes_of_noise(headers: list[tuple[str, bytes]], value: bytes) -> None:
    with pytest.raises(MalformedEvent):
        from_message(headers, b"00000000-0000-0000-0000-000000000001", value)


def test_an_error_does_not_quote_what_came() -> None:
    with pytest.raises(MalformedEvent) as caught:
        from_message(*message(ce_id="林秀英 13800000000"))
    assert "13800000000" not in repr(caught.value)
    assert caught.value.__cause__ is None
