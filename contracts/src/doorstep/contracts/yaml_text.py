"""JSON documents written as YAML 1.2 that people can read; texts are in double quotes, so that nothing is guessed."""

import json
import re
from collections.abc import Iterator
from typing import Any

_PLAIN_KEY = re.compile(r"[A-Za-z][\w.-]*|x-[\w-]+")
_READ_AS_OTHERS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def to_yaml(document: dict[str, Any]) -> str:
    """`document`, of JSON's types alone, as YAML with two spaces a level, in the order given."""
    return "\n".join(_mapping(document, "")) + "\n"


def _mapping(document: dict[str, Any], indent: str) -> Iterator[str]:
    for name, value in document.items():
        yield from _entry(f"{indent}{_key(name)}:", value, indent)


def _sequence(values: list[Any], indent: str) -> Iterator[str]:
    for value in values:
        if isinstance(value, dict) and value:
            first, *rest = _mapping(value, indent + "  ")
            yield f"{indent}- {first.lstrip()}"
            yield from rest
        else:
            yield from _entry(f"{indent}-", value, indent)


def _entry(head: str, value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, dict) and value:
        yield head
        yield from _mapping(value, indent + "  ")
    elif isinstance(value, list) and value:
        yield head
        yield from _sequence(value, indent + "  ")
    elif isinstance(value, str) and "\n" in value and not re.search(r"^\s|\s$|[ \t]\n|[^\n\x20-\uffff]", value):
        yield f"{head} |-"
        yield from (f"{indent}  {line}" if line else "" for line in value.split("\n"))
    else:
        yield f"{head} {json.dumps(value, ensure_ascii=False)}"


def _key(name: str) -> str:
    plain = _PLAIN_KEY.fullmatch(name) and name.lower() not in _READ_AS_OTHERS
    return name if plain else json.dumps(name, ensure_ascii=False)
