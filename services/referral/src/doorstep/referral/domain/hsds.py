"""The file of a service directory: Open Referral HSDS 3 as JSON, its shape, and what of it is kept but not read.

`directory` names version, title and the stations with their area codes; beside it stand `organizations`, `locations`
and `services` as HSDS writes them, what is a service's inside it. Fields of HSDS that nothing is routed by are kept
as they are, fields that HSDS has not are refused, and so are those that name a person. docs/directory.md is the manual.
"""

import json
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from doorstep.referral.domain.directory import Flaw
from doorstep.referral.errors import DirectoryInvalid

Thing = dict[str, Any]

MOST_SERVICES: Final = 500
MOST_FLAWS = 50
_DEEPEST = 20
_LONGEST_NAME = 200
_NAMES = frozenset({"name", "status", "location_type"})

_HEADER: Final = frozenset({"version", "title", "stations"})
_PARTS: Final = {"organizations": "organization", "locations": "location", "services": "service"}
_PERSONS: Final = frozenset({"contacts", "metadata", "assurer_email", "attention"})


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Field names of HSDS 3.0 and 3.1 by object (the published JSON Schemas); `id` is everywhere.
FIELDS: Final[dict[str, frozenset[str]]] = {
    "organization": _words(
        "id name alternate_name description email website additional_websites tax_status tax_id year_incorporated"
        " legal_status logo uri parent_organization_id funding phones locations programs organization_identifiers"
        " attributes"
    ),
    "organization_identifier": _words("id organization_id identifier_scheme identifier_type identifier attributes"),
    "location": _words(
        "id location_type url organization_id name alternate_name description transportation latitude longitude"
        " external_identifier external_identifier_type languages addresses accessibility phones schedules attributes"
    ),
    "service": _words(
        "id organization_id program_id name alternate_name description url additional_urls email status"
        " interpretation_services application_process fees_description wait_time fees accreditations"
        " eligibility_description minimum_age maximum_age assured_date licenses alert last_modified phones schedules"
        " service_areas service_at_locations languages organization funding cost_options program required_documents"
        " capacities attributes"
    ),
    "service_at_location": _words(
        "id service_id location_id description service_areas phones schedules location attributes"
    ),
    "service_area": _words("id service_id service_at_location_id name description extent extent_type uri attributes"),
    "schedule": _words(
        "id service_id location_id service_at_location_id valid_from valid_to dtstart timezone until count wkst freq"
        " interval byday byweekno bymonthday byyearday description opens_at closes_at schedule_link attending_type"
        " notes attributes"
    ),
    "language": _words("id service_id location_id phone_id name code note attributes"),
    "service_capacity": _words("id service_id unit unit_id available maximum description updated attributes"),
    "unit": _words("id name scheme identifier uri attributes"),
    "attribute": _words("id link_id taxonomy_term_id link_type link_entity value taxonomy_term label"),
    "taxonomy_term": _words(
        "id code name description parent_id taxonomy taxonomy_detail language taxonomy_id term_uri"
    ),
}
_REQUIRED: Final = {
    "organization": ("name", "description"),
    "organization_identifier": ("identifier_type", "identifier"),
    "location": ("location_type",),
    "service": ("name", "status", "organization_id"),
    "service_capacity": ("unit", "available", "updated"),
    "unit": ("name",),
    "taxonomy_term": ("name", "description"),
}
_INSIDE: Final = {
    "organization_identifiers": "organization_identifier",
    "service_at_locations": "service_at_location",
    "service_areas": "service_area",
    "schedules": "schedule",
    "languages": "language",
    "capacities": "service_capacity",
    "attributes": "attribute",
    "unit": "unit",
    "taxonomy_term": "taxonomy_term",
}
_SINGLE: Final = frozenset({"unit", "taxonomy_term"})
#: HSDS lets these repeat what stands elsewhere in the file; here each thing stands once.
_ONCE: Final = frozenset({"organization", "location", "locations", "service"})


def read_json(text: str | bytes) -> Thing:
    """The document in a file. Raises DirectoryInvalid where it is no JSON object, or a key stands twice."""
    try:
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        place = f"/ {error.lineno}:{error.colno}" if isinstance(error, json.JSONDecodeError) else "/"
        twice = isinstance(error, _Twice)
        zh, en = (
            ("同一对象中有重复的字段", "a key stands twice in one object") if twice else ("不是 JSON", "is not JSON")
        )
        raise DirectoryInvalid((Flaw(place, zh, en),)) from None
    if not isinstance(document, dict):
        raise DirectoryInvalid((Flaw("/", "须为 JSON 对象", "must be a JSON object"),))
    return document


def digest(document: Thing) -> str:
    """Hex SHA-256 of the document as canonical JSON: keys sorted, no spaces, UTF-8."""
    canonical = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return sha256(canonical.encode()).hexdigest()


def flaws_of_shape(document: Thing) -> list[Flaw]:
    """What is wrong with the shape of a document: at most 50 lines, in the order of the file."""
    found = list(_texts(document, "", 0))
    if not found:
        found = list(_shape(document))
    return found[:MOST_FLAWS]


def term_values(thing: Thing, taxonomy: str) -> Iterator[tuple[int, str | None, str | None]]:
    """Of the attributes whose term is of `taxonomy`: their number, the term's code, their value."""
    for number, attribute in enumerate(thing.get("attributes", ())):
        term = attribute.get("taxonomy_term") or {}
        if term.get("taxonomy") == taxonomy:
            yield number, term.get("code"), attribute.get("value")


