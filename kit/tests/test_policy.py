"""What each policy permits and forbids, and that everything else is refused."""

import itertools
from dataclasses import replace

import cedarpy
import pytest

from doorstep.contracts.codes import Action, Department, LegalBasis, Purpose, Role
from doorstep.contracts.facts import FactKind
from doorstep.kit import policy as policies
from doorstep.kit.auth import Principal
from doorstep.kit.policy import (
    CARD_FIELDS,
    NEVER,
    AgencyKind,
    CaseKind,
    Forbidden,
    PoliciesInvalid,
    Policy,
    Resource,
    agency_kind,
    kind_name,
)

POLICY = Policy()
NAMED = (
    "record-visit state-fact see-receipt see-fact read-record read-file read-assessment decide-need list-requests"
    " read-request transition-task"
    " direct-request assign-request register-key read-journey read-dead-letter replay-dead-letter list-dead-letters"
    " list-gaps search-log export-log read-life ask-about-subject agree-to-ask read-about-subject"
    " see-who-looked ask-to-defer approve-deferral ask-to-erase confirm-erasure"
    " read-conduct declare-ties break-glass list-break-glass acknowledge-break-glass review-break-glass"
    " withdraw-key change-endpoint read-feed-settings read-feed acknowledge-erasure list-unerased name-exclusions"
    " leave-household record-guardian suspend-guardian"
    " list-looks answer-look"
    " list-complaints read-complaint answer-complaint"
    " draw-sign-in-code see-figures publish-directory try-directory activate-directory explain-route"
    " propose-plan read-plan-proposal decide-plan read-plan record-plan-meeting list-plan-duties withdraw-from-plan"
    " read-plan-contest answer-plan-contest"
    " take-request give-request name-deputy publish-template"
    " list-late list-disputed acknowledge-call"
    " hand-in-order follow-orders list-orders direct-order"
    " give-keys tell-erased destroy-key read-key-journal see-key-epochs begin-key-epoch"
)
ACTIONS = NAMED.split()
THING = Resource("thing")
STAFF = {role: Principal("someone", role, "station", "7") for role in Role}
PORTAL = Principal("someone", Role.PORTAL, "national-portal")
HOTLINE = Principal("someone", Role.HOTLINE, "hotline-12345", "7")
FIRE = Principal("someone", Role.OFFICER, "fire")
AUDIT_SERVICE = Principal("someone", Role.SERVICE, "station", None, "doorstep-audit")
HEALTH = Principal("someone", Role.OFFICER, "health")
OF_A_TEAM = (STAFF[Role.COLLECTOR], STAFF[Role.REVIEWER], HEALTH)
COMMUNITY = Principal("someone", Role.COLLECTOR, "community-office", "7")
HEAD = Principal("someone", Role.OFFICER, "fire", office="office-1", heads=True)
SERVING = (Role.COLLECTOR, Role.REVIEWER, Role.SUPERVISOR)
RECORD, FILE, REQUEST, GLASS = CaseKind.RECORD, CaseKind.FILE, CaseKind.REQUEST, CaseKind.BREAK_GLASS
PLAN, CONSENT, RESIDENTS = CaseKind.PLAN, LegalBasis.CONSENT, Purpose.RESIDENT_REQUEST
TRIAGE, EMERGENCY, AUDIT = Purpose.TRIAGE, Purpose.EMERGENCY, Purpose.AUDIT
DUTY, VITAL = LegalBasis.STATUTORY_DUTY, LegalBasis.VITAL_INTEREST


def allowed(principal, action, resource=THING, purpose=None, case=None, basis=None) -> tuple[str, ...] | None:
    try:
        return POLICY.authorize(principal, action, resource, purpose=purpose, case=case, legal_basis=basis).policies
    except Forbidden:
        return None


def own(department: str) -> Resource:
    return Resource("request", department=department)


