"""A care plan is proposed by one, decided by three others, read by its team alone, and over when nobody renews it."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest
from uuid_utils.compat import uuid7

from doorstep.contracts.codes import Role, SaidBy
from doorstep.contracts.facts import SubjectKind
from doorstep.kit.auth import Principal
from doorstep.kit.db import run
from doorstep.registry.operations.plan_rows import delete_old

STATION = "station-7"
PANEL = (("reviewer-2", "station"), ("officer-3", "health"), ("officer-1", "fire"))
TEAM = ("collector-1", "officer-4")
VOTERS = ("another-reviewer", "health", "officer")
NOT_OF_THE_TEAM = (
    "reviewer", "another-reviewer", "supervisor", "another-collector", "officer", "health", "justice", "police",
    "resident", "portal", "reviewer-elsewhere", "community-officer", "independent",
)  # fmt: skip
GUESTS = {
    "independent": Principal("reviewer-3", Role.REVIEWER, "station", STATION),
    "another-independent": Principal("reviewer-4", Role.REVIEWER, "station", STATION),
    "team-as-police": Principal("collector-1", Role.COLLECTOR, "police", STATION),
    "team-as-petitions": Principal("officer-4", Role.OFFICER, "petitions"),
    "team-elsewhere": Principal("collector-1", Role.COLLECTOR, "station", "station-9"),
    "team-as-supervisor": Principal("collector-1", Role.SUPERVISOR, "station", STATION),
    "panel-as-police": Principal("reviewer-2", Role.REVIEWER, "police", STATION),
    "panel-of-another-agency": Principal("officer-3", Role.OFFICER, "labour"),
    "panel-as-supervisor": Principal("reviewer-2", Role.SUPERVISOR, "station", STATION),
}


class Guests:
    """Stands in for the authenticator: the people of all tests, and a few of these."""

    def __init__(self, caller: Any) -> None:
        self.caller = caller

    async def verify(self, token: str) -> Principal:
        return GUESTS[token] if token in GUESTS else await self.caller.verify(token)


class Case:
    """One person's file, and what becomes of their care plan."""

    def __init__(self, files: Any, file_id: UUID, number: str, code: str) -> None:
        self.files, self.desk, self.file_id, self.number, self.code = files, files.desk, file_id, number, code
        self.subject, self.consent, self.fact, self.plan = uuid4(), uuid4(), uuid4(), uuid7()

    async def told(self, *facts: Any, file_id: UUID | None = None) -> Any:
        """Another record of the person, with these facts."""
        told = self.files.told(self.number, self.code, facts)
        return await self.files.taken(told, file_id=file_id or self.file_id)

    async def newer(self, code: str = "health.chronic-illness") -> UUID:
        """A fact that came now."""
        fact = self.files.fact(code)
        await self.told(fact)
        return UUID(str(fact.fact_id))

    async def ask(self, method: str, path: str, who: str | None, body: Any = None, **more: str) -> Any:
        headers = {"doorstep_purpose": "service"} | more
        return await self.desk.call(method, path, who, body, **headers)

    async def propose(self, who: str = "reviewer", **more: Any) -> Any:
        body = {
            "id": str(self.plan), "level": 2, "cause": "chronic-illness-follow-up", "consent": str(self.consent),
            "fact": str(self.fact), "panel": seats(PANEL), "team": TEAM, **more,
        }  # fmt: skip
        return await self.ask("POST", f"/api/files/{self.file_id}/subjects/{self.subject}/plans", who, body)

    async def step(self, step: str, who: str = "collector", proposal: UUID | None = None, **more: Any) -> Any:
        body = {"id": str(proposal or uuid7()), "step": step, "panel": seats(PANEL), **more}
        return await self.ask("POST", f"/api/plans/{self.plan}/proposals", who, body)

    async def vote(self, who: str, *, agreed: bool = True, proposal: object = None, **more: Any) -> Any:
        body = {"id": str(uuid7()), "agreed": agreed, "grounds": ["need-is-serious"], **more}
        return await self.ask("POST", f"/api/plan-proposals/{proposal or self.plan}/decision", who, body)

    async def agreed(self, proposal: object = None, voters: tuple[str, ...] = VOTERS) -> None:
        states = [(await self.vote(who, proposal=proposal)).body["state"] for who in voters]
        assert states == [*["waits"] * (len(voters) - 1), "agreed"]

    async def entered(self, level: int = 2) -> "Case":
        answer = await self.propose(level=level)
        assert answer.status == 201, answer.body
        await self.agreed()
        return self

    async def renewed(self, voters: tuple[str, ...] = VOTERS, panel: Any = PANEL) -> None:
        proposal = uuid7()
        answer = await self.step("renew", proposal=proposal, fact=str(await self.newer()), panel=seats(panel))
        assert answer.status == 201, answer.body
        await self.agreed(proposal, voters)

    async def read(self, who: str | None = "collector", purpose: str = "service", plan: object = None) -> Any:
        return await self.ask("GET", f"/api/plans/{plan or self.plan}", who, doorstep_purpose=purpose)

    async def duties(self, who: str) -> list[dict[str, Any]]:
        answer = await self.ask("GET", "/api/plans/duties", who)
        assert answer.status == 200
        return [one for one in answer.body["duties"] if one["plan_id"] == str(self.plan)]

    async def by_code(self, what: str, code: str | None = None) -> Any:
        return await self.desk.call("POST", f"/api/plans/{what}", None, {"code": code or self.code})

    async def answer(self, who: str, *, stays: bool) -> Any:
        body = {"id": str(uuid7()), "stays": stays, "grounds": ["cause-unresolved"]}
        path = f"/api/plans/{self.plan}/contest/answer"
        return await self.ask("POST", path, who, body, doorstep_purpose="resident-request")

    async def later(self, days: float) -> None:
        """Let days pass for the plan."""
        moved = (
            ("plan_proposal", "proposed_at"), ("plan_proposal", "decided_at"), ("plan_contest", "contested_at"),
        )  # fmt: skip
        async with self.desk.database.transaction() as session:
            for table, column in moved:
                statement = f"UPDATE {table} SET {column} = {column} - CAST(:by AS interval) WHERE plan_id = :id"  # noqa: S608
                await run(session, statement, {"id": self.plan, "by": timedelta(days=days)})

    async def logged(self, action: str) -> list[dict[str, Any]]:
        return [one for one in await self.desk.logged(self.subject) if one["action"] == action]


