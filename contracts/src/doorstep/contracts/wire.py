"""CloudEvents 1.0 on Kafka: envelopes to and from headers (binary mode), and from one JSON value (structured mode).

Kafka protocol binding for CloudEvents 1.0.2: binary mode puts attributes into headers `ce_<name>` and `content-type`
(section 3.2); structured mode has the content type `application/cloudevents+json` (section 3.3). Invariants: attributes
are UTF-8 text, times are RFC 3339 in UTC, nothing personal is an attribute.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from doorstep.contracts.envelope import JSON, SPEC_VERSION, Envelope

Headers = Sequence[tuple[str, bytes]]
STRUCTURED = "application/cloudevents+json"


class MalformedEvent(ValueError):
    """The message is not a CloudEvent of this product."""


def to_headers(envelope: Envelope) -> list[tuple[str, bytes]]:
    """The headers of `envelope` in binary mode, in a fixed order."""
    headers = [
        ("content-type", envelope.content_type.encode()),
        ("ce_specversion", SPEC_VERSION.encode()),
        ("ce_id", str(envelope.id).encode()),
        ("ce_source", envelope.source.encode()),
        ("ce_type", envelope.type.encode()),
        ("ce_time", format_time(envelope.time).encode()),
        ("ce_epoch", str(envelope.epoch).encode()),
    ]
    for name, value in (
        ("ce_subject", envelope.subject),
        ("ce_number", envelope.number),
        ("ce_traceparent", envelope.traceparent),
        ("ce_first", "true" if envelope.first else None),
    ):
        if value is not None:
            headers.append((name, str(value).encode()))
    return headers


def from_message(headers: Headers, key: bytes | None, value: bytes | None) -> tuple[Envelope, bytes]:
    """The envelope and the data of a message, whichever mode it is in.

    Raises MalformedEvent for anything that is not a complete CloudEvent with a key.
    """
    if value is None:
        raise MalformedEvent("the message has no value")
    try:
        named = dict(headers)
        if len(named) != len(headers):
            raise MalformedEvent("a header stands twice")
        content_type = named.get("content-type", b"").decode()
        if content_type.split(";")[0].strip() == STRUCTURED:
            return _structured(value, key)
        attributes = {name[3:]: text.decode() for name, text in named.items() if name.startswith("ce_")}
        return _envelope(attributes, key, content_type), value
    except (UnicodeDecodeError, KeyError, TypeError, ValueError, RecursionError) as error:
        if isinstance(error, MalformedEvent):
            raise
        raise MalformedEvent(f"an attribute is missing or malformed ({type(error).__name__})") from None


def _structured(value: bytes, key: bytes | None) -> tuple[Envelope, bytes]:
    document: dict[str, Any] = json.loads(value)
    if "data_base64" in document:
        data = base64.b64decode(document["data_base64"], validate=True)
    else:
        data = json.dumps(document["data"], ensure_ascii=False, separators=(",", ":")).encode()
    attributes = {name: document[name] for name in document if name not in ("data", "data_base64")}
    return _envelope(attributes, key, str(document.get("datacontenttype", JSON))), data


def _envelope(attributes: Mapping[str, Any], key: bytes | None, content_type: str) -> Envelope:
    if attributes["specversion"] != SPEC_VERSION:
        raise MalformedEvent("unknown specversion")
    if key is None:
        raise MalformedEvent("the message has no key")
    subject, number = attributes.get("subject"), attributes.get("number")
    envelope = Envelope(
        id=UUID(attributes["id"]),
        source=attributes["source"],
        type=attributes["type"],
        time=parse_time(attributes["time"]),
        key=UUID(key.decode()),
        subject=None if subject is None else UUID(subject),
        number=None if number is None else int(number),
        epoch=int(attributes.get("epoch", 1)),
        first=attributes.get("first") in ("true", True),
        traceparent=attributes.get("traceparent"),
        content_type=content_type,
    )
    if envelope.epoch < 1 or (envelope.number is not None and envelope.number < 1):
        raise MalformedEvent("numbers and epochs count from 1")
    return envelope


def format_time(time: datetime) -> str:
    """`time` as RFC 3339 in UTC with microseconds."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """The time that RFC 3339 `text` names; raises ValueError if it has no offset."""
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("a time without offset")
    return time.astimezone(UTC)