PERMITTED = [
    (STAFF[Role.COLLECTOR], "record-visit", Resource("record"), None, None, None, "collector-records"),
    (COMMUNITY, "record-visit", Resource("record"), None, None, None, "collector-records"),
    (STAFF[Role.COLLECTOR], "see-receipt", Resource("receipt"), None, None, None, "collector-hands-out-receipts"),
    *(
        (STAFF[Role.REVIEWER], action, Resource("file"), purpose, case, DUTY, "reviewer-reads-for-triage")
        for action in ("read-record", "read-file", "read-assessment", "read-journey")
        for purpose in (TRIAGE, Purpose.FOLLOW_UP)
        for case in (RECORD, FILE, REQUEST)
    ),
    (STAFF[Role.REVIEWER], "list-requests", Resource("request"), TRIAGE, REQUEST, None, "reviewer-lists-requests"),
    (STAFF[Role.REVIEWER], "decide-need", Resource("need", own_record=False), None, None, None, "reviewer-decides"),
    (STAFF[Role.REVIEWER], "direct-request", Resource("request"), None, None, None, "reviewer-directs"),
    (STAFF[Role.SUPERVISOR], "assign-request", Resource("request"), None, None, None, "arbiter-assigns"),
    (
        STAFF[Role.SUPERVISOR], "list-disputed", Resource("request", station="7"), Purpose.FOLLOW_UP, None, None,
        "arbiter-sees-disputes",
    ),
    (
        STAFF[Role.REVIEWER], "ask-to-erase", Resource("erasure"), Purpose.RESIDENT_REQUEST, None, None,
        "reviewer-asks-to-erase",
    ),
    (
        STAFF[Role.SUPERVISOR], "confirm-erasure", Resource("erasure"), Purpose.RESIDENT_REQUEST, None, None,
        "supervisor-confirms-erasure",
    ),
    (FIRE, "read-request", own("fire"), Purpose.SERVICE, REQUEST, None, "department-reads-its-own"),
    (FIRE, "list-requests", own("fire"), Purpose.SERVICE, REQUEST, None, "department-lists-its-own"),
    (FIRE, "transition-task", own("fire"), None, None, None, "department-answers-its-own"),
    (STAFF[Role.OPERATOR], "list-dead-letters", Resource("dead-letter"), None, None, None, "operator-mends"),
    (STAFF[Role.OPERATOR], "list-gaps", Resource("manifest"), None, None, None, "gaps-are-seen"),
    (STAFF[Role.AUDITOR], "list-gaps", Resource("manifest"), None, None, None, "gaps-are-seen"),
    (
        FIRE, "read-feed", Resource("feed", department="fire"), Purpose.SERVICE, REQUEST, None,
        "department-lists-its-own",
    ),
    *(
        (FIRE, action, Resource("feed", department="fire"), None, None, None, "department-answers-its-own")
        for action in ("withdraw-key", "change-endpoint", "read-feed-settings", "acknowledge-erasure")
    ),
    *(
        (who, action, own("fire"), None, None, None, "officers-share-out-requests")
        for who in (FIRE, HEAD)
        for action in ("take-request", "name-deputy")
    ),
    (HEAD, "give-request", own("fire"), None, None, None, "heads-give-requests"),
    (HEAD, "publish-template", own("fire"), None, None, None, "heads-publish-templates"),
    *(
        (STAFF[role], "list-unerased", Resource("request"), None, None, None, "station-follows-erasure")
        for role in (Role.REVIEWER, Role.SUPERVISOR)
    ),
    *(
        (STAFF[role], "list-late", Resource("request", station="7"), Purpose.FOLLOW_UP, None, None,
         "station-follows-deadlines")
        for role in (Role.REVIEWER, Role.SUPERVISOR)
    ),
    *(
        (STAFF[role], "acknowledge-call", Resource("request"), None, None, None, "station-answers-calls")
        for role in (Role.REVIEWER, Role.SUPERVISOR)
    ),
    *(
        (HOTLINE, action, Resource("order"), None, None, None, "hotline-orders")
        for action in ("hand-in-order", "follow-orders")
    ),
    (
        STAFF[Role.REVIEWER], "list-orders", Resource("order", station="7"), Purpose.FOLLOW_UP, None, None,
        "reviewer-lists-orders",
    ),
    (STAFF[Role.REVIEWER], "direct-order", Resource("order"), None, None, None, "reviewer-directs-orders"),
    (
        STAFF[Role.SUPERVISOR], "see-figures", Resource("figures", station="7"), Purpose.FOLLOW_UP, None, None,
        "supervisor-sees-figures",
    ),
    *(
        (STAFF[role], "list-looks", Resource("look"), Purpose.FOLLOW_UP, None, None, "station-sees-looks")
        for role in (Role.REVIEWER, Role.SUPERVISOR)
    ),
    *(
        (STAFF[role], "answer-look", Resource("look"), None, None, None, "another-human-looks-again")
        for role in (Role.REVIEWER, Role.SUPERVISOR)
    ),
    (
        STAFF[Role.SUPERVISOR], "list-complaints", Resource("complaint"), Purpose.FOLLOW_UP, None, None,
        "supervisor-sees-complaints",
    ),
    (
        STAFF[Role.SUPERVISOR], "read-complaint", Resource("complaint"), Purpose.FOLLOW_UP, REQUEST, None,
        "supervisor-reads-complaints",
    ),
    (
        STAFF[Role.SUPERVISOR], "answer-complaint", Resource("complaint"), None, None, None,
        "another-human-answers-complaints",
    ),
    *(
        (STAFF[role], "publish-directory", Resource("directory"), None, None, None, "station-publishes-directories")
        for role in (Role.SUPERVISOR, Role.OPERATOR)
    ),
    (
        STAFF[Role.SUPERVISOR], "try-directory", Resource("directory", station="7"), Purpose.FOLLOW_UP, None, None,
        "supervisor-tries-directories",
    ),
    (
        STAFF[Role.SUPERVISOR], "activate-directory", Resource("directory", proposer=False), None, None, None,
        "supervisor-activates-directories",
    ),
    (
        STAFF[Role.REVIEWER], "explain-route", Resource("route", station="7"), TRIAGE, None, None,
        "reviewer-asks-for-routes",
    ),
    (
        STAFF[Role.REVIEWER], "name-exclusions", Resource("file"), Purpose.RESIDENT_REQUEST, None, None,
        "reviewer-names-exclusions",
    ),
    *(
        (STAFF[Role.REVIEWER], action, Resource("file"), purpose, None, None, policy)
        for action, purpose, policy in (
            ("leave-household", Purpose.RESIDENT_REQUEST, "reviewer-notes-departures"),
            ("record-guardian", Purpose.RESIDENT_REQUEST, "reviewer-records-guardians"),
            ("suspend-guardian", Purpose.FOLLOW_UP, "reviewer-suspends-guardians"),
        )
    ),
    (
        STAFF[Role.COLLECTOR], "draw-sign-in-code", Resource("sign-in-code", own_record=True),
        Purpose.RESIDENT_REQUEST, None, None, "collector-draws-sign-in-codes",
    ),
    *(
        (STAFF[Role.AUDITOR], action, Resource("log"), AUDIT, None, None, "auditor-asks-the-log")
        for action in ("search-log", "export-log")
    ),
    (STAFF[Role.AUDITOR], "read-life", Resource("log"), AUDIT, RECORD, None, "auditor-reads-a-life"),
    *(
        (STAFF[Role.AUDITOR], action, Resource("log"), AUDIT, None, None, "auditor-asks-about-a-person")
        for action in ("ask-about-subject", "agree-to-ask")
    ),
    (
        STAFF[Role.AUDITOR], "read-about-subject", Resource("log"), AUDIT, CaseKind.INQUIRY, None,
        "auditor-reads-about-a-person",
    ),
    (
        PORTAL, "see-who-looked", Resource("usage"), Purpose.RESIDENT_REQUEST, None, None,
        "portal-asks-for-its-resident",
    ),
    (STAFF[Role.REVIEWER], "ask-to-defer", Resource("deferral"), None, None, None, "station-asks-to-defer"),
    (STAFF[Role.SUPERVISOR], "ask-to-defer", Resource("deferral"), None, None, None, "station-asks-to-defer"),
    (STAFF[Role.AUDITOR], "approve-deferral", Resource("deferral"), None, None, None, "auditor-approves-deferral"),
    (STAFF[Role.AUDITOR], "read-conduct", Resource("conduct"), AUDIT, None, None, "auditor-reads-conduct"),
    *(
        (STAFF[role], "declare-ties", Resource("tie"), None, None, None, "staff-declare-ties")
        for role in Role
        if role not in (Role.RESIDENT, Role.DEPARTMENT_SYSTEM, Role.PORTAL, Role.SERVICE, Role.HOTLINE)
    ),
    *(
        (STAFF[Role.OPERATOR], action, Resource("x"), Purpose.REPAIR, None, None, "operator-opens-dead-letters")
        for action in ("read-dead-letter", "replay-dead-letter")
    ),
    *((STAFF[role], "break-glass", Resource("x"), None, None, None, "station-breaks-glass") for role in SERVING),
    *(
        (STAFF[role], action, Resource("file"), EMERGENCY, GLASS, VITAL, "broken-glass-opens")
        for role in SERVING
        for action in ("read-file", "read-record", "read-assessment", "list-requests", "see-fact")
    ),
    *(
        (STAFF[role], action, Resource("x"), None, None, None, "station-sees-broken-glass")
        for role in SERVING
        for action in ("list-break-glass", "acknowledge-break-glass")
    ),
    *(
        (STAFF[role], "review-break-glass", Resource("x"), None, None, None, "third-person-reviews")
        for role in (Role.REVIEWER, Role.SUPERVISOR)
    ),
    *(
        (AUDIT_SERVICE, action, Resource("key"), None, None, None, by)
        for action, by in (
            ("give-keys", "services-have-keys"), ("tell-erased", "services-have-keys"),
            ("destroy-key", "log-destroys-keys"), ("read-key-journal", "log-destroys-keys"),
        )
    ),
    (STAFF[Role.REVIEWER], "propose-plan", Resource("plan"), Purpose.SERVICE, None, CONSENT, "reviewer-proposes-plans"),
    *(
        (who, action, Resource("plan", team=True), Purpose.SERVICE, None, CONSENT, "team-keeps-its-plan")
        for who in OF_A_TEAM
        for action in ("propose-plan", "record-plan-meeting")
    ),
    *(
        (who, "read-plan", Resource("plan", team=True), purpose, PLAN, basis, "care-plan-for-its-team")
        for who in OF_A_TEAM
        for purpose, basis in ((Purpose.SERVICE, CONSENT), (EMERGENCY, VITAL))
    ),
    *(
        (who, "withdraw-from-plan", Resource("plan", team=True), RESIDENTS, None, CONSENT, "team-hears-withdrawals")
        for who in OF_A_TEAM
    ),
    *(
        (who, action, Resource("plan", panel=True, department=who.agency), Purpose.SERVICE, case, CONSENT, by)
        for who in (STAFF[Role.REVIEWER], HEALTH)
        for action, case, by in (
            ("decide-plan", None, "panel-decides-on-plans"),
            ("read-plan-proposal", PLAN, "panel-reads-what-it-decides"),
        )
    ),
    *(
        (who, "list-plan-duties", Resource("plan"), Purpose.SERVICE, None, CONSENT, "staff-see-their-plan-duties")
        for who in OF_A_TEAM
    ),
    *(
        (STAFF[Role.REVIEWER], action, Resource("plan", decider=False), RESIDENTS, case, CONSENT, by)
        for action, case, by in (
            ("answer-plan-contest", None, "independent-reviewer-answers-contests"),
            ("read-plan-contest", PLAN, "independent-reviewer-reads-contests"),
        )
    ),
    *(
        (STAFF[Role.OPERATOR], action, Resource("key"), None, None, None, "operator-turns-epochs")
        for action in ("see-key-epochs", "begin-key-epoch")
    ),
]  # fmt: skip
NAMES = ("principal", "action", "resource", "purpose", "case", "basis", "by")


