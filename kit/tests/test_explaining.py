"""What the policies say is told clause by clause, and never otherwise than they decide."""

import itertools
import json

import pytest
from typer.testing import CliRunner

from doorstep.contracts.codes import Purpose, Role
from doorstep.kit.auth import Principal
from doorstep.kit.commands.policy import application
from doorstep.kit.policy import CaseKind, Forbidden, Policy, Resource

POLICY = Policy()
ROLES = list(Role)
FIRE = "--as officer@fire --read request --purpose service --case request"


def permitted(*question, **why) -> bool:
    try:
        return POLICY.authorize(*question, **why).permitted
    except Forbidden:
        return False


@pytest.mark.parametrize("role", Role)
def test_what_is_told_is_what_is_decided(role):
    things = [Resource("x", department="fire", fact_kind="health"), Resource("x", own_record=True, duty="reviewer")]
    reasons = [(None, None), (Purpose.TRIAGE, CaseKind.FILE), (Purpose.EMERGENCY, CaseKind.BREAK_GLASS)]
    for agency, action, thing, (purpose, case) in itertools.product(
        ("station", "fire", "police"), sorted(POLICY.actions())[ROLES.index(role) % 3 :: 3], things, reasons
    ):
        who, why = Principal("somebody", role, agency), {"purpose": purpose, "case": case}
        said = POLICY.explain(who, action, thing, **why)
        applying = [one for one in said if one.applies]
        told = bool(applying) and not any(one.forbids for one in applying)
        assert told == permitted(who, action, thing, **why), (agency, action, thing, why)


def test_what_does_not_hold_is_named_in_the_words_of_the_policy():
    who = Principal("somebody", Role.REVIEWER, "station")
    [reading, *_] = POLICY.explain(who, "read-record", Resource("record"))
    assert (reading.name, reading.forbids, reading.applies) == ("reviewer-reads-for-triage", False, False)
    assert [clause.text for clause in reading.clauses if clause.holds] == [
        'principal.role == "reviewer"',
        'principal.agencyKind == "station"',
    ]
    assert "context has purpose" in [clause.text for clause in reading.clauses if not clause.holds]


def test_every_policy_has_a_readable_title():
    said = POLICY.said()
    assert len({one.name for one in said}) == len(said)
    assert all(one.title.endswith(".") and len(one.title) > 20 for one in said)


def run(*arguments: str):
    result = CliRunner().invoke(application, arguments)
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ("--as reviewer@station --read record --purpose triage --case record", 0, "允许 Permitted."),
        ("--as reviewer@station --read record", 1, "✗ context has purpose"),
        ("--as reviewer@station --read record --purpose triage", 1, "✗ context has case"),
        ("--as supervisor@station --read file --purpose emergency --case break-glass", 0, "broken-glass-opens"),
        ("--as collector@station --do break-glass", 0, "station-breaks-glass"),
        ("--as officer@police --do break-glass", 1, "never-police-or-petitions  [适用 applies]"),
        ("--as reviewer@station --do review-break-glass --proposer", 1, "proposer-never-decides  [适用 applies]"),
        ("--as reviewer@station --do see-fact --fact health --purpose triage", 1, "reviewer-sees-facts"),
        ("--as collector@community-office --do state-fact --fact health", 1, "community-officer-states-four-kinds"),
        ("--as collector@community-office --do state-fact --fact wishes", 0, "community-officer-states-four-kinds"),
        ("--as supervisor@station --do assign-request --duty reviewer", 1, "three-duties-three-people  [适用 applies]"),
        (
            "--as officer@fire --read request --case request --purpose service --department justice",
            1,
            "No policy permits it",
        ),
        (
            "--as officer@fire --read request --purpose service --case request --department fire",
            0,
            "department-reads-its-own",
        ),
        ("--as reviewer@police --do decide-need", 1, "never-police-or-petitions  [适用 applies]"),
        ("--as reviewer@station --do decide-need --own-record", 1, "nobody-reviews-their-own  [适用 applies]"),
    ],
)
def test_the_command_says_why(arguments, status, said):
    code, out, _ = run("explain", *arguments.split())
    assert (code, said in out) == (status, True), out
    code, out, _ = run("explain", *arguments.split(), "--json")
    assert (code, json.loads(out)["permitted"]) == (status, status == 0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--as mayor@station --read record", "--as is ROLE@AGENCY"),
        ("--as reviewer --read record", "--as is ROLE@AGENCY"),
        ("--as reviewer@station --read soul", "There is no such action"),
        ("--as reviewer@station --do everything", "There is no such action"),
        ("--as reviewer@station", "either --read or --do"),
        ("--as reviewer@station --read record --do decide-need", "either --read or --do"),
        ("--as reviewer@station --read record --purpose curiosity", "--purpose is one of"),
        ("--as reviewer@station --read record --case soul", "--case is one of"),
        ("--as reviewer@moon --read record", "There is no such agency"),
        ("--as reviewer@station --do see-fact --fact soul", "--fact is one of"),
        ("--as reviewer@station --do assign-request --duty mayor", "--duty is one of"),
    ],
)
def test_a_wrong_request_is_told(arguments, said):
    code, out, errors = run("explain", *arguments.split())
    assert (code, out, said in errors) == (2, "", True), errors


def test_the_list_has_every_policy():
    code, out, _ = run("list")
    assert code == 0
    assert out.count("\n") == 2 * len(POLICY.said())
    assert {one["id"] for one in json.loads(run("list", "--json")[1])} == {one.name for one in POLICY.said()}
