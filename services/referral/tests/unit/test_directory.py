"""A directory's file: what is read of it, that it comes back whole, and one line for each thing that is wrong."""

import json
import re
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorstep.contracts.codes import Department
from doorstep.referral.domain.directory import Comparison, Condition
from doorstep.referral.domain.hsds import read_json
from doorstep.referral.domain.offices import parse_directory, read_directory
from doorstep.referral.errors import DirectoryInvalid

MANUAL = Path(__file__).parents[4] / "docs" / "directory.md"
EXAMPLE = re.search(r"```json\n(.*?)```", MANUAL.read_text("utf-8"), re.DOTALL)[1]
FIRST = "7b1f6c1e-0d0b-4b5e-9d0e-0a4b7a3c3001"
SECOND = "7b1f6c1e-0d0b-4b5e-9d0e-0a4b7a3c3002"
GONE = "7b1f6c1e-0d0b-4b5e-9d0e-0a4b7a3c3999"


def term(taxonomy, code, value=None):
    named = {"id": GONE, "taxonomy": taxonomy, "code": code, "name": code, "description": code}
    return {"id": GONE, "taxonomy_term": named} | ({"value": value} if value is not None else {})


def changed(change):
    """The example with two offices, of which `change` changes something."""
    document = json.loads(EXAMPLE)
    document["services"].append(deepcopy(document["services"][0]) | {"id": SECOND})
    change(document, *document["services"])
    return document


def faults(document):
    with pytest.raises(DirectoryInvalid) as refused:
        parse_directory(document)
    assert all(flaw.zh and flaw.en and "\n" not in flaw.zh + flaw.en for flaw in refused.value.flaws)
    return [flaw.where for flaw in refused.value.flaws]


def test_the_manuals_example_is_read() -> None:
    [office] = parse_directory(json.loads(EXAMPLE)).offices
    assert (str(office.id), office.department, office.need_types) == (FIRST, Department.FIRE, {"wiring-repair"})
    assert (office.stations, office.capacity, office.languages) == ({"station-7"}, 40, ("zh",))
    assert office.conditions == (Condition("dwelling.wiring", Comparison.IS, "unsafe"),)
    assert office.is_open(datetime(2026, 11, 23, 1, 0, tzinfo=UTC))  # Monday, nine o'clock in Beijing
    assert not office.is_open(datetime(2026, 11, 23, 0, 59, tzinfo=UTC))
    assert not office.is_open(datetime(2026, 11, 23, 9, 30, tzinfo=UTC))
    assert not office.is_open(datetime(2026, 11, 22, 2, 0, tzinfo=UTC))


def test_fields_that_nothing_is_routed_by_are_kept_and_say_nothing() -> None:
    plain = parse_directory(json.loads(EXAMPLE))
    document = json.loads(EXAMPLE)
    document["services"][0] |= {"fees": "免费", "phones": [{"id": GONE, "number": "12345"}], "attributes": [
        *document["services"][0]["attributes"], term("of-another-district", "x", "y"),
    ]}  # fmt: skip
    document["locations"][0] |= {"latitude": 39.9, "addresses": [{"id": GONE, "address_1": "幸福街 1 号"}]}
    kept, directory = read_directory(json.dumps(document))
    assert kept == document
    assert directory.offices == plain.offices
    assert directory.digest != plain.digest


def test_the_order_of_the_file_says_nothing() -> None:
    one = changed(lambda document, first, second: None)
    other = deepcopy(one)
    other["services"].reverse()
    assert parse_directory(one).offices == parse_directory(other).offices


def test_an_organization_is_its_parents_departments() -> None:
    document = changed(lambda *_: None)
    document["organizations"].append(
        {"id": GONE, "name": "x", "description": "x", "parent_organization_id": document["organizations"][0]["id"]}
    )
    document["services"][1]["organization_id"] = GONE
    assert {one.department for one in parse_directory(document).offices} == {Department.FIRE}