@pytest.mark.parametrize(NAMES, PERMITTED)
def test_each_policy_permits_what_it_says(principal, action, resource, purpose, case, basis, by):
    assert allowed(principal, action, resource, purpose, case, basis) == (by,)


def test_who_serves_in_one_office_reads_and_changes_no_feed():
    feed = Resource("feed", department="fire")
    member = Principal("someone", Role.OFFICER, "fire", office="office-1")
    for action in ("read-feed", "register-key", "withdraw-key", "change-endpoint"):
        assert allowed(FIRE, action, feed, Purpose.SERVICE, REQUEST)
        assert allowed(member, action, feed, Purpose.SERVICE, REQUEST) is None
        assert allowed(HEAD, action, feed, Purpose.SERVICE, REQUEST) is None


def test_who_heads_no_office_gives_requests_to_nobody():
    for who in (FIRE, Principal("someone", Role.DEPARTMENT_SYSTEM, "fire", heads=True)):
        assert allowed(who, "give-request", own("fire")) is None
        assert allowed(who, "publish-template", own("fire")) is None
    assert allowed(HEAD, "give-request", own("health")) is None
    assert allowed(HEAD, "publish-template", own("health")) is None


@pytest.mark.parametrize("agency", sorted(NEVER))
def test_police_and_petition_agencies_do_nothing_whatever_their_role(agency):
    """Also in every other role, in an emergency too, and though the thing were their own."""
    for (principal, action, resource, purpose, case, basis, _), role in itertools.product(PERMITTED, Role):
        there = Principal(principal.subject, role, agency, principal.station, principal.account)
        for thing in (resource, replace(resource, department=agency)):
            assert allowed(there, action, thing, purpose, case, basis) is None