def seats(panel: Any) -> list[dict[str, str]]:
    return [{"person": person, "agency": agency} for person, agency in panel]


def code_of(answer: Any) -> str:
    return answer.body["type"].rpartition(":")[2]


@pytest.fixture(scope="module")
async def known(files: Any, request: pytest.FixtureRequest) -> Any:
    """The registry, which knows a few more people."""
    files.desk.service.authenticator = Guests(files.desk.call)
    return files


@pytest.fixture
async def case(known: Any, fact: Any, person: Any) -> Case:
    """A person who consents, with a need that a fact shows."""
    return await made(known, fact, person)


async def made(known: Any, fact: Any, person: Any) -> Case:
    def told(number: str, code: str, facts: Any) -> Any:
        one = person(number, *facts)
        return type(one)(SubjectKind.PERSON, one.card | {"follow_code": code}, one.facts)

    letters = uuid4().hex[:16].upper().replace("A", "Z")
    files = _Telling(known, told, fact)
    found = Case(files, uuid4(), uuid4().hex, "-".join(letters[at : at + 4] for at in range(0, 16, 4)))
    consent, need = fact("consent.care-plan"), fact("health.chronic-illness")
    found.consent, found.fact = consent.fact_id, need.fact_id
    event = await found.told(consent, need)
    found.subject = event.subjects[0].subject_id
    return found


