"""Reads the offices of a directory's file: whose they are, what they take, and every fault that would misroute.

Refused, each with a line of its own: a department, need type, fact, station or area that is not known; a need that
another department owes; a condition on a fact that the department may not see, since to be sent to one office and not
to another would tell it; hours that are not understood; an office that hands over in a circle.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, time, timedelta, timezone
from typing import Any, Final
from uuid import UUID

from doorstep.contracts.codes import Department
from doorstep.contracts.facts import CATALOGUE, FactType, FactValue, Value
from doorstep.contracts.feeds import FEEDS
from doorstep.contracts.needs import NEED_TYPES
from doorstep.referral.domain.directory import Comparison, Condition, Directory, Flaw, Hours, Office
from doorstep.referral.domain.hsds import MOST_FLAWS, Thing, as_id, digest, flaws_of_shape, read_json, term_values
from doorstep.referral.errors import DirectoryInvalid

NEED_TERMS: Final = "doorstep-need-types"
FACT_TERMS: Final = "doorstep-facts"
HAND_OVER_TERMS: Final = "doorstep-hand-over"
DEPARTMENTS: Final = "doorstep-department"
OPEN_REQUESTS: Final = "doorstep-open-requests"
RESERVED: Final = frozenset({"current", "trials"})

_VERSION = re.compile(r"[a-z0-9][a-z0-9.-]{0,39}")
_STATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_AREA = re.compile(r"(?:[0-9]{2}){1,3}|[0-9]{9}|[0-9]{12}")  # GB/T 2260, GB/T 10114
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])(?::[0-5][0-9])?(Z|[+-][01][0-9]:[0-5][0-9])?")
_COMPARED = re.compile(r"(is|>=|<=) ([a-z0-9-]{1,40})")
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_STATUSES = ("active", "inactive", "defunct", "temporarily closed")
_TURNS = ("interval", "count", "until", "byweekno", "bymonthday", "byyearday", "dtstart")


@dataclass
class _Reading:
    """What is found while a document is read: stations by code, areas, and flaws."""

    stations: dict[str, str] = field(default_factory=dict)
    departments: dict[UUID, Department] = field(default_factory=dict)
    flaws: list[Flaw] = field(default_factory=list)

    def flaw(self, where: str, zh: str, en: str) -> None:
        """Note one thing that is wrong."""
        self.flaws.append(Flaw(where, zh, en))

    def check(self) -> None:
        """Raise DirectoryInvalid if anything is wrong so far."""
        if self.flaws:
            raise DirectoryInvalid(self.flaws[:MOST_FLAWS])


def parse_directory(document: Thing) -> Directory:
    """The directory in a document. Raises DirectoryInvalid, with a line for each thing that is wrong."""
    found = flaws_of_shape(document)
    if found:
        raise DirectoryInvalid(tuple(found))
    reading = _Reading()
    version = _header(document["directory"], reading)
    _organizations(document.get("organizations", []), reading)
    reading.check()  # what rests on these would be wrong too
    known = {as_id(one["id"]) for one in document["services"]}
    places = {as_id(one["id"]) for one in document.get("locations", [])}
    offices = []
    for number, service in enumerate(document["services"]):
        where = f"/services/{number}"
        for at, one in enumerate(service.get("service_at_locations", [])):
            if "location_id" in one and as_id(one["location_id"]) not in places:
                reading.flaw(
                    f"{where}/service_at_locations/{at}/location_id", "没有这个地点", "is no place of this file"
                )
        offices.append(_office(service, where, known, reading))
    _circles([one for one in offices if one is not None], reading)
    reading.check()
    ordered = sorted((one for one in offices if one is not None), key=lambda one: one.id)
    return Directory(version, digest(document), tuple(ordered))


def read_directory(text: str | bytes) -> tuple[Thing, Directory]:
    """The document in a file and its directory. Raises DirectoryInvalid."""
    document = read_json(text)
    return document, parse_directory(document)


def _header(header: Thing, reading: _Reading) -> str:
    version, title = header.get("version"), header.get("title")
    if not isinstance(version, str) or not _VERSION.fullmatch(version) or version in RESERVED:
        reading.flaw(
            "/directory/version",
            "版本须为小写字母、数字、点和短横线，最长 40",
            "is a-z, 0-9, dots, hyphens, at most 40",
        )
    if not isinstance(title, dict) or not all(isinstance(title.get(one), str) and title[one] for one in ("zh", "en")):
        reading.flaw("/directory/title", "须有 zh 和 en 两种标题", "has a title in zh and in en")
    stations = header.get("stations")
    if not isinstance(stations, list) or not stations:
        reading.flaw("/directory/stations", "须列出站点", "lists the stations")
        stations = []
    for number, one in enumerate(stations):
        code, area = (one.get("code"), one.get("area")) if isinstance(one, dict) else (None, None)
        if not isinstance(code, str) or not _STATION.fullmatch(code) or code in reading.stations:
            reading.flaw(
                f"/directory/stations/{number}/code", "站点编码无效或重复", "is no station's code, or stands twice"
            )
        elif not isinstance(area, str) or not _AREA.fullmatch(area):
            reading.flaw(
                f"/directory/stations/{number}/area",
                "须为 2、4、6、9 或 12 位行政区划代码",
                "is an area code of 2, 4, 6, 9 or 12 digits",
            )
        else:
            reading.stations[code] = area
    return str(version)


def _organizations(organizations: list[Thing], reading: _Reading) -> None:
    """Whose each organization is: its own identifier says it, or that of one above it."""
    by_id = {as_id(one["id"]): one for one in organizations}
    for number, one in enumerate(organizations):
        where, above, seen = f"/organizations/{number}", one, set[UUID | None]()
        named = _named(above)
        while named is None and above.get("parent_organization_id") is not None:
            parent = as_id(above["parent_organization_id"])
            if parent in seen or parent not in by_id:
                zh, en = (
                    ("上级机构成环", "is above itself")
                    if parent in seen
                    else ("没有这个机构", "is no organization here")
                )
                reading.flaw(f"{where}/parent_organization_id", zh, en)
                break
            seen.add(parent)
            above = by_id[parent]
            named = _named(above)
        own = as_id(one["id"])
        if named in set(Department) and own is not None:
            reading.departments[own] = Department(named)
        elif not any(flaw.where.startswith(f"{where}/") for flaw in reading.flaws):
            told = "、".join(Department), ", ".join(Department)
            reading.flaw(
                f"{where}/organization_identifiers", f"须写明部门：{told[0]}", f"names its department: {told[1]}"
            )


def _named(organization: Thing) -> Any:
    for one in organization.get("organization_identifiers", []):
        if one["identifier_type"] == DEPARTMENTS:
            return one["identifier"] if isinstance(one["identifier"], str) else ""
    return None


def _office(service: Thing, where: str, known: set[UUID | None], reading: _Reading) -> Office | None:
    own, organization = as_id(service["id"]), as_id(service["organization_id"])
    department = reading.departments.get(organization) if organization is not None else None
    if department is None or own is None:
        reading.flaw(
            f"{where}/organization_id", "没有这个机构，或其部门不明", "is no organization here with a department"
        )
        return None
    if service["status"] not in _STATUSES:
        told = "、".join(_STATUSES), ", ".join(_STATUSES)
        reading.flaw(f"{where}/status", f"须为：{told[0]}", f"is one of: {told[1]}")
    return Office(
        id=own,
        name=str(service["name"]),
        department=department,
        need_types=_need_types(service, department, where, reading),
        stations=_stations(service, where, reading),
        conditions=tuple(_conditions(service, department, where, reading)),
        hours=tuple(_hours(service, where, reading)),
        languages=tuple(str(one.get("code") or one.get("name") or "") for one in service.get("languages", [])),
        capacity=_capacity(service, where, reading),
        takes=service["status"] == "active",
        hands_to=_hands_to(service, own, known, where, reading),
    )


def _need_types(service: Thing, department: Department, where: str, reading: _Reading) -> frozenset[str]:
    found = set()
    for number, code, _ in term_values(service, NEED_TERMS):
        at = f"{where}/attributes/{number}/taxonomy_term/code"
        need = NEED_TYPES.get(code) if isinstance(code, str) else None
        if need is None:
            reading.flaw(at, "没有这种需求类型", "is no need type")
        elif need.department is not department:
            reading.flaw(at, f"此类需求由 {need.department} 负责", f"is owed by {need.department}, not by {department}")
        else:
            found.add(need.code)
    if not list(term_values(service, NEED_TERMS)):
        reading.flaw(f"{where}/attributes", "没有写明受理的需求类型", f"names no need type ({NEED_TERMS})")
    return frozenset(found)


def _places(service: Thing, part: str, where: str) -> Iterator[tuple[str, Thing]]:
    """What a service has itself, and where it is offered, of `part`."""
    yield from ((f"{where}/{part}/{number}", one) for number, one in enumerate(service.get(part, [])))
    for at, place in enumerate(service.get("service_at_locations", [])):
        inside = f"{where}/service_at_locations/{at}/{part}"
        yield from ((f"{inside}/{number}", one) for number, one in enumerate(place.get(part, [])))


def _stations(service: Thing, where: str, reading: _Reading) -> frozenset[str] | None:
    areas = list(_places(service, "service_areas", where))
    found: set[str] = set()
    for at, area in areas:
        kind, _, code = str(area.get("uri") or "").removeprefix("urn:doorstep:").partition(":")
        covered = {
            one
            for one, own in reading.stations.items()
            if kind == "area" and _AREA.fullmatch(code) and own.startswith(code)
        }
        covered |= {code} & reading.stations.keys() if kind == "station" else set()
        if not covered:
            reading.flaw(
                f"{at}/uri",
                "须为 urn:doorstep:station:<站点> 或 urn:doorstep:area:<区划代码>，且含目录所列站点",
                "is urn:doorstep:station:<code> or urn:doorstep:area:<digits>, with a station of this directory in it",
            )
        found |= covered
    return frozenset(found) if areas else None


def _conditions(service: Thing, department: Department, where: str, reading: _Reading) -> Iterator[Condition]:
    for number, code, value in term_values(service, FACT_TERMS):
        at = f"{where}/attributes/{number}"
        fact = CATALOGUE.get(code) if isinstance(code, str) else None
        if fact is None:
            reading.flaw(f"{at}/taxonomy_term/code", "事实目录中没有此项", "is no fact of the catalogue")
        elif fact.kind not in FEEDS[department].fact_kinds:
            reading.flaw(
                f"{at}/taxonomy_term/code",
                f"{department} 不得知悉此类事实",
                f"is of a kind that {department} may not see",
            )
        else:
            compared = _compared(fact, value)
            if compared is None:
                told = " ".join(fact.choices) or ("true false" if fact.value is Value.YES_NO else ">= N, <= N")
                reading.flaw(f"{at}/value", f"须为 is 或 >=、<= 加取值：{told}", f"is `is`, `>=` or `<=` with: {told}")
            else:
                yield Condition(fact.code, *compared)


def _compared(fact: FactType, value: object) -> tuple[Comparison, FactValue] | None:
    """A comparison as it is written: `is true`, `is sound`, `>= 60`; None where it does not fit the fact."""
    found = _COMPARED.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    comparison, said = Comparison(found[1]), found[2]
    read: FactValue = said
    if fact.value is Value.YES_NO:
        read = {"true": True, "false": False}.get(said, said)
    elif fact.value is Value.COUNT and said.isdecimal():
        read = int(said)
    fits = fact.accepts(read) and (comparison is Comparison.IS or fact.value is Value.COUNT)
    return (comparison, read) if fits else None


def _hours(service: Thing, where: str, reading: _Reading) -> Iterator[Hours]:
    for at, one in _places(service, "schedules", where):
        days = str(one.get("byday") or "").replace(" ", "").split(",")
        zone = one.get("timezone")
        opens, closes = (_clock(one.get(name), zone) for name in ("opens_at", "closes_at"))
        understood = one.get("freq", "WEEKLY") == "WEEKLY" and all(day in _DAYS for day in days)
        if not understood or any(one.get(name) is not None for name in _TURNS):
            reading.flaw(
                at, "只支持 freq 为 WEEKLY 且用 byday 列出星期", "is understood as WEEKLY with the days in byday alone"
            )
        elif opens is None or closes is None or opens[1] != closes[1] or opens[0] >= closes[0]:
            reading.flaw(
                at, "开放时间须为 HH:MM 加时区，先开后关", "opens and closes at HH:MM with one offset, in that order"
            )
        else:
            try:
                first, last = (
                    date.fromisoformat(one[name]) if one.get(name) else None for name in ("valid_from", "valid_to")
                )
            except (ValueError, TypeError):
                reading.flaw(at, "valid_from 和 valid_to 须为日期", "has dates in valid_from and valid_to")
                continue
            yield Hours(frozenset(_DAYS.index(day) for day in days), opens[0], closes[0], opens[1], first, last)


def _clock(value: object, hours: object) -> tuple[time, timezone] | None:
    """A time of day with its offset from UTC, which `hours` says where it does not itself."""
    found = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    minutes = 0
    if found[3] is None:
        if isinstance(hours, bool) or not isinstance(hours, int | float) or not -14 <= hours <= 14:
            return None
        minutes = round(hours * 60)
    elif found[3] != "Z":
        minutes = (-1 if found[3][0] == "-" else 1) * (int(found[3][1:3]) * 60 + int(found[3][4:6]))
    return time(int(found[1]), int(found[2])), timezone(timedelta(minutes=minutes))


def _capacity(service: Thing, where: str, reading: _Reading) -> int | None:
    found = None
    for number, one in enumerate(service.get("capacities", [])):
        if one["unit"].get("identifier") != OPEN_REQUESTS:
            continue
        most = one.get("maximum")
        if found is not None or isinstance(most, bool) or not isinstance(most, int) or not 0 <= most <= 1_000_000:
            reading.flaw(f"{where}/capacities/{number}/maximum", "须为一个非负整数", "is one whole number from 0 on")
        else:
            found = most
    return found


def _hands_to(service: Thing, own: UUID, known: set[UUID | None], where: str, reading: _Reading) -> UUID | None:
    found: UUID | None = None
    for number, _, value in term_values(service, HAND_OVER_TERMS):
        other = as_id(value)
        if other is None or other not in known or other == own or found is not None:
            reading.flaw(
                f"{where}/attributes/{number}/value", "须为另一个服务的编号", "is the id of one other service here"
            )
        else:
            found = other
    return found


def _circles(offices: list[Office], reading: _Reading) -> None:
    """Each circle of offices that hand over to one another is one fault."""
    line: Mapping[UUID, UUID | None] = {one.id: one.hands_to for one in offices}
    told: set[UUID] = set()
    for one in offices:
        way: list[UUID] = []
        here: UUID | None = one.id
        while here is not None and here not in way and here not in told:
            way.append(here)
            here = line.get(here)
        if here is not None and here in way:
            circle = [str(office) for office in (*way[way.index(here) :], here)]
            reading.flaw(
                "/services", f"移交成环：{' → '.join(circle)}", f"hand over in a circle: {' -> '.join(circle)}"
            )
        told.update(way)
