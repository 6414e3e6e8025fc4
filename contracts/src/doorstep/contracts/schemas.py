"""The published contracts as JSON Schema (2020-12) and plain tables, made from the models and nothing else."""

import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic.json_schema import models_json_schema

from doorstep.contracts.codes import DEPARTMENT_NAMES
from doorstep.contracts.envelope import Contract, Event
from doorstep.contracts.facts import CATALOGUE, FactType
from doorstep.contracts.feeds import FEEDS, Feed
from doorstep.contracts.needs import NEED_TYPES, NeedType
from doorstep.contracts.sealed import Sealed
from doorstep.contracts.topics import EVENTS, TOPICS, Topic

Document = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
FEED_ENCRYPTION = "compact JWE (ECDH-ES+A256KW on X25519, A256GCM) for the key of the feed's department"
_UUID = {"type": "string", "format": "uuid"}


def documents() -> dict[str, Document]:
    """Every generated JSON document by its path below the schemas' folder."""
    made = {f"{name}.json": event_schema(event) for name, event in EVENTS.items()}
    made |= {f"contents/{model.__name__}.json": content_schema(model) for model in contents()}
    return made | {
        "envelope.json": headers_schema(),
        "topics.json": {"topics": [_topic(topic) for topic in TOPICS.values()]},
        "catalogue.json": catalogue(),
    }


def event_schema(event: type[Event]) -> Document:
    """The schema of an event's data: the message's value, or what a department decrypts from it."""
    encrypted = {"x-encryption": FEED_ENCRYPTION} if is_feed_event(event) else {}
    return {"$schema": DIALECT, "$id": f"urn:doorstep:event:{event.event_type}"} | encrypted | _schema(event)


def content_schema(model: type[Contract]) -> Document:
    """The schema of what is sealed inside events, or offered to departments."""
    return {"$schema": DIALECT, "$id": f"urn:doorstep:content:{model.__name__}"} | _schema(model)


def is_feed_event(event: type[Event]) -> bool:
    """Whether the event travels as JWE for one department."""
    return event.event_type.startswith("feed.")


def contents() -> list[type[Contract]]:
    """The models that are sealed in an event, by name."""
    found = {content.__name__: content for event in EVENTS.values() for content in _sealed_in(event)}
    return [found[name] for name in sorted(found)]


def component_schemas(template: str) -> dict[str, Document]:
    """The schemas of all events and contents by model name; references are written by `template`."""
    models = [*EVENTS.values(), *contents()]
    _, made = models_json_schema([(model, "validation") for model in models], ref_template=template)
    named: dict[str, Document] = made["$defs"]
    return named


def headers_schema() -> Document:
    """The schema of a message's headers in CloudEvents' binary mode, each value as text. Nothing in it is personal."""
    required: dict[str, Document] = {
        "content-type": {"type": "string", "enum": ["application/json", "application/jose"]},
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_id": _UUID | {"description": "The event's id; the same at every delivery."},
        "ce_source": {"type": "string", "pattern": "^doorstep/[a-z]+$", "description": "The service that published."},
        "ce_type": {"type": "string", "pattern": r"^[a-z]+\.[a-z-]+\.v[1-9][0-9]*$"},
        "ce_time": {"type": "string", "format": "date-time", "description": "When it happened, in UTC."},
        "ce_epoch": _counting("How often the topic was published anew after its broker lost it, from 1."),
    }
    optional: dict[str, Document] = {
        "ce_subject": _UUID | {"description": "A random id of what the event is about."},
        "ce_number": _counting("Counts the events of one topic and key from 1 without a gap."),
        "ce_first": {
            "type": "string",
            "const": "true",
            "description": "The topic was published anew, and the producer holds no earlier event of the key any more.",
        },
        "ce_traceparent": {"type": "string", "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"},
    }
    return {
        "$schema": DIALECT,
        "$id": "urn:doorstep:envelope",
        "title": "Headers",
        "description": "CloudEvents 1.0 on Kafka in binary mode.",
        "type": "object",
        "properties": required | optional,
        "required": list(required),
    }


def catalogue() -> Document:
    """The fact catalogue, the need types and the feeds as tables."""
    return {
        "departments": {str(one): {"zh": zh, "en": en} for one, (zh, en) in DEPARTMENT_NAMES.items()},
        "facts": {code: _fact(entry) for code, entry in CATALOGUE.items()},
        "needs": {code: _need(entry) for code, entry in NEED_TYPES.items()},
        "feeds": {str(department): _feed(feed) for department, feed in FEEDS.items()},
    }


def _schema(model: type[Contract]) -> Document:
    return model.model_json_schema(mode="validation")


def _counting(description: str) -> Document:
    return {"type": "string", "pattern": "^[1-9][0-9]*$", "description": description}


def _sealed_in(annotation: Any) -> Iterator[type[Contract]]:
    if isinstance(annotation, type) and issubclass(annotation, Sealed):
        yield from annotation.__pydantic_generic_metadata__["args"]
    elif isinstance(annotation, type) and issubclass(annotation, Contract):
        for field in annotation.model_fields.values():
            yield from _sealed_in(field.annotation)
    elif typing.get_origin(annotation) in (tuple, typing.Union, types.UnionType):
        for argument in typing.get_args(annotation):
            yield from _sealed_in(argument)


def _topic(topic: Topic) -> Document:
    return {
        "name": topic.name,
        "key": topic.key,
        "producer": topic.producer,
        "groups": list(topic.groups),
        "events": [event.event_type for event in topic.events],
        "ordered": topic.ordered,
        "partitions": topic.partitions,
        "retention_days": topic.retention_days,
    }


def _fact(entry: FactType) -> Document:
    return {
        "kind": int(entry.kind),
        "subject": str(entry.subject),
        "value": str(entry.value),
        "choices": list(entry.choices),
        "said_by": sorted(entry.said_by),
        "sensitive": entry.sensitive,
        "keep_days": entry.keep_days,
        "alone": entry.alone,
        "zh": entry.zh,
        "en": entry.en,
    }


def _need(entry: NeedType) -> Document:
    return {
        "department": str(entry.department),
        "subject": str(entry.subject),
        "urgency": str(entry.urgency),
        "respond_hours": entry.respond_hours,
        "complete_days": entry.complete_days,
        "legal_basis": str(entry.legal_basis),
        "confidential": entry.confidential,
        "guarded": entry.guarded,
        "zh": entry.zh,
        "en": entry.en,
    }


def _feed(feed: Feed) -> Document:
    return {
        "fields": sorted(feed.fields),
        "fact_kinds": sorted(int(kind) for kind in feed.fact_kinds),
        "purpose": str(feed.purpose),
    }