class _Telling:
    """The files, with how somebody is told of."""

    def __init__(self, files: Any, told: Any, fact: Any) -> None:
        self.files, self.desk, self.taken, self.told, self.fact = files, files.desk, files.taken, told, fact


async def test_a_plan_is_proposed_by_one_decided_by_three_and_read_by_its_team_which_is_logged(case: Case) -> None:
    assert (await case.propose()).body == {
        "plan_id": str(case.plan), "proposal_id": str(case.plan), "state": "proposed",
    }  # fmt: skip
    assert (await case.read()).status == 403  # there is no team yet
    for who in VOTERS:
        shown = await case.ask("GET", f"/api/plan-proposals/{case.plan}", who)
        assert (shown.status, shown.body["level"], shown.body["cause"]) == (200, 2, "chronic-illness-follow-up")
        assert (await case.vote(who)).status == 200
    for who, purpose in (("collector", "service"), ("labour", "service"), ("labour", "emergency")):
        shown = await case.read(who, purpose)
        assert (shown.status, shown.body["state"], shown.body["level"], shown.body["renewals"]) == (
            200,
            "in-force",
            2,
            0,
        )
        since, until = (datetime.fromisoformat(shown.body[name]) for name in ("since", "until"))
        assert until - since == timedelta(days=60)
    reads = await case.logged("read-plan")
    assert [(one["actor"], one["purpose"], one["legal_basis"], one["case"]) for one in reads[-3:]] == [
        ("collector-1", "service", "consent", str(case.plan)),
        ("officer-4", "service", "consent", str(case.plan)),
        ("officer-4", "emergency", "vital-interest", str(case.plan)),
    ]
    assert reads[-1]["policies"] == ["care-plan-for-its-team"]
    votes = await case.logged("decide-plan")
    assert [(one["actor"], one["outcome"]) for one in votes] == [
        ("reviewer-2", "agreed"), ("officer-3", "agreed"), ("officer-1", "agreed"),
    ]  # fmt: skip


async def test_nobody_but_the_team_reads_it_and_a_plan_that_is_not_there_is_answered_alike(case: Case) -> None:
    await case.entered()
    for who in NOT_OF_THE_TEAM + tuple(one for one in GUESTS if one.startswith("team-")):
        answer, nothing = await case.read(who), await case.read(who, plan=uuid4())
        assert (answer.status, answer.raw) == (403, nothing.raw), who
        assert (await case.read(who, "emergency")).status == 403, who
    for purpose in ("triage", "follow-up", "audit", "repair"):
        assert (await case.read("collector", purpose)).status == 403
    for who in (None, "nobody"):
        assert (await case.read(who)).status == 401
    for headers in ({"doorstep_case": ""}, {"doorstep_case": str(case.file_id)}):
        assert (await case.ask("GET", f"/api/plans/{case.plan}", "collector", **headers)).status == 403
    refused = {(one["actor"], one["outcome"]) for one in await case.desk.refusals(case.subject)}
    assert ("supervisor-1", "refused:forbidden") in refused
    assert ("police-1", "refused:forbidden") in refused


async def test_only_who_is_named_decides_for_the_agency_that_they_were_named_for(case: Case) -> None:
    await case.propose()
    outside = [one for one in NOT_OF_THE_TEAM if one not in VOTERS]
    for who in [*outside, "collector", "labour", *(one for one in GUESTS if one.startswith("panel-"))]:
        assert (await case.vote(who)).status == 403, who
        assert (await case.ask("GET", f"/api/plan-proposals/{case.plan}", who)).status == 403, who
    assert (await case.vote("health")).body["state"] == "waits"
    assert code_of(await case.vote("health")) == "decided-already"
    assert (await case.vote("health", proposal=uuid4())).status == 403


