"""JSON documents written as YAML 1.2 that people can read; texts are in double quotes, so that nothing is guessed."""

import json
import re
from collections.abc import Iterator
from typing import Any

_PLAIN_KEY = re.compile(r"[A-Za-z][\w.-]*|x-[\w-]+")
_NOT_PRINTABLE = re.compile(r"[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_NOT_A_BLOCK = re.compile(rf"^\s|\s$|[ \t]\n|[\x00-\x09\x0b-\x1f]|{_NOT_PRINTABLE.pattern}")
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
    elif isinstance(value, str) and "\n" in value and not _NOT_A_BLOCK.search(value):
        yield f"{head} |-"
        yield from (f"{indent}  {line}" if line else "" for line in value.split("\n"))
    else:
        yield f"{head} {_quoted(value)}"


def _key(name: str) -> str:
    plain = _PLAIN_KEY.fullmatch(name) and name.lower() not in _READ_AS_OTHERS
    return name if plain else _quoted(name)


def _quoted(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return _NOT_PRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