def test_areas_are_stations_or_the_beginning_of_their_area_codes() -> None:
    for uri, stations in {
        "urn:doorstep:area:110105": {"station-7", "station-9"},
        "urn:doorstep:station:station-9": {"station-9"},
    }.items():
        document = changed(lambda d, first, _, uri=uri: first["service_areas"][0].update(uri=uri))
        assert parse_directory(document).offices[0].stations == stations
    everywhere = changed(lambda d, first, _: first.pop("service_areas"))
    assert parse_directory(everywhere).offices[0].stations is None


WRONG = {
    "an unknown field": (lambda d, a, b: a.update(capasity=1), "/services/0/capasity"),
    "an unknown part": (lambda d, a, b: d.update(people=[]), "/people"),
    "a person": (lambda d, a, b: a.update(contacts=[{"name": "王"}]), "/services/0/contacts"),
    "a person, deep": (
        lambda d, a, b: d["locations"][0].update(addresses=[{"attention": "王"}]), "/locations/0/addresses/0/attention",
    ),
    "no text": (lambda d, a, b: a.update(fees="\0"), "/services/0/fees"),
    "half a letter": (lambda d, a, b: a.update(fees="\ud800"), "/services/0/fees"),
    "no header": (lambda d, a, b: d.pop("directory"), "/directory"),
    "a reserved version": (lambda d, a, b: d["directory"].update(version="current"), "/directory/version"),
    "no title": (lambda d, a, b: d["directory"].update(title="x"), "/directory/title"),
    "no stations": (lambda d, a, b: d["directory"].update(stations=3), "/directory/stations"),
    "no area code": (lambda d, a, b: d["directory"]["stations"][0].update(area="x"), "/directory/stations/0/area"),
    "no services": (lambda d, a, b: d.update(services=[]), "/services"),
    "a service that is none": (lambda d, a, b: d["services"].append(7), "/services/2"),
    "an id twice": (lambda d, a, b: b.update(id=FIRST), "/services/1/id"),
    "no uuid": (lambda d, a, b: a.update(id="7"), "/services/0/id"),
    "no name": (lambda d, a, b: a.pop("name"), "/services/0/name"),
    "a name that is none": (lambda d, a, b: a.update(name={}), "/services/0/name"),
    "a status": (lambda d, a, b: a.update(status="open"), "/services/0/status"),
    "an unknown department": (
        lambda d, a, b: d["organizations"][0]["organization_identifiers"][0].update(identifier="police"),
        "/organizations/0/organization_identifiers",
    ),
    "an unknown organization": (lambda d, a, b: a.update(organization_id=GONE), "/services/0/organization_id"),
    "an unknown need type": (
        lambda d, a, b: a["attributes"].append(term("doorstep-need-types", "petitions")),
        "/services/0/attributes/2/taxonomy_term/code",
    ),
    "another department's need": (
        lambda d, a, b: a["attributes"].append(term("doorstep-need-types", "legal-aid")),
        "/services/0/attributes/2/taxonomy_term/code",
    ),
    "no need type": (lambda d, a, b: a.update(attributes=[]), "/services/0/attributes"),
    "an unknown area": (
        lambda d, a, b: a["service_areas"][0].update(uri="urn:doorstep:area:31"), "/services/0/service_areas/0/uri",
    ),
    "an unknown station": (
        lambda d, a, b: a["service_areas"][0].update(uri="urn:doorstep:station:station-8"),
        "/services/0/service_areas/0/uri",
    ),
    "an area without a code": (
        lambda d, a, b: a["service_areas"][0].update(uri="urn:doorstep:area:"), "/services/0/service_areas/0/uri",
    ),
    "an unknown fact": (
        lambda d, a, b: a["attributes"].append(term("doorstep-facts", "person.faith", "is true")),
        "/services/0/attributes/2/taxonomy_term/code",
    ),
    "a fact that is not the department's": (
        lambda d, a, b: a["attributes"].append(term("doorstep-facts", "health.disability", "is true")),
        "/services/0/attributes/2/taxonomy_term/code",
    ),
    "a value that is none": (
        lambda d, a, b: a["attributes"].append(term("doorstep-facts", "dwelling.wiring", "is purple")),
        "/services/0/attributes/2/value",
    ),
    "a comparison that does not fit": (
        lambda d, a, b: a["attributes"].append(term("doorstep-facts", "dwelling.wiring", ">= sound")),
        "/services/0/attributes/2/value",
    ),
    "an unknown place": (
        lambda d, a, b: a["service_at_locations"][0].update(location_id=GONE),
        "/services/0/service_at_locations/0/location_id",
    ),
    "a capacity below zero": (
        lambda d, a, b: a["capacities"][0].update(maximum=-1), "/services/0/capacities/0/maximum",
    ),
    "monthly hours": (lambda d, a, b: a["schedules"][0].update(freq="MONTHLY"), "/services/0/schedules/0"),
    "every second week": (lambda d, a, b: a["schedules"][0].update(interval=2), "/services/0/schedules/0"),
    "hours backwards": (lambda d, a, b: a["schedules"][0].update(opens_at="18:00+08:00"), "/services/0/schedules/0"),
    "hours nowhere": (lambda d, a, b: a["schedules"][0].update(opens_at="09:00"), "/services/0/schedules/0"),
    "a date that is none": (lambda d, a, b: a["schedules"][0].update(valid_to="soon"), "/services/0/schedules/0"),
    "a hand-over to nobody": (
        lambda d, a, b: a["attributes"].append(term("doorstep-hand-over", "x", GONE)), "/services/0/attributes/2/value",
    ),
    "a hand-over to itself": (
        lambda d, a, b: a["attributes"].append(term("doorstep-hand-over", "x", FIRST)),
        "/services/0/attributes/2/value",
    ),
    "a place inside a service": (
        lambda d, a, b: a["service_at_locations"][0].update(location={}), "/services/0/service_at_locations/0/location",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", sorted(WRONG))
def test_each_fault_is_refused_with_one_line_that_says_where(what: str) -> None:
    change, where = WRONG[what]
    assert faults(changed(change)) == [where]


def test_a_circle_of_offices_is_one_fault() -> None:
    def circle(document, first, second):
        first["attributes"].append(term("doorstep-hand-over", "x", SECOND))
        second["attributes"].append(term("doorstep-hand-over", "x", FIRST))

    with pytest.raises(DirectoryInvalid) as refused:
        parse_directory(changed(circle))
    [flaw] = refused.value.flaws
    assert f"{FIRST} -> {SECOND} -> {FIRST}" in flaw.en


def test_organizations_above_themselves_are_refused() -> None:
    def circle(document, first, second):
        [one] = document["organizations"]
        one.pop("organization_identifiers")
        one["parent_organization_id"] = one["id"]

    assert "/organizations/0/parent_organization_id" in faults(changed(circle))


def test_several_faults_are_told_together() -> None:
    def several(document, first, second):
        first["status"] = "open"
        second["service_areas"][0]["uri"] = ""
        second["capacities"][0]["maximum"] = "many"

    assert faults(changed(several)) == [
        "/services/0/status", "/services/1/service_areas/0/uri", "/services/1/capacities/0/maximum",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["", "[]", "7", "{", '{"a": 1, "a": 2}', '{"a": NaN}', "[" * 100_000, b"\xff\xfe\x00"], ids=range(8)
)
def test_what_is_no_directory_at_all_is_one_line(text) -> None:
    with pytest.raises(DirectoryInvalid) as refused:
        read_json(text)
    assert len(refused.value.flaws) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def everywhere(thing, path=()):
    """Every place in a document."""
    yield path
    for key, one in thing.items() if isinstance(thing, dict) else enumerate(thing) if isinstance(thing, list) else ():
        yield from everywhere(one, (*path, key))


PLACES = sorted(filter(None, everywhere(json.loads(EXAMPLE))), key=str)


@given(st.sampled_from(PLACES), JSON)
def test_whatever_stands_anywhere_is_read_or_refused(place, thing) -> None:
    document = json.loads(EXAMPLE)
    inside = document
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = thing
    try:
        directory = parse_directory(document)
    except DirectoryInvalid as refused:
        assert refused.flaws
    else:
        assert all(isinstance(one.id, UUID) and one.need_types for one in directory.offices)