@pytest.mark.parametrize(
    "panel",
    [
        PANEL[:2],
        (("reviewer-1", "station"), *PANEL[1:]),
        (PANEL[0], ("officer-2", "justice"), PANEL[2]),
        (("officer-4", "labour"), *PANEL[1:]),
        (PANEL[0], PANEL[1], ("officer-3", "fire")),
        (PANEL[0], PANEL[1], ("officer-9", "health")),
    ],
    ids=["two", "the-proposer", "without-the-cause", "without-the-station", "one-twice", "no-third-side"],
)
async def test_a_panel_without_its_three_sides_or_with_the_proposer_is_refused(case: Case, panel: Any) -> None:
    answer = await case.propose(panel=seats(panel))
    assert (answer.status, code_of(answer), answer.body["errors"][0]["pointer"]) == (422, "panel-wrong", "/panel")
    assert await case.desk.rows("SELECT 1 FROM care_plan WHERE subject_id = :id", id=case.subject) == []


@pytest.mark.parametrize(
    ("more", "where"),
    [
        *(({"panel": seats((*PANEL, ("someone", never)))}, "/panel/3/agency")
          for never in ("police", "political-legal", "petitions", "community-office", "mayor")),
        *(({"cause": cause}, "/cause")
          for cause in ("mediation", "legal-aid", "wage-help", "protection-from-violence", "grievance", "debt")),
        ({"level": 0}, "/level"),
        ({"level": 4}, "/level"),
        ({"level": "urgent"}, "/level"),
        ({"team": ["collector-1"]}, "/team"),
        ({"team": ["collector-1", "collector-1"]}, "/team"),
        ({"note": "x"}, "/note"),
        ({"id": "8d2f0c1e-0000-4000-8000-000000000000"}, "/id"),
    ],
)  # fmt: skip
async def test_what_is_sent_wrong_is_one_clear_error(case: Case, more: Any, where: str) -> None:
    answer = await case.propose(**more)
    assert (answer.status, [one["pointer"] for one in answer.body["errors"]]) == (422, [where])
    assert await case.desk.rows("SELECT 1 FROM care_plan WHERE subject_id = :id", id=case.subject) == []


async def test_one_no_is_a_no_and_asking_again_takes_a_newer_fact(case: Case) -> None:
    await case.propose()
    assert (await case.vote("officer")).body["state"] == "waits"
    assert (await case.vote("health", agreed=False, grounds=["one-department-suffices"])).body["state"] == "not-agreed"
    assert code_of(await case.vote("another-reviewer")) == "proposal-over"
    assert (await case.read()).status == 403
    assert code_of(await case.propose(id=str(uuid7()))) == "fact-not-newer"
    case.fact, case.plan = await case.newer(), uuid7()
    await case.entered()


async def test_without_the_persons_own_consent_nothing_is_proposed(
    case: Case, known: Any, fact: Any, person: Any
) -> None:
    another = await made(known, fact, person)
    for consent in (case.fact, another.consent, uuid4()):
        assert code_of(await case.propose(consent=str(consent))) == "consent-missing"
    for cited in (another.fact, uuid4(), case.consent, await case.newer("wish.legal-aid"),
                  await case.newer("work.wages-unpaid"), await case.newer("wish.mediation")):  # fmt: skip
        assert code_of(await case.propose(fact=str(cited))) == "fact-unfit"
    await case.told(fact("consent.care-plan", value=False))
    assert code_of(await case.propose()) == "consent-missing"
    guardians = fact("consent.care-plan", said_by=SaidBy.GUARDIAN)
    await case.told(guardians)
    assert (await case.propose(consent=str(guardians.fact_id))).status == 201


async def test_nobody_else_proposes_and_there_is_one_plan_at_a_time(case: Case) -> None:
    for who in NOT_OF_THE_TEAM[2:-1]:
        assert (await case.propose(who)).status == (404 if who == "reviewer-elsewhere" else 403), who
    answers = await asyncio.gather(*(case.propose(id=str(uuid7())) for _ in range(3)))
    assert sorted(answer.status for answer in answers) == [201, 409, 409]
    assert {code_of(answer) for answer in answers if answer.status == 409} == {"plan-stands"}