def test_an_agency_or_a_role_that_is_not_known_does_nothing():
    assert agency_kind("department") is AgencyKind.UNKNOWN
    for principal, action, resource, purpose, case, basis, _ in PERMITTED:
        for agency in ("", "Station", "police-bureau", "unknown", "department"):
            there = Principal(principal.subject, principal.role, agency, principal.station, principal.account)
            assert allowed(there, action, resource, purpose, case, basis) is None
        mayor = Principal(principal.subject, "mayor", principal.agency, principal.station)
        if action not in ("see-receipt",):
            assert allowed(mayor, action, resource, purpose, case, basis) is None


@pytest.mark.parametrize("action", ["decide-need", "read-assessment", "read-record", "read-journey", "direct-request"])
def test_nobody_reviews_what_they_recorded_themselves(action):
    reviewer, more = STAFF[Role.REVIEWER], (TRIAGE, RECORD, DUTY)
    assert allowed(reviewer, action, Resource("x", own_record=True), *more) is None
    assert allowed(reviewer, action, Resource("x", own_record=False), *more)


def test_collector_reviewer_and_supervisor_of_a_record_are_three_people():
    for action, role in (("decide-need", Role.REVIEWER), ("direct-request", Role.REVIEWER),
                         ("assign-request", Role.SUPERVISOR)):  # fmt: skip
        for duty in SERVING:
            assert bool(allowed(STAFF[role], action, Resource("x", duty=duty))) == (duty is role)


