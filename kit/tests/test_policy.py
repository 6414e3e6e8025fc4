"""What each policy permits and forbids, and that everything else is refused."""

import itertools

import cedarpy
import pytest

from doorstep.contracts.codes import Action, Department, Purpose, Role
from doorstep.kit import policy as policies
from doorstep.kit.auth import Principal
from doorstep.kit.policy import Forbidden, PoliciesInvalid, Policy, Resource

POLICY = Policy()
NAMED = (
    "record-visit read-record read-file read-assessment decide-need list-requests read-request transition-task"
    " direct-request assign-request register-key read-journey read-dead-letter replay-dead-letter list-dead-letters"
    " list-gaps search-log export-log read-life ask-about-subject agree-to-ask read-about-subject"
    " see-who-looked ask-to-defer approve-deferral"
    " read-conduct declare-ties"
    " withdraw-key change-endpoint read-feed-settings read-feed acknowledge-erasure list-unerased name-exclusions"
)
ACTIONS = NAMED.split()
THING = Resource("thing")
STAFF = {role: Principal("someone", role, "station", "7") for role in Role}
PORTAL = Principal("someone", Role.PORTAL, "national-portal")
FIRE = Principal("someone", Role.OFFICER, "fire")


def allowed(principal, action, resource=THING, purpose=None) -> tuple[str, ...] | None:
    try:
        return POLICY.authorize(principal, action, resource, purpose=purpose).policies
    except Forbidden:
        return None


PERMITTED = [
    (STAFF[Role.COLLECTOR], "record-visit", Resource("record"), None, "collector-records"),
    *(
        (STAFF[Role.REVIEWER], action, Resource("file"), purpose, "reviewer-reads-for-triage")
        for action in ("read-record", "read-file", "read-assessment", "read-journey", "list-requests")
        for purpose in (Purpose.TRIAGE, Purpose.FOLLOW_UP)
    ),
    (STAFF[Role.REVIEWER], "decide-need", Resource("need", own_record=False), None, "reviewer-decides"),
    (STAFF[Role.REVIEWER], "direct-request", Resource("request"), None, "reviewer-directs"),
    (STAFF[Role.SUPERVISOR], "assign-request", Resource("request"), None, "arbiter-assigns"),
    (FIRE, "read-request", Resource("request", department="fire"), Purpose.SERVICE, "department-reads-its-own"),
    (FIRE, "read-feed", Resource("feed", department="fire"), Purpose.SERVICE, "department-reads-its-own"),
    *(
        (FIRE, action, Resource("feed", department="fire"), None, "department-answers-its-own")
        for action in ("withdraw-key", "change-endpoint", "read-feed-settings", "acknowledge-erasure")
    ),
    *(
        (STAFF[role], "list-unerased", Resource("request"), None, "station-follows-erasure")
        for role in (Role.REVIEWER, Role.SUPERVISOR)
    ),
    (FIRE, "transition-task", Resource("task", department="fire"), None, "department-answers-its-own"),
    (STAFF[Role.OPERATOR], "list-dead-letters", Resource("dead-letter"), None, "operator-mends"),
    (STAFF[Role.OPERATOR], "list-gaps", Resource("manifest"), None, "gaps-are-seen"),
    (STAFF[Role.AUDITOR], "list-gaps", Resource("manifest"), None, "gaps-are-seen"),
    *(
        (STAFF[Role.AUDITOR], action, Resource("log"), Purpose.AUDIT, "auditor-asks-the-log")
        for action in ("search-log", "export-log", "read-life")
    ),
    *(
        (STAFF[Role.AUDITOR], action, Resource("log"), Purpose.AUDIT, "auditor-asks-about-a-person")
        for action in ("ask-about-subject", "agree-to-ask", "read-about-subject")
    ),
    (PORTAL, "see-who-looked", Resource("usage"), Purpose.RESIDENT_REQUEST, "portal-asks-for-its-resident"),
    (STAFF[Role.REVIEWER], "ask-to-defer", Resource("deferral"), None, "station-asks-to-defer"),
    (STAFF[Role.SUPERVISOR], "ask-to-defer", Resource("deferral"), None, "station-asks-to-defer"),
    (STAFF[Role.AUDITOR], "approve-deferral", Resource("deferral"), None, "auditor-approves-deferral"),
    (
        STAFF[Role.REVIEWER],
        "name-exclusions",
        Resource("file"),
        Purpose.RESIDENT_REQUEST,
        "reviewer-names-exclusions",
    ),
    (STAFF[Role.AUDITOR], "read-conduct", Resource("conduct"), Purpose.AUDIT, "auditor-reads-conduct"),
    *(
        (STAFF[role], "declare-ties", Resource("tie"), None, "staff-declare-ties")
        for role in Role
        if role not in (Role.RESIDENT, Role.DEPARTMENT_SYSTEM, Role.PORTAL)
    ),
    (STAFF[Role.OPERATOR], "read-dead-letter", Resource("x"), Purpose.REPAIR, "operator-opens-dead-letters"),
    (STAFF[Role.OPERATOR], "replay-dead-letter", Resource("x"), Purpose.REPAIR, "operator-opens-dead-letters"),
]