async def test_of_three_who_decide_at_once_each_counts_and_a_command_again_is_answered_again(case: Case) -> None:
    await case.propose()
    answers = await asyncio.gather(*(case.vote(who) for who in VOTERS))
    assert sorted(answer.body["state"] for answer in answers) == ["agreed", "waits", "waits"]
    assert (await case.read()).status == 200
    assert (await case.propose()).body["state"] == "proposed"
    assert code_of(await case.propose(level=1)) == "id-reused"


@pytest.mark.parametrize(("level", "days"), [(1, 14), (2, 60), (3, 90)])
async def test_a_plan_lapses_by_itself_and_cannot_be_renewed_then(case: Case, level: int, days: int) -> None:
    await case.entered(level)
    await case.later(days - 0.01)
    assert (await case.read()).body["level"] == level
    before = await case.desk.counts()
    await case.later(0.01)
    over = await case.read()
    assert (over.status, code_of(over), b"level" in over.raw) == (410, "plan-over", False)
    assert code_of(await case.step("renew", fact=str(await case.newer()))) == "plan-over"
    assert await case.duties("collector") == []
    after = await case.desk.counts()
    assert {name for name in before if name.startswith(("plan", "care")) and before[name] != after[name]} == set()


async def test_a_renewal_cites_a_newer_fact_and_after_two_somebody_independent_decides(case: Case) -> None:
    await case.entered()
    assert code_of(await case.step("renew", fact=str(case.fact))) == "fact-not-newer"
    assert code_of(await case.step("renew")) == "fact-unfit"
    assert code_of(await case.step("change", fact=str(await case.newer()), level=2)) == "level-wrong"
    assert code_of(await case.step("renew", fact=str(await case.newer()), level=1)) == "level-wrong"
    await case.later(50)
    await case.renewed()
    await case.later(50)
    assert (await case.read()).body["renewals"] == 1
    await case.renewed()
    newer = str(await case.newer())
    for panel in (
        PANEL,
        [PANEL[0]],
        [("reviewer-1", "station")],
        [("officer-2", "justice")],
        [("collector-1", "station")],
    ):
        assert code_of(await case.step("renew", fact=newer, panel=seats(panel))) == "panel-wrong"
    await case.renewed(("independent",), [("reviewer-3", "station")])
    assert (await case.read()).body["renewals"] == 3
    newer = str(await case.newer())
    again = await case.step("renew", fact=newer, panel=seats([("reviewer-3", "station")]))
    assert code_of(again) == "panel-wrong"  # who decided once is not independent any more


async def test_the_level_is_changed_and_the_plan_is_left_by_a_panel(case: Case) -> None:
    await case.entered()
    changing, leaving = uuid7(), uuid7()
    more = {"level": 3, "fact": str(await case.newer()), "team": ["collector-2", "officer-4"]}
    assert (await case.step("change", proposal=changing, **more)).status == 201
    assert code_of(await case.step("leave")) == "proposal-waits"
    await case.agreed(changing)
    assert (await case.read("collector")).status == 403  # who was of the team is not any more
    shown = await case.read("another-collector")
    assert (shown.body["level"], shown.body["renewals"]) == (3, 1)
    assert (await case.step("leave", "another-collector", leaving)).status == 201
    assert (await case.vote("officer", proposal=leaving, agreed=False)).body["state"] == "not-agreed"
    assert (await case.read("labour")).status == 200
    leaving = uuid7()
    assert (await case.step("leave", "labour", leaving)).status == 201
    await case.agreed(leaving)
    assert (await case.read("labour")).status == 410