def test_a_proposer_never_decides():
    for principal, action, resource, purpose, case, basis, _ in PERMITTED:
        decided = (
            "confirm-erasure", "approve-deferral", "agree-to-ask", "review-break-glass", "activate-directory",
            "decide-plan", "answer-plan-contest",
        )  # fmt: skip
        if action in decided:
            mine, theirs = (replace(resource, proposer=own) for own in (True, False))
            assert allowed(principal, action, mine, purpose, case, basis) is None
            assert allowed(principal, action, theirs, purpose, case, basis)


OF_PLANS = [one for one in PERMITTED if one[2].kind == "plan"]


def test_a_care_plan_is_for_its_team_alone_whoever_else_asks_for_whatever():
    reads = ("read-plan", "record-plan-meeting", "withdraw-from-plan")
    whys = tuple((purpose, PLAN, CONSENT) for purpose in (Purpose.SERVICE, EMERGENCY, RESIDENTS))
    for role, agency, action in itertools.product(Role, ("station", "health", "fire", "community-office"), reads):
        who = Principal("someone", role, agency, "7")
        for thing in (Resource("plan"), Resource("plan", team=False), Resource("plan", panel=True, decider=False)):
            assert not any(allowed(who, action, thing, *why) for why in whys), (role, agency, action)
        may = any(allowed(who, action, Resource("plan", team=True), *why) for why in whys)
        assert may == ((role in (Role.COLLECTOR, Role.REVIEWER) and agency == "station") or (
            role is Role.OFFICER and agency in ("health", "fire")))  # fmt: skip


def test_a_plan_that_is_contested_is_read_in_an_emergency_and_that_is_all():
    for principal, action, resource, purpose, case, basis, by in OF_PLANS:
        given = allowed(principal, action, replace(resource, contested=True), purpose, case, basis)
        kept = action in ("list-plan-duties", "withdraw-from-plan", "answer-plan-contest", "read-plan-contest")
        assert (given == (by,)) == (kept or (action == "read-plan" and purpose is EMERGENCY)), (action, purpose)


