"""What the log's details say to a resident: words for everything, and nothing that another member may not know."""

import re
from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorstep.audit.domain.deferral import LONGEST, Deferral
from doorstep.audit.domain.papers import NoUserCode, paper_number
from doorstep.audit.domain.usage import (
    ABOUT_NOBODY,
    ACTIONS,
    LEFT_OUT,
    OPEN_DEPARTMENTS,
    SYSTEMS,
    Seen,
    reason,
    usages,
    usages_by_code,
)
from doorstep.contracts.audit import AuditDetail
from doorstep.contracts.codes import AGENCY_NAMES, Action, Department, LegalBasis, Purpose, Role
from doorstep.contracts.needs import NEED_TYPES
from doorstep.contracts.topics import SERVICES

NOW = datetime(2026, 11, 21, 10, 30, 15, 123456, tzinfo=UTC)
CODE = re.compile(r"\b[a-z]+-[a-z-]+\b")
ACTIONS_OF_A_LATER_VERSION = "read-the-future"


def detail(action: Action | str = Action.READ_FILE, *, at: datetime = NOW, **said: object) -> AuditDetail:
    at_us = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    fields = {
        "nonce": "", "at_us": at_us, "service": "registry", "outcome": "done", "actor": "reviewer-1",
        "role": Role.REVIEWER, "agency": "station", "policies": ("reviewer-reads-for-triage",), "station": "station-7",
    }  # fmt: skip
    return AuditDetail(action=action, **{**fields, **said})


def seen(action: Action | str = Action.READ_FILE, **said: object) -> Seen:
    return Seen(uuid4(), detail(action, **said))


def test_every_action_has_words_or_is_known_to_need_none():
    assert set(ACTIONS) | LEFT_OUT | ABOUT_NOBODY == set(Action)
    assert not set(ACTIONS) & (LEFT_OUT | ABOUT_NOBODY)
    assert set(SYSTEMS) == set(SERVICES)
    assert len(set(ACTIONS.values())) == len(ACTIONS)


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_every_use_is_told_in_plain_words_of_both_languages(action):
    told = set()
    for purpose, basis in product([None, *Purpose], [None, *LegalBasis]):
        said = reason(detail(action, purpose=purpose, legal_basis=basis))
        assert re.search(r"[\u4e00-\u9fff]", said.zh)
        assert not re.search(r"[A-Za-z]", said.zh)
        assert said.en.isascii()
        assert not CODE.search(said.en)
        told.add(said)
    assert len(told) == (len(Purpose) + 1) * (len(LegalBasis) + 1)


def test_what_a_later_version_says_is_told_as_a_use():
    [one] = usages([seen(ACTIONS_OF_A_LATER_VERSION, purpose="fun", legal_basis="whim", agency="moon", service="sky")])
    assert one.reason == ("使用了您的信息。", "Used your data.")
    assert (one.agency.en, one.system.en) == ("Another agency", "Another system")
    assert usages_by_code([seen(ACTIONS_OF_A_LATER_VERSION)]) == []


def test_never_who_nor_for_which_case_nor_by_which_policy():
    case, record = str(uuid4()), str(uuid4())
    one = seen(case=case, record=record, purpose=Purpose.TRIAGE, asked="who looked")
    [told] = usages([one])
    assert (told.entry_id, told.at) == (one.entry_id, NOW)
    for secret in (case, record, "reviewer", "station-7", "who looked"):
        assert secret not in repr(told)


def test_a_refused_try_is_told_with_its_agency_and_without_what_was_tried():
    tries = [seen(action, agency="police", outcome="refused:forbidden") for action in sorted(ACTIONS)]
    assert {one.reason.en for one in usages(tries)} == {
        "Somebody tried to use your data, was refused, and saw nothing."
    }
    assert {one.agency.en for one in usages([seen(agency="fire", outcome="refused:forbidden")])} == {"Fire safety"}
    [nothing] = usages([seen(Action.LIST_REQUESTS, outcome="nothing-shown")])
    assert "nothing was shown" in nothing.reason.en


def test_what_residents_do_themselves_is_left_out():
    own = [seen(action) for action in LEFT_OUT] + [seen(role=Role.RESIDENT, agency="resident")]
    assert usages(own) == usages_by_code(own) == []


def test_each_entry_is_told_once_and_the_newest_first():
    old, new = seen(at=NOW - timedelta(microseconds=1)), seen()
    assert [one.entry_id for one in usages([old, new, old])] == [new.entry_id, old.entry_id]


# --- by the follow code -------------------------------------------------------------------------------------------

STATION_ALIKE = {
    "record-visit", "assert-facts", "assess-needs", "read-record", "read-file", "read-assessment", "read-journey",
}  # fmt: skip