async def test_consent_that_is_taken_back_ends_it_at_once_and_for_good(
    case: Case, known: Any, fact: Any, person: Any
) -> None:
    elsewhere, told, coded = [await made(known, fact, person) for _ in range(3)]
    for one in (case, elsewhere, told, coded):
        await one.entered()
    await case.told(fact("consent.service", value=False))
    await elsewhere.told(fact("consent.care-plan", value=False), file_id=uuid4())
    command = {"id": str(uuid7())}
    path = f"/api/plans/{told.plan}/withdrawal"
    for who in ("reviewer", "supervisor", "police"):
        assert (await told.ask("POST", path, who, command, doorstep_purpose="resident-request")).status == 403
    assert (await told.ask("POST", path, "labour", command, doorstep_purpose="resident-request")).body[
        "state"
    ] == "over"
    assert (await coded.by_code("withdrawals")).body == {"heard": True}
    for one in (case, elsewhere, told, coded):
        assert (await one.read()).status == 410
    await case.told(fact("consent.care-plan"))
    assert (await case.read()).status == 410  # a consent of later is for a plan of later
    assert [one["outcome"] for one in await coded.logged("withdraw-from-plan")] == ["done"]


async def test_when_the_consent_is_no_longer_held_the_plan_is_over(case: Case) -> None:
    await case.entered()
    async with case.desk.database.transaction() as session:
        statement = "UPDATE fact SET refresh_by = now() WHERE fact_id = :id"
        await run(session, statement, {"id": case.consent})
    assert (await case.read()).status == 410


async def test_erasing_the_person_leaves_nothing_of_the_plan(case: Case) -> None:
    await case.entered()
    why, erasure = {"doorstep_purpose": "resident-request"}, uuid7()
    path = f"/api/files/{case.file_id}/subjects/{case.subject}/erasure"
    assert (await case.desk.call("POST", path, "reviewer", {"id": str(erasure)}, **why)).status == 202
    path = f"/api/erasures/{erasure}/confirmation"
    assert (await case.desk.call("POST", path, "supervisor", {"id": str(uuid7())}, **why)).status == 202
    for table in ("care_plan", "plan_proposal", "plan_member", "plan_meeting", "plan_contest"):
        assert await case.desk.rows(f"SELECT 1 FROM {table} WHERE plan_id = :id", id=case.plan) == []  # noqa: S608
    assert await case.desk.rows("SELECT 1 FROM plan_seat WHERE proposal_id = :id", id=case.plan) == []
    assert (await case.read()).status == 403
    assert (await case.propose()).status == 410


async def test_whom_the_person_keeps_from_their_matter_has_no_part_in_the_plan(case: Case) -> None:
    await case.entered()
    body = {"code": case.code, "staff": ["officer-4"]}
    assert (await case.desk.call("PUT", "/api/exclusions", None, body)).status == 200
    assert (await case.read("labour")).status == 403
    assert await case.duties("labour") == []
    assert (await case.read("collector")).status == 200


async def test_the_plan_its_seats_and_the_entry_in_the_log_are_one_transaction(case: Case) -> None:
    await case.propose()
    queries = (
        "SELECT CAST(xmin AS text) FROM care_plan WHERE plan_id = :id",
        "SELECT DISTINCT CAST(xmin AS text) FROM plan_seat WHERE proposal_id = :id",
        "SELECT CAST(xmin AS text) FROM command WHERE id = :id",
    )
    found = [await case.desk.value(query, id=case.plan) for query in queries]
    entries = "SELECT count(*) FROM outbox WHERE CAST(xmin AS text) = :at AND type = 'audit.entry-submitted.v1'"
    assert all(one == other for one, other in pairwise(found))
    assert await case.desk.value(entries, at=found[0]) == 1
    assert [one["outcome"] for one in await case.logged("propose-plan")] == ["done"]