def test_who_had_a_part_is_not_independent_and_who_is_not_named_does_not_decide():
    for principal, action, resource, purpose, case, basis, _ in OF_PLANS:
        if action in ("decide-plan", "read-plan-proposal", "answer-plan-contest", "read-plan-contest"):
            assert allowed(principal, action, replace(resource, decider=True), purpose, case, basis) is None
            assert allowed(principal, action, Resource("plan", team=True), purpose, case, basis) is None
        if resource.panel:
            assert allowed(principal, action, replace(resource, panel=False), purpose, case, basis) is None
            assert allowed(principal, action, replace(resource, department="justice"), purpose, case, basis) is None


def test_supervisors_see_no_content_but_in_an_emergency():
    reads = [one for one in ACTIONS if one.startswith("read-") and "dead-letter" not in one] + ["see-fact"]
    for action, purpose, case in itertools.product(reads, Purpose, CaseKind):
        basis = VITAL if case is GLASS else DUTY
        if action == "read-complaint":  # what a resident told them themselves, and nothing of a file
            continue
        seen = allowed(STAFF[Role.SUPERVISOR], action, Resource("file", fact_kind="dwelling"), purpose, case, basis)
        assert not seen or (purpose, case, seen) == (EMERGENCY, GLASS, ("broken-glass-opens",))


def test_a_community_officer_writes_four_kinds_and_reads_nothing_back():
    written = {kind for kind in FactKind if allowed(COMMUNITY, "state-fact", Resource("f", fact_kind=kind_name(kind)))}
    assert written == {FactKind.IDENTITY, FactKind.CONTACT, FactKind.DWELLING, FactKind.WISHES}
    station = STAFF[Role.COLLECTOR]
    assert all(allowed(station, "state-fact", Resource("f", fact_kind=kind_name(kind))) for kind in FactKind)
    asked = itertools.product(ACTIONS, Role, [None, *Purpose], [None, *CaseKind])
    for action, role, purpose, case in asked:
        there = Principal("someone", role, "community-office", "7")
        if allowed(there, action, THING, purpose, case, VITAL):
            assert action in ("record-visit", "state-fact", "declare-ties")


def test_a_read_is_decided_on_by_its_case():
    """None is not enough, nor is one of another kind; what an emergency opened is for that emergency alone."""
    for principal, action, resource, purpose, case, basis, by in PERMITTED:
        if action.startswith("read-") and case is not None:
            for other in [None, *CaseKind]:
                given = allowed(principal, action, resource, purpose, other, basis)
                assert (given == (by,)) == (other is case or (other in (RECORD, FILE, REQUEST) and basis is DUTY)), by
    assert allowed(STAFF[Role.REVIEWER], "read-file", THING, TRIAGE, FILE, VITAL) is None


def test_nothing_of_another_station_is_permitted():
    for principal, action, resource, purpose, case, basis, _ in PERMITTED:
        elsewhere = Resource(resource.kind, department=resource.department, station="9")
        assert allowed(principal, action, elsewhere, purpose, case, basis) is None


def test_who_breaks_glass_is_staff_of_the_station_and_nobody_else():
    for role, agency in itertools.product(Role, [*sorted(NEVER), *Department, *AgencyKind]):
        for action, purpose, case in (("break-glass", None, None), ("read-file", EMERGENCY, GLASS)):
            may = allowed(Principal("s", role, agency, "7"), action, THING, purpose, case, VITAL)
            assert bool(may) == (agency == "station" and role in SERVING)


ALL = frozenset(FactKind)
SEEN = [
    (STAFF[Role.REVIEWER], "file", TRIAGE, FILE, None, ALL - {FactKind.HEALTH}),
    (STAFF[Role.REVIEWER], "record", Purpose.FOLLOW_UP, RECORD, None, ALL - {FactKind.HEALTH}),
    (STAFF[Role.REVIEWER], "assessment", TRIAGE, RECORD, None, ALL),
    (STAFF[Role.REVIEWER], "assessment", Purpose.FOLLOW_UP, RECORD, None, ALL - {FactKind.HEALTH}),
    (STAFF[Role.REVIEWER], "file", Purpose.AUDIT, FILE, None, frozenset()),
    (STAFF[Role.COLLECTOR], "file", TRIAGE, FILE, None, frozenset()),
    (STAFF[Role.COLLECTOR], "file", EMERGENCY, GLASS, None, ALL),
    (STAFF[Role.SUPERVISOR], "file", TRIAGE, FILE, None, frozenset()),
    (STAFF[Role.SUPERVISOR], "file", EMERGENCY, GLASS, None, ALL),
    (STAFF[Role.AUDITOR], "file", EMERGENCY, GLASS, None, frozenset()),
    (FIRE, "request", Purpose.SERVICE, None, "fire", ALL - {FactKind.HEALTH}),
    (FIRE, "request", Purpose.SERVICE, None, "health", frozenset()),
    (Principal("s", Role.OFFICER, "health"), "request", Purpose.SERVICE, None, "health", ALL),
    (COMMUNITY, "record", EMERGENCY, GLASS, None, frozenset()),
    *((Principal("s", role, agency, "7"), "file", EMERGENCY, GLASS, agency, frozenset())
      for role in Role for agency in sorted(NEVER)),
]  # fmt: skip