@pytest.mark.parametrize(("principal", "action", "resource", "purpose", "by"), PERMITTED)
def test_each_policy_permits_what_it_says(principal, action, resource, purpose, by):
    assert allowed(principal, action, resource, purpose) == (by,)


@pytest.mark.parametrize(("principal", "action", "resource", "purpose", "by"), PERMITTED)
@pytest.mark.parametrize("agency", ["police", "political-legal", "petitions"])
def test_police_and_petition_agencies_do_nothing_whatever_their_role(principal, action, resource, purpose, by, agency):
    there = Principal(principal.subject, principal.role, agency, principal.station)
    own = Resource(resource.kind, department=agency, own_record=resource.own_record)
    assert allowed(there, action, own, purpose) is None


@pytest.mark.parametrize("action", ["decide-need", "read-assessment", "read-record"])
def test_nobody_reviews_what_they_recorded_themselves(action):
    reviewer = STAFF[Role.REVIEWER]
    assert allowed(reviewer, action, Resource("x", own_record=True), Purpose.TRIAGE) is None
    assert allowed(reviewer, action, Resource("x", own_record=False), Purpose.TRIAGE)


def test_a_reviewer_reads_for_no_other_purpose_and_not_without_one():
    for purpose in (None, *(one for one in Purpose if one not in (Purpose.TRIAGE, Purpose.FOLLOW_UP))):
        assert allowed(STAFF[Role.REVIEWER], "read-file", Resource("file"), purpose) is None


def test_a_department_reaches_only_what_is_its_own():
    for mine, theirs in itertools.permutations(Department, 2):
        officer = Principal("someone", Role.OFFICER, mine)
        for action in ("read-request", "list-requests", "transition-task", "register-key"):
            assert allowed(officer, action, Resource("x", department=theirs), Purpose.SERVICE) is None
            assert allowed(officer, action, Resource("x"), Purpose.SERVICE) is None
            assert allowed(officer, action, Resource("x", department=mine), Purpose.SERVICE)


def test_whatever_no_policy_permits_is_refused():
    """All roles, actions and purposes without anything about the resource: the permitted ones can be counted."""
    for principal, action, purpose in itertools.product(STAFF.values(), ACTIONS, (None, *Purpose)):
        by = allowed(principal, action, Resource("thing"), purpose)
        assert by is None or any(
            (principal.role, action) == (one[0].role, one[1]) and one[4] in by for one in PERMITTED
        )


@pytest.mark.parametrize("action", ["", "read-everything", 'x" } permit(principal,action,resource);', "READ-FILE"])
def test_an_action_that_is_not_in_the_schema_is_refused(action):
    assert allowed(STAFF[Role.OPERATOR], action) is None


@pytest.mark.parametrize("hostile", ['"', "\\", "\x00", '") || true', "张三", "x" * 100_000])
def test_what_callers_are_called_changes_no_decision(hostile):
    stranger = Principal(hostile, Role.RESIDENT, hostile, hostile)
    assert allowed(stranger, "read-file", Resource(hostile, department=hostile), Purpose.TRIAGE) is None


def test_all_actions_that_are_logged_as_reads_of_staff_are_in_the_schema():
    assert {"read-file", "read-record", "read-request", "read-dead-letter"} <= set(Action) & set(ACTIONS)


def test_policies_that_do_not_fit_their_schema_are_not_loaded(monkeypatch, tmp_path):
    (tmp_path / "policies").mkdir()
    source = 'permit (principal, action == Action::"read-file", resource) when { principal.rank == "high" };'
    (tmp_path / "policies" / "doorstep.cedar").write_text(source)
    schema = (policies.files("doorstep.kit") / "policies" / "doorstep.cedarschema").read_text()
    (tmp_path / "policies" / "doorstep.cedarschema").write_text(schema)
    monkeypatch.setattr(policies, "files", lambda _: tmp_path)
    with pytest.raises(PoliciesInvalid):
        Policy()


def test_an_attribute_that_the_schema_does_not_know_denies(monkeypatch):
    """Cedar gives no decision on a request that does not fit; that is a refusal."""
    permitting = cedarpy.PolicySet.from_str("permit (principal, action, resource);")
    strict = Policy()
    strict._policies = permitting
    assert strict.authorize(FIRE, "read-file", Resource("x")).policies
    with pytest.raises(Forbidden):
        strict.authorize(Principal("s", Role.OFFICER, 7), "read-file", Resource("x"))
    with pytest.raises(Forbidden):
        strict.authorize(FIRE, "read-file", Resource("x", own_record="yes"))