async def test_a_meeting_counts_when_a_second_member_confirms_it(case: Case) -> None:
    await case.entered()
    meeting, at = uuid7(), datetime.now(UTC)
    before = {one["kind"]: one["due"] for one in await case.duties("collector")}
    body = {"id": str(meeting), "meeting": "contact", "at": at.isoformat()}
    path = f"/api/plans/{case.plan}/meetings"
    for who in ("reviewer", "health", "supervisor", "police"):
        assert (await case.ask("POST", path, who, body)).status == 403
    assert [(await case.ask("POST", path, "collector", body)).status for _ in range(2)] == [201, 201]
    assert {one["kind"]: one["due"] for one in await case.duties("collector")} == before  # it does not count yet
    [owed] = [one for one in await case.duties("labour") if one["kind"] == "confirm"]
    confirm = f"{path}/{owed['meeting_id']}/confirmation"
    own = await case.ask("POST", confirm, "collector", {"id": str(uuid7())})
    assert (own.status, code_of(own)) == (403, "second-member-must-confirm")
    assert (await case.ask("POST", f"{path}/{uuid4()}/confirmation", "labour", {"id": str(uuid7())})).status == 404
    assert (await case.ask("POST", confirm, "reviewer", {"id": str(uuid7())})).status == 403
    for _ in range(2):
        assert (await case.ask("POST", confirm, "labour", {"id": str(uuid7())})).body["state"] == "confirmed"
    after = {one["kind"]: one["due"] for one in await case.duties("labour")}
    assert datetime.fromisoformat(after["contact"]) == at + timedelta(days=7)
    assert {kind for kind in before if before[kind] != after[kind]} == {"contact"}
    assert [(one["meeting"], one["confirmed"]) for one in (await case.read()).body["meetings"]] == [("contact", True)]
    for wrong in ({"at": (at + timedelta(days=1)).isoformat()}, {"at": "2020-01-01T00:00:00Z"}, {"meeting": "search"}):
        assert (await case.ask("POST", path, "collector", body | {"id": str(uuid7())} | wrong)).status == 422


async def test_duties_are_dates_without_names_or_levels_and_the_callers_own(case: Case) -> None:
    await case.propose(level=1)
    assert [(one["kind"], one["proposal_id"]) for one in await case.duties("health")] == [("decide", str(case.plan))]
    await case.agreed()
    assert await case.duties("health") == []
    found = await case.duties("labour")
    assert {one["kind"] for one in found} == {"contact", "case-conference", "assessment", "renew"}
    assert {name for one in found for name in one} == {"kind", "plan_id", "due", "overdue"}
    assert [one["overdue"] for one in found] == [False] * 4
    await case.later(2)
    assert {one["kind"] for one in await case.duties("labour") if one["overdue"]} == {
        "contact", "case-conference", "assessment",
    }  # fmt: skip
    assert await case.duties("another-reviewer") == await case.duties("independent") == []
    for who in ("supervisor", "police", "resident", "community-officer", "portal", "team-as-police"):
        assert (await case.ask("GET", "/api/plans/duties", who)).status == 403
    assert (await case.ask("GET", "/api/plans/duties", "labour", doorstep_purpose="triage")).status == 403
    assert {one["actor"] for one in await case.logged("list-plan-duties")} == {"officer-3", "officer-4"}


async def test_what_the_person_contests_is_for_safety_alone_until_somebody_without_a_part_answers(case: Case) -> None:
    await case.entered()
    newer = str(await case.newer())
    proposal = uuid7()
    assert (await case.step("renew", proposal=proposal, fact=newer)).status == 201
    for _ in range(2):
        assert (await case.by_code("contests")).raw == (await case.by_code("contests", "0000-0000")).raw
    assert await case.desk.value("SELECT count(*) FROM plan_contest WHERE plan_id = :id", id=case.plan) == 1
    body = {"id": str(uuid7()), "meeting": "contact", "at": datetime.now(UTC).isoformat()}
    for answer in (
        await case.read(), await case.step("leave"), await case.vote("health", proposal=proposal),
        await case.ask("GET", f"/api/plan-proposals/{proposal}", "health"),
        await case.ask("POST", f"/api/plans/{case.plan}/meetings", "collector", body),
    ):  # fmt: skip
        assert (answer.status, code_of(answer)) == (403, "plan-contested")
    shown = await case.read("collector", "emergency")
    assert (shown.status, shown.body["contested"]) == (200, True)
    assert await case.duties("collector") == await case.duties("reviewer") == []  # the reviewer had proposed it
    [owed] = await case.duties("independent")
    contested_at = await case.desk.value("SELECT contested_at FROM plan_contest WHERE plan_id = :id", id=case.plan)
    assert (owed["kind"], datetime.fromisoformat(owed["due"])) == ("answer-contest", contested_at + timedelta(days=15))
    path, why = f"/api/plans/{case.plan}/contest", {"doorstep_purpose": "resident-request"}
    for who in ("reviewer", "another-reviewer", "reviewer-elsewhere", "supervisor", "collector", "health", "police"):
        assert (await case.ask("GET", path, who, **why)).status == 403, who
        assert (await case.answer(who, stays=True)).status == 403, who
    looked = await case.ask("GET", path, "independent", **why)
    assert (looked.status, looked.body["grounds"], looked.body["step"]) == (200, ["need-is-serious"], "enter")
    assert (await case.answer("independent", stays=True)).body["state"] == "stays"
    assert (await case.answer("another-independent", stays=False)).status == 403  # nothing waits any more
    assert (await case.read()).body["contested"] is False
    await case.agreed(proposal)