def _shape(document: Thing) -> Iterator[Flaw]:
    for key in document.keys() - _PARTS.keys() - {"directory"}:
        yield _unknown("", key)
    header = document.get("directory")
    if not isinstance(header, dict):
        yield Flaw("/directory", "缺少目录的版本和站点", "version and stations of the directory are missing")
    else:
        for key in sorted(header.keys() - _HEADER):
            yield _unknown("/directory", key)
    ids: set[tuple[str, str]] = set()
    for part, kind in _PARTS.items():
        yield from _array(kind, document.get(part, []), f"/{part}", ids)
    services = document.get("services")
    if not isinstance(services, list) or not 0 < len(services) <= MOST_SERVICES:
        yield Flaw("/services", f"须有 1 至 {MOST_SERVICES} 项服务", f"must be 1 to {MOST_SERVICES} services")


def _array(kind: str, things: object, where: str, ids: set[tuple[str, str]]) -> Iterator[Flaw]:
    if not isinstance(things, list):
        yield Flaw(where, "须为数组", "must be an array")
        return
    for number, one in enumerate(things):
        yield from _thing(kind, one, f"{where}/{number}", ids)


def _thing(kind: str, thing: object, where: str, ids: set[tuple[str, str]]) -> Iterator[Flaw]:
    if not isinstance(thing, dict):
        yield Flaw(where, "须为对象", "must be an object")
        return
    for key in sorted(thing.keys() - FIELDS[kind]):
        yield _unknown(where, key)
    yield from _identified(kind, thing, where, ids)
    yield from _required(kind, thing, where)
    for key in sorted(thing.keys() & _ONCE):
        yield Flaw(f"{where}/{key}", "请用编号引用，不要重复写入", "name it by its id; each thing stands once")
    for key in sorted(thing.keys() & FIELDS[kind] & _INSIDE.keys()):
        if key in _SINGLE:
            yield from _thing(_INSIDE[key], thing[key], f"{where}/{key}", ids)
        else:
            yield from _array(_INSIDE[key], thing[key], f"{where}/{key}", ids)


def _required(kind: str, thing: Thing, where: str) -> Iterator[Flaw]:
    for key in _REQUIRED.get(kind, ()):
        if thing.get(key) in (None, ""):
            yield Flaw(f"{where}/{key}", "缺少此项", "is missing")
        elif key in _NAMES and not (isinstance(thing[key], str) and len(thing[key]) <= _LONGEST_NAME):
            yield Flaw(
                f"{where}/{key}", f"须为不超过 {_LONGEST_NAME} 字的文本", f"is a text of {_LONGEST_NAME} at most"
            )


def _identified(kind: str, thing: Thing, where: str, ids: set[tuple[str, str]]) -> Iterator[Flaw]:
    """An id is a UUID; of organizations, places and services it stands once (terms and units are the same ones)."""
    known = as_id(thing.get("id"))
    if known is None:
        yield Flaw(f"{where}/id", "不是有效的编号", "is not a UUID")
    elif kind in _PARTS.values():
        if (kind, str(known)) in ids:
            yield Flaw(f"{where}/id", "编号重复", "stands twice")
        ids.add((kind, str(known)))


def as_id(value: object) -> UUID | None:
    """The id that a text is; None if it is none in the usual spelling."""
    if not isinstance(value, str) or len(value) != 36:
        return None
    try:
        return UUID(value)
    except ValueError:
        return None


def _unknown(where: str, key: str) -> Flaw:
    """A field that is not taken; its name is told where it looks like one."""
    shown = key if key.isascii() and key.isidentifier() and len(key) <= 40 else "?"
    if key in _PERSONS:
        return Flaw(f"{where}/{shown}", "会写入个人姓名，目录中不得出现", "names persons; a directory holds none")
    return Flaw(f"{where}/{shown}", "HSDS 3 没有这个字段", "is no field of HSDS 3")


def _texts(thing: object, where: str, depth: int) -> Iterator[Flaw]:
    """What cannot be stored, and who must not be named, at any depth, in what is kept and not read too."""
    if depth > _DEEPEST:
        yield Flaw(where, "嵌套过深", "is nested too deeply")
    elif isinstance(thing, str) and not _is_text(thing):
        yield Flaw(where, "含无效字符", "has characters that are not text")
    elif isinstance(thing, list):
        for number, one in enumerate(thing):
            yield from _texts(one, f"{where}/{number}", depth + 1)
    elif isinstance(thing, dict):
        yield from (_unknown(where, key) for key in thing if key in _PERSONS)
        for key, one in thing.items():
            yield from _texts(key, where, depth + 1)
            yield from _texts(one, f"{where}/{key}" if key.isidentifier() else where, depth + 1)


def _is_text(thing: str) -> bool:
    return "\0" not in thing and not any("\ud800" <= letter <= "\udfff" for letter in thing)


class _Twice(ValueError):
    """A key stands twice in one object."""


def _unique(pairs: Iterable[tuple[str, Any]]) -> Thing:
    """JSON lets the last of two equal keys win, silently; here that is an error."""
    pairs = list(pairs)
    if len({key for key, _ in pairs}) < len(pairs):
        raise _Twice
    return dict(pairs)


def _no_constant(_: str) -> None:
    raise ValueError
