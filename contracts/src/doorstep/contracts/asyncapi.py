"""The topics as an AsyncAPI 3.0 document: channels, operations of each service, messages, bindings, dead letters."""

from typing import Any

from doorstep.contracts.envelope import Event
from doorstep.contracts.feeds import FEED_DAYS
from doorstep.contracts.schemas import FEED_ENCRYPTION, component_schemas, headers_schema, is_feed_event
from doorstep.contracts.topics import EVENTS, SERVICES, TOPICS, Topic

Document = dict[str, Any]
_BINDING = "0.5.0"
_DAY_MS = 86_400_000
_DEAD = "DeadLetter"
_ABOUT = """\
The events of Doorstep: CloudEvents 1.0 on Kafka, in binary mode. Structured mode is understood too.

Headers, keys and topics hold nothing personal. Whatever is personal is sealed (AES-256-GCM) under the data key of its
subject; `x-sealed-content` names what is inside. A department's feed holds JWE for that department's key alone.
Events of one key are numbered from 1 without a gap (`ce_number`); a topic's epoch (`ce_epoch`) rises when its broker
lost it and its producer published it anew, where a key may begin later than with 1 (`ce_first`). A message with a
known `ce_id` was delivered before. Unknown fields are to be let be: published events change by addition alone."""


def document() -> Document:
    """The whole document, self-contained."""
    return {
        "asyncapi": "3.0.0",
        "id": "urn:doorstep:events",
        "info": {"title": "Doorstep events 事件", "version": "1.0.0", "description": _ABOUT},
        "defaultContentType": "application/json",
        "servers": {"kafka": {"host": "kafka.example:9092", "protocol": "kafka"}},
        "channels": _channels(),
        "operations": _operations(),
        "components": {
            "messages": {**{name: _message(event) for name, event in EVENTS.items()}, _DEAD: _dead_letter()},
            "schemas": {"Headers": _without_dialect(headers_schema()), **component_schemas(_schema_path("{model}"))},
        },
    }


def _channels() -> Document:
    channels: Document = {}
    for topic in TOPICS.values():
        names = [event.event_type for event in topic.events]
        channels[topic.name] = _channel(topic.name, topic, names, _told(topic))
        for group in topic.groups:
            name = topic.dead_letter(group)
            told = f"What {group} could never process of {topic.name}, as it came; `doorstep_error` says why."
            channels[name] = _channel(name, topic, [_DEAD], told)
    return channels


def _channel(name: str, topic: Topic, messages: list[str], description: str) -> Document:
    settings = {"cleanup.policy": ["delete"], "retention.ms": topic.retention_days * _DAY_MS}
    return {
        "address": name,
        "description": description,
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": {one: {"$ref": f"#/components/messages/{one}"} for one in messages},
        "bindings": {
            "kafka": {
                "topic": name,
                "partitions": topic.partitions,
                "topicConfiguration": settings,
                "bindingVersion": _BINDING,
            }
        },
    }


def _told(topic: Topic) -> str:
    order = "numbered and in order per key" if topic.ordered else "in no order"
    return f"Written by {topic.producer} alone. Key: id of the {topic.key}; {order}. Kept {topic.retention_days} days."


def _operations() -> Document:
    operations: Document = {}
    for service in SERVICES:
        for topic in TOPICS.values():
            if topic.producer == service:
                operations[f"{service}-sends-{topic.name}"] = _operation("send", service, topic.name, topic)
            if service in topic.groups:
                operations[f"{service}-receives-{topic.name}"] = _receiving(service, topic)
                dead = topic.dead_letter(service)
                operations[f"{service}-sends-{dead}"] = _operation("send", service, dead, None)
    for topic in TOPICS.values():
        if topic.name.startswith("feed."):
            department = topic.name.removeprefix("feed.")
            operations[f"{department}-receives-{topic.name}"] = _operation("receive", department, topic.name, topic)
    return operations


def _receiving(group: str, topic: Topic) -> Document:
    binding = {"groupId": {"type": "string", "enum": [group]}, "bindingVersion": _BINDING}
    return _operation("receive", group, topic.name, topic) | {"bindings": {"kafka": binding}}


def _operation(action: str, who: str, channel: str, topic: Topic | None) -> Document:
    names = [_DEAD] if topic is None else [event.event_type for event in topic.events]
    return {
        "action": action,
        "title": f"{who} {action}s {channel}",
        "channel": {"$ref": f"#/channels/{channel}"},
        "tags": [{"name": who}],
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names],
    }


def _message(event: type[Event]) -> Document:
    feed = is_feed_event(event)
    payload: Document = {"$ref": _schema_path(event.__name__)}
    if feed:
        encrypted = f"{FEED_ENCRYPTION}. Delete what it says by its `delete_by`; the feed keeps it {FEED_DAYS} days."
        payload = {"type": "string", "description": encrypted, "x-decrypted": payload}
    return {
        "name": event.event_type,
        "title": event.__name__,
        "summary": (event.__doc__ or "").partition("\n")[0],
        "contentType": "application/jose" if feed else "application/json",
        "headers": {"$ref": _schema_path("Headers")},
        "payload": payload,
        "bindings": {"kafka": _key()},
    }


def _dead_letter() -> Document:
    error = {"type": "string", "description": "The type of the error; never its message."}
    return {
        "name": _DEAD,
        "title": _DEAD,
        "summary": "A message that could not be processed, with the headers and the value that it came with.",
        "headers": {"type": "object", "properties": {"doorstep_error": error}, "required": ["doorstep_error"]},
        "bindings": {"kafka": _key()},
    }


def _key() -> Document:
    return {"key": {"type": "string", "format": "uuid"}, "bindingVersion": _BINDING}


def _schema_path(name: str) -> str:
    return f"#/components/schemas/{name}"


def _without_dialect(schema: Document) -> Document:
    return {name: value for name, value in schema.items() if name not in ("$schema", "$id")}