async def test_a_contest_that_is_upheld_ends_the_plan_and_one_unanswered_is_overdue(case: Case) -> None:
    await case.entered()
    await case.by_code("contests")
    await case.later(16)
    assert [one["overdue"] for one in await case.duties("independent")] == [True]
    await case.later(50)  # it lapsed meanwhile, and what is over is shown to nobody
    assert await case.duties("independent") == []
    assert (await case.answer("independent", stays=True)).status == 403
    await case.later(-66)
    assert (await case.answer("independent", stays=False)).body["state"] == "over"
    assert (await case.read("collector", "emergency")).status == 410
    assert [one["outcome"] for one in await case.logged("answer-plan-contest")] == ["refused:forbidden", "ended"]
    assert (await case.by_code("contests")).status == 202  # there is nothing to contest, and nobody is told
    assert await case.duties("independent") == []


async def test_level_cause_and_grounds_are_in_no_column_event_or_entry(case: Case) -> None:
    """Of a whole life of a plan: rows in the clear, what is published, what the log is told."""
    await case.entered(1)
    await case.renewed()
    await case.by_code("contests")
    await case.answer("independent", stays=True)
    told = await case.desk.logged(case.subject)
    assert {"propose-plan", "decide-plan", "contest-plan", "answer-plan-contest"} <= {one["action"] for one in told}
    hidden = ("chronic-illness-follow-up", "level", "need-is-serious", "cause-unresolved", "urgent")
    assert [(word, one) for one in told for word in hidden if word in str(one)] == []
    tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    for (table,) in await case.desk.rows(tables):
        for (row,) in await case.desk.rows(f"SELECT CAST(t AS text) FROM {table} t"):  # noqa: S608
            assert not [word for word in hidden if word in row and word != "level"], table
    columns = "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public'"
    assert not {name for (name,) in await case.desk.rows(columns) if "level" in name or "cause" in name}
    for table, key in (("plan_proposal", "plan_id"), ("plan_contest", "plan_id"), ("plan_seat", "proposal_id")):
        query = f"SELECT DISTINCT length(content) FROM {table} WHERE {key} = :id"  # noqa: S608
        assert len(await case.desk.rows(query, id=case.plan)) == 1  # filled up: a length tells nothing
    types = "SELECT DISTINCT topic FROM outbox WHERE subject = :plan OR key = :plan"
    assert await case.desk.rows(types, plan=case.plan) == []  # no topic ever hears of a plan


async def test_what_is_over_for_a_year_is_deleted_and_what_is_in_force_is_not(case: Case) -> None:
    await case.entered(3)
    async with case.desk.database.transaction() as session:
        await delete_old(session, now=datetime.now(UTC) + timedelta(days=80))
    assert (await case.read()).status == 200
    await case.later(366)
    async with case.desk.database.transaction() as session:
        await delete_old(session, now=datetime.now(UTC))
    assert (await case.read()).status == 403