def test_by_code_only_what_is_listed_is_shown():
    for action, agency, outcome in product(Action, [None, *AGENCY_NAMES, "police"], ["done", "refused:forbidden"]):
        one = seen(action, agency=agency, outcome=outcome, case=str(uuid4()), purpose=Purpose.INTAKE)
        station = agency in (None, "station") and action in STATION_ALIKE
        open_ = agency in OPEN_DEPARTMENTS and action == Action.READ_REQUEST and outcome == "done"
        assert bool(usages_by_code([one])) == (station or open_), (action, agency, outcome)


def test_what_a_department_attested_is_not_shown_by_code():
    assert usages_by_code([seen(Action.ASSERT_FACTS, purpose=Purpose.SERVICE, case=str(uuid4()))]) == []


def test_no_department_that_is_owed_something_confidential_is_shown_by_code():
    assert {one.department for one in NEED_TYPES.values() if one.confidential}.isdisjoint(OPEN_DEPARTMENTS)
    assert {Department.HEALTH, Department.JUSTICE}.isdisjoint(OPEN_DEPARTMENTS)


def test_a_request_that_a_confidential_department_had_stays_hidden_whoever_gets_it_afterwards():
    case = str(uuid4())
    passed_on = [
        seen(Action.TRANSITION_TASK, agency="justice", case=case),
        seen(Action.READ_REQUEST, agency="civil-affairs", case=case),
    ]
    another = seen(Action.READ_REQUEST, agency="civil-affairs", case=str(uuid4()))
    assert [one.entry_id for one in usages_by_code([*passed_on, another])] == [another.entry_id]


def test_a_request_of_which_another_department_has_a_part_is_not_shown_by_code():
    case = str(uuid4())
    added = [seen(Action.ADD_PART, case=case), seen(Action.READ_REQUEST, agency="civil-affairs", case=case)]
    assert usages_by_code(added) == []
    assert len(usages(added)) == 2


ANY = st.builds(
    seen,
    st.sampled_from(list(Action)),
    agency=st.sampled_from([None, *AGENCY_NAMES]),
    outcome=st.sampled_from(["done", "nothing-shown", "refused:forbidden"]),
    case=st.sampled_from([None, str(UUID(int=1)), str(UUID(int=2))]),
)


@given(st.lists(ANY, max_size=12))
def test_by_code_nothing_is_shown_that_a_portal_would_not_show(found):
    every = usages(found)
    assert [one for one in every if one in usages_by_code(found)] == usages_by_code(found)


# --- told later ---------------------------------------------------------------------------------------------------

ASKED = datetime(2026, 11, 1, tzinfo=UTC)


def test_nothing_is_hidden_before_it_is_approved_and_nothing_once_it_is_over():
    matter, approved = b"m", ASKED + timedelta(days=1)
    assert not Deferral(matter, ASKED).hides(ASKED, {matter}, approved)
    deferral = Deferral(matter, ASKED, approved)
    assert not deferral.hides(ASKED, {matter}, approved - timedelta(seconds=1))
    assert deferral.hides(ASKED, {matter}, approved)
    assert not deferral.hides(ASKED, {b"other"}, approved)
    last = ASKED + LONGEST - timedelta(microseconds=1)
    assert deferral.hides(ASKED, {matter}, last)
    assert not deferral.hides(last, {matter}, ASKED + LONGEST)


@given(st.integers(-90, 90), st.integers(0, 90), st.lists(st.integers(0, 40), max_size=3))
def test_no_use_is_hidden_longer_than_thirty_days_however_often_it_is_asked(used, looked, asked):
    at, now = ASKED + timedelta(days=used), ASKED + timedelta(days=looked)
    deferrals = [Deferral(b"m", ASKED + timedelta(days=day), ASKED + timedelta(days=day)) for day in asked]
    if now - at >= LONGEST:
        assert not any(one.hides(at, {b"m"}, now) for one in deferrals)


# --- the number of the paper --------------------------------------------------------------------------------------


def test_a_portal_names_a_resident_by_country_and_number():
    assert paper_number("CN11010119900307002X") == "11010119900307002X"
    assert paper_number("CNABC123456789012") == "ABC123456789012"


@pytest.mark.parametrize(
    "wrong",
    ["", "CN", "11010119900307002X", "EE11010119900307002X", "CN11010119900307002x", "CN1101011990030700２X",
     "CN11010119900307002X ", "CN11010119900307002X\n", "cn11010119900307002X", "CNE12345678"],
)  # fmt: skip
def test_any_other_code_is_none(wrong):
    with pytest.raises(NoUserCode):
        paper_number(wrong)