@pytest.mark.parametrize(("principal", "thing", "purpose", "case", "department", "kinds"), SEEN)
def test_who_sees_which_kinds_of_fact(principal, thing, purpose, case, department, kinds):
    sight = POLICY.sight(principal, thing, purpose=purpose, case=case, department=department)
    assert sight.kinds == kinds
    assert sight.fact("health.chronic-illness") == (FactKind.HEALTH in kinds)
    assert sight.fact("dwelling.gas-hose") == (FactKind.DWELLING in kinds)
    assert not sight.fact("something.of-a-later-version")
    assert sight.hidden == (frozenset() if kinds else frozenset(CARD_FIELDS))


def test_a_reviewer_reads_for_no_other_purpose_and_not_without_one():
    for purpose in (None, *(one for one in Purpose if one not in (Purpose.TRIAGE, Purpose.FOLLOW_UP))):
        assert allowed(STAFF[Role.REVIEWER], "read-file", Resource("file"), purpose, FILE, DUTY) is None


def test_a_service_has_of_the_key_store_what_it_needs_and_by_its_account_alone():
    both = {"give-keys", "tell-erased"}
    of_keys = {*both, "destroy-key", "read-key-journal", "see-key-epochs", "begin-key-epoch"}
    may = {f"doorstep-{name}": both for name in ("gateway", "intake", "registry", "risk", "referral")}
    may |= {"doorstep-audit": both | {"destroy-key", "read-key-journal"}, "doorstep-page": set(), "audit": set()}
    for account, role in itertools.product((*may, None), Role):
        there = Principal("doorstep-audit", role, "station", None, account)
        expected = may.get(account, set()) if role is Role.SERVICE else set()
        expected = expected | ({"see-key-epochs", "begin-key-epoch"} if role is Role.OPERATOR else set())
        assert {action for action in of_keys if allowed(there, action, Resource("key"))} == expected
        for action in of_keys:
            assert allowed(Principal("s", role, "fire", None, account), action, Resource("key")) is None


def test_a_department_reaches_only_what_is_its_own():
    for mine, theirs in itertools.permutations(Department, 2):
        officer = Principal("someone", Role.OFFICER, mine)
        for action in ("read-request", "list-requests", "transition-task", "register-key"):
            assert allowed(officer, action, Resource("x", department=theirs), Purpose.SERVICE, REQUEST) is None
            assert allowed(officer, action, Resource("x"), Purpose.SERVICE, REQUEST) is None
            assert allowed(officer, action, Resource("x", department=mine), Purpose.SERVICE, REQUEST)


def test_whatever_no_policy_permits_is_refused():
    """All roles, actions, purposes and cases without anything about the resource: the permitted can be counted."""
    also = {("collector", "state-fact", "collector-states-facts")}
    known = {(one[0].role, one[1], one[6]) for one in PERMITTED} | also
    asked = itertools.product(STAFF.values(), ACTIONS, (None, *Purpose), (None, *CaseKind), (DUTY, VITAL))
    for principal, action, purpose, case, basis in asked:
        by = allowed(principal, action, Resource("thing"), purpose, case, basis)
        assert by is None or any((principal.role, action, one) in known for one in by)


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
    with pytest.raises(Forbidden):
        strict.authorize(FIRE, "read-file", Resource("x", fact_kind=8))
    with pytest.raises(Forbidden):
        strict.authorize(FIRE, "read-everything", Resource("x"))
