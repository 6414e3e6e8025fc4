"""Records of the made-up neighbourhood: well formed, the same from the same seed, and mostly quiet."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from doorstep.contracts.codes import LegalBasis, SaidBy
from doorstep.contracts.facts import CATALOGUE, SubjectKind
from doorstep.local.neighbourhood import age_on
from doorstep.local.records import Body, demonstration, draw_records, neighbourhood_records

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
VISITS = neighbourhood_records(3, now=NOW)
DRAWN = draw_records(3, 50, now=NOW)
DEMONSTRATION = demonstration(3, now=NOW)
CARD = {
    "person": {"name", "document_kind", "document_number", "phone"},
    "dwelling": {"address"},
    "place": {"description"},
}


def said(body: Body, kind: str | None = None) -> dict[str, object]:
    return {
        fact["code"]: fact["value"]
        for subject in body["subjects"]
        if kind in (None, subject["kind"])
        for fact in subject["facts"]
    }


def test_the_same_seed_and_time_make_the_same_records() -> None:
    assert draw_records(3, 50, now=NOW) == DRAWN
    assert neighbourhood_records(3, now=NOW) == VISITS
    assert demonstration(3, now=NOW) == DEMONSTRATION
    assert draw_records(4, 50, now=NOW) != DRAWN


@pytest.mark.parametrize("bodies", [VISITS, DRAWN, [DEMONSTRATION]], ids=["visits", "drawn", "demonstration"])
def test_every_fact_is_in_the_catalogue_and_said_by_whom_it_may_be(bodies: list[Body]) -> None:
    for body in bodies:
        for subject in body["subjects"]:
            assert set(subject) - {"subject_id", "kind", "facts"} <= CARD[subject["kind"]]
            codes = [fact["code"] for fact in subject["facts"]]
            assert len(set(codes)) == len(codes)
            for fact in subject["facts"]:
                entry = CATALOGUE[fact["code"]]
                assert entry.accepts(fact["value"]), fact
                assert entry.subject is SubjectKind(subject["kind"])
                assert SaidBy(fact["said_by"]) in entry.said_by
                assert LegalBasis(fact["legal_basis"])


@pytest.mark.parametrize("bodies", [VISITS, DRAWN, [DEMONSTRATION]], ids=["visits", "drawn", "demonstration"])
def test_ids_are_fresh_and_of_the_time_of_the_visit(bodies: list[Body]) -> None:
    ids = [UUID(body[name]) for body in bodies for name in ("record_id", "file_id")]
    ids += [UUID(subject["subject_id"]) for body in bodies for subject in body["subjects"]]
    ids += [UUID(fact["fact_id"]) for body in bodies for subject in body["subjects"] for fact in subject["facts"]]
    assert len(set(ids)) == len(ids)
    for one in ids:
        assert (one.version, one.variant) == (7, "specified in RFC 4122")
        assert NOW - timedelta(minutes=30) < datetime.fromtimestamp((one.int >> 80) / 1000, UTC) < NOW
    for body in bodies:
        assert datetime.fromisoformat(body["visited_at"]) < NOW


def test_the_demonstration_tells_its_story() -> None:
    (woman,) = [subject for subject in DEMONSTRATION["subjects"] if subject["kind"] == "person"]
    born = datetime.strptime(woman["document_number"][6:14], "%Y%m%d").replace(tzinfo=UTC)
    assert age_on(NOW.date(), born.date()) == 78
    assert int(woman["document_number"][16]) % 2 == 0
    assert said(DEMONSTRATION, "person") == {
        "identity.birth-year": born.year,
        "contact.channel": "phone",
        "living.alone": True,
        "health.chronic-illness": True,
        "wish.minimum-living-allowance": True,
        "wish.legal-aid": True,
        "consent.service": True,
    }
    assert said(DEMONSTRATION, "dwelling") == {"dwelling.gas-hose": "expired"}
    assert said(DEMONSTRATION, "place") == {"place.e-bike-charging": True}


def test_visits_are_one_a_household_and_mostly_quiet() -> None:
    assert len(VISITS) == 200
    hoses = Counter(said(body)["dwelling.gas-hose"] for body in VISITS)
    assert 0 < hoses["expired"] < 40
    assert not any(code.startswith(("wish.", "health.")) for body in VISITS for code in said(body))


def test_somebody_lives_alone_where_nobody_else_is_named() -> None:
    for body in VISITS:
        people = [subject for subject in body["subjects"] if subject["kind"] == "person"]
        assert said(body)["living.alone"] == (len(people) == 1)


def test_what_a_collector_saw_is_never_about_a_person() -> None:
    for body in [*VISITS, *DRAWN]:
        for subject in body["subjects"]:
            if subject["kind"] == "person":
                assert "collector-saw" not in {fact["said_by"] for fact in subject["facts"]}
