"""Our messages as the CloudEvents SDK reads them, its messages as we do, and departments' envelopes."""

import contextlib
import json
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from cloudevents.core.bindings.kafka import (
    KafkaMessage,
    from_binary_event,
    from_structured_event,
    to_binary_event,
    to_structured_event,
)
from cloudevents.core.formats.json import JSONFormat
from hypothesis import given
from hypothesis import strategies as st

from doorstep.contracts.envelope import JSON, Envelope
from doorstep.contracts.wire import MalformedEvent, from_message, to_headers
from doorstep.kit.delivery import NotForUs, UnusableKey, encrypt_for, new_private_key, open_with, public_key

FORMAT = JSONFormat()


@st.composite
def envelopes(draw) -> Envelope:
    return Envelope(
        id=draw(st.uuids()),
        source=f"doorstep/{draw(st.sampled_from(['risk', 'intake']))}",
        type="risk.needs-assessed.v1",
        time=draw(st.datetimes(timezones=st.just(UTC)).filter(lambda time: 1900 < time.year < 2200)),
        key=draw(st.uuids()),
        subject=draw(st.none() | st.uuids()),
        number=draw(st.none() | st.integers(1, 2**53)),
        epoch=draw(st.integers(1, 1000)),
        first=draw(st.booleans()),
        traceparent=draw(st.none() | st.just("00-" + "a" * 32 + "-" + "b" * 16 + "-01")),
    )


documents = st.dictionaries(
    st.text(max_size=10), st.integers(-(2**53), 2**53) | st.text(max_size=20) | st.booleans(), max_size=5
)


@given(envelopes(), documents)
def test_our_binary_messages_are_understood_by_the_sdk(envelope, document):
    value = json.dumps(document, ensure_ascii=False).encode()
    event = from_binary_event(KafkaMessage(dict(to_headers(envelope)), str(envelope.key).encode(), value), FORMAT)
    assert event.get_id() == str(envelope.id)
    assert event.get_type() == envelope.type
    assert event.get_source() == envelope.source
    assert event.get_time() == envelope.time
    assert event.get_data() == document
    assert str(event.get_extension("epoch")) == str(envelope.epoch)


@given(envelopes(), documents)
def test_binary_messages_of_the_sdk_are_understood_by_us(envelope, document):
    value = json.dumps(document, ensure_ascii=False).encode()
    ours = KafkaMessage(dict(to_headers(envelope)), str(envelope.key).encode(), value)
    theirs = to_binary_event(from_binary_event(ours, FORMAT), FORMAT)
    headers = [(name, content) for name, content in theirs.headers.items() if name != "ce_partitionkey"]
    found, data = from_message(headers, str(envelope.key).encode(), theirs.value)
    assert found == envelope
    assert json.loads(data) == document


@given(envelopes(), documents)
def test_structured_messages_of_the_sdk_are_understood_by_us(envelope, document):
    value = json.dumps(document, ensure_ascii=False).encode()
    ours = KafkaMessage(dict(to_headers(envelope)), str(envelope.key).encode(), value)
    theirs = to_structured_event(from_binary_event(ours, FORMAT), FORMAT)
    found, data = from_message(list(theirs.headers.items()), str(envelope.key).encode(), theirs.value)
    assert found == envelope
    assert json.loads(data) == document
    assert from_structured_event(theirs, FORMAT).get_id() == str(envelope.id)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ce_id", "ce_type", "ce_time", "ce_number", "content-type", "ce_specversion"]),
            st.binary(max_size=40),
        ),
        max_size=8,
    ),
    st.none() | st.binary(max_size=40),
    st.none() | st.binary(max_size=80),
)
def test_whatever_comes_is_an_event_or_one_error(headers, key, value):
    with contextlib.suppress(MalformedEvent):
        from_message(headers, key, value)


COMPLETE = Envelope(id=uuid4(), source="doorstep/risk", type="t", time=datetime.now(UTC), key=uuid4(), number=1)


@pytest.mark.parametrize(
    "changes",
    [
        {"ce_id": b"7"},
        {"ce_time": b"yesterday"},
        {"ce_time": b"2026-01-01T00:00:00"},
        {"ce_number": b"0"},
        {"ce_number": b"-1"},
        {"ce_number": b"x"},
        {"ce_epoch": b"0"},
        {"ce_specversion": b"0.3"},
        {"ce_subject": b"x"},
        {"ce_type": None},
        {"ce_source": None},
        {"ce_specversion": None},
        {"ce_id": b"\xff"},
    ],
)
def test_an_attribute_that_is_missing_or_malformed_is_one_error(changes):
    headers = {**dict(to_headers(COMPLETE)), **changes}
    with pytest.raises(MalformedEvent):
        from_message([(name, value) for name, value in headers.items() if value is not None], b"k", b"{}")
    with pytest.raises(MalformedEvent):
        from_message(to_headers(COMPLETE), None, b"{}")
    with pytest.raises(MalformedEvent):
        from_message(to_headers(COMPLETE), b"no uuid", b"{}")


@pytest.mark.parametrize(
    "document", [b"1", b"[]", b"{", b"null", b'"x"', b'{"specversion":"1.0"}', b"\xff", b"[" * 100_000]
)
def test_a_structured_message_that_is_none_is_one_error(document):
    with pytest.raises(MalformedEvent):
        from_message([("content-type", b"application/cloudevents+json")], str(COMPLETE.key).encode(), document)


def test_the_content_type_is_that_of_the_data():
    assert from_message(to_headers(COMPLETE), str(COMPLETE.key).encode(), b"{}")[0].content_type == JSON
    assert UUID(str(COMPLETE.key)) == COMPLETE.key


# --- delivery ----------------------------------------------------------------------------------------------------


def test_what_is_encrypted_for_a_department_is_opened_by_it_alone():
    fire, health = new_private_key("fire-1"), new_private_key("health-1")
    token = encrypt_for(public_key(fire.as_dict(private=False)), "火".encode())
    assert open_with({"fire-1": fire, "health-1": health}, token).decode() == "火"
    for wrong in ({}, {"health-1": health}, {"fire-1": health}):
        with pytest.raises(NotForUs):
            open_with(wrong, token)
    assert token.count(b".") == 4
    assert encrypt_for(public_key(fire.as_dict(private=False)), b"x") != encrypt_for(fire, b"x")


def test_every_changed_part_of_a_delivery_is_noticed():
    fire = new_private_key("fire-1")
    token = encrypt_for(fire, b"content of a request")
    parts = token.split(b".")
    for place, part in enumerate(parts):
        flipped = (b"A" if part[:1] != b"A" else b"B") + part[1:]
        changed = b".".join([*parts[:place], flipped, *parts[place + 1 :]])
        with pytest.raises(NotForUs):
            open_with({"fire-1": fire}, changed)
    for broken in (b"", b".", b"....", token[:-5], b"\xff" + token, token + b".x"):
        with pytest.raises(NotForUs):
            open_with({"fire-1": fire}, broken)


def test_a_private_or_another_kind_of_key_is_not_accepted_as_a_recipient_s():
    key = new_private_key("fire-1")
    public = key.as_dict(private=False)
    for unusable in (
        key.as_dict(private=True),
        {**public, "kid": ""},
        {name: public[name] for name in public if name != "kid"},
        {**public, "crv": "Ed25519"},
        {**public, "crv": "X448"},
        {**public, "x": "!"},
        {"kty": "oct", "k": "AAAA", "kid": "1"},
        {**public, "x": None},
        {},
        {"kty": "OKP"},
        {**public, "x": "AAAA"},
    ):
        with pytest.raises(UnusableKey):
            public_key(unusable)
