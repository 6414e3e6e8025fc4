"""To protect a person, the resident is told later: by two people, for 30 days at most, and then of that too."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from uuid_utils.compat import uuid7

from doorstep.audit.domain.usage import Usage
from doorstep.audit.operations.deferring import approve_deferral
from doorstep.audit.operations.telling import see_by_codes, see_by_paper
from doorstep.contracts.codes import Action
from doorstep.kit.intents import staff_subject

PATH = "/api/usage-deferrals"
REVIEWER, SUPERVISOR = "reviewer station asks", "supervisor station asks"
AUDITOR, SECOND = "auditor audit-office agrees", "auditor audit-office agrees-too"


async def a_use(house, subject: UUID, case: UUID, **said) -> UUID:
    return await house.tell(Action.READ_RECORD, subject, who="reviewer station", service="intake", case=case, **said)


async def ask(house, subject: UUID, matter: UUID, who: str = REVIEWER, **more):
    body = {"id": str(uuid7()), "subject_id": str(subject), "case": str(matter), "reason": "danger-of-violence"}
    return await house.desk.call("POST", PATH, who, {**body, **more})


async def approve(house, deferral: str, who: str = AUDITOR):
    return await house.desk.call("POST", f"{PATH}/{deferral}/approval", who)


async def shown(house, subject: UUID, *, days: int = 0) -> list[Usage]:
    """What the code shows so many days from now."""
    async with house.desk.database.transaction() as session:
        return await see_by_codes(
            session,
            vault=house.vault,
            record=house.desk.service.record,
            codes=[house.vault.follow_index(house.vault.follow_code(subject))],
            now=datetime.now(UTC) + timedelta(days=days),
        )


async def test_it_hides_one_case_of_one_person_once_it_is_approved_and_for_thirty_days(house):
    person, neighbour, case = uuid4(), uuid4(), uuid4()
    hidden = await a_use(house, person, case)
    both = await house.tell(Action.READ_RECORD, person, neighbour, who="reviewer station", case=case)
    came_of_it = await a_use(house, person, uuid4(), record=case)
    other = await a_use(house, person, uuid4())
    asked = await ask(house, person, case)
    assert asked.status == 201
    assert asked.body["approved_at"] is None
    assert len(await shown(house, person)) == 4
    approved = await approve(house, asked.body["id"])
    assert approved.status == 200
    lapses = datetime.fromisoformat(approved.body["lapses_at"])
    assert lapses - datetime.fromisoformat(asked.body["asked_at"]) == timedelta(days=30)
    assert [one.entry_id for one in await shown(house, person)] == [other]
    assert [one.entry_id for one in await shown(house, person, days=29)] == [other]
    assert [one.entry_id for one in await shown(house, neighbour)] == [both]
    again = [one.entry_id for one in await shown(house, person, days=30)]
    assert set(again) == {hidden, both, came_of_it, other}


async def test_the_deferral_itself_is_told_exactly_when_what_it_hides_is(house):
    person = uuid4()
    case = uuid4()
    await a_use(house, person, case)

    async def told(days: int) -> list[str]:
        async with house.desk.database.transaction() as session:
            found = await see_by_paper(
                session, vault=house.vault, record=house.desk.service.record, principal=await _portal(house),
                policies=(), number=NUMBER, now=datetime.now(UTC) + timedelta(days=days),
            )  # fmt: skip
        return [one.reason.en.split(";")[0].strip(".") for one in found]

    await _register(house, person)
    use, asking, agreeing = (
        "Read a record about you",
        "Asked that you be told later, to protect somebody",
        "Agreed that you be told later, to protect somebody",
    )
    asked = await ask(house, person, case)
    assert await told(0) == [asking, use]
    await approve(house, asked.body["id"])
    assert await told(0) == await told(29) == []
    assert await told(30) == [agreeing, asking, use]


NUMBER = "11010119900307002X"


async def _portal(house):
    return await house.desk.service.authenticator.verify("portal national portal-1")


async def _register(house, subject: UUID) -> None:
    """Have the resident found by a paper, as if the registry had told of it."""
    index, person = house.vault.blind_index("audit.paper", NUMBER), house.vault.blind_index("audit.person", "1")
    async with house.desk.database.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO resident (subject, holder, person, paper)"
                " SELECT subject, holder, :person, :paper FROM follower WHERE code = :code"
            ),
            {"person": person, "paper": index, "code": house.vault.follow_index(house.vault.follow_code(subject))},
        )


async def test_both_steps_are_logged_under_the_resident_with_who_and_why(house):
    person, case = uuid4(), uuid4()
    await a_use(house, person, case)
    asked = await ask(house, person, case, SUPERVISOR)
    await approve(house, asked.body["id"])
    logged = sorted((one.action, one.actor, one.outcome, one.case) for one in await house.details(person))
    assert logged[:2] == [
        ("approve-deferral", "agrees", "danger-of-violence", str(case)),
        ("ask-to-defer", "asks", "danger-of-violence", str(case)),
    ]


async def test_both_commands_may_be_sent_twice_and_change_nothing_the_second_time(house):
    person, case = uuid4(), uuid4()
    await a_use(house, person, case)
    command = str(uuid7())
    first, again = await ask(house, person, case, id=command), await ask(house, person, case, id=command)
    assert (first.status, first.raw) == (again.status, again.raw)
    assert (await ask(house, person, case, id=command, reason="child-at-risk")).status == 409
    assert (await ask(house, person, case, "reviewer station another", id=command)).status == 409
    approvals = await asyncio.gather(*(approve(house, command) for _ in range(3)))
    assert {one.status for one in approvals} == {200}
    assert len({one.raw for one in approvals}) == 1
    assert len(await house.details(person)) == 3
    assert len(await house.desk.rows("SELECT 1 FROM deferral")) == 1


async def test_who_asks_does_not_approve_and_no_second_auditor_approves_again(house):
    person, case = uuid4(), uuid4()
    await a_use(house, person, case)
    asked = (await ask(house, person, case)).body["id"]
    own = await approve(house, asked, "auditor audit-office asks")
    assert (own.status, own.body["type"]) == (403, "urn:doorstep:problem:second-person-must-approve")
    caller = await house.desk.service.authenticator.verify("auditor audit-office asks")
    [refused] = await house.details(staff_subject(house.vault, caller))
    assert (refused.action, refused.outcome) == ("approve-deferral", "refused:second-person-must-approve")
    assert refused.policies == ("proposer-never-decides",)
    assert len(await shown(house, person)) == 1
    assert (await approve(house, asked)).status == 200
    second = await approve(house, asked, SECOND)
    assert (second.status, second.body["type"]) == (409, "urn:doorstep:problem:deferral-approved")
    unknown = await approve(house, str(uuid4()))
    assert (unknown.status, unknown.body["type"]) == (404, "urn:doorstep:problem:deferral-unknown")


async def test_also_without_the_policy_the_table_holds_no_approval_of_who_asked(house, blind):
    person, case = uuid4(), uuid4()
    await a_use(house, person, case)
    asked = (await ask(house, person, case)).body["id"]
    principal = await house.desk.service.authenticator.verify("auditor audit-office asks")
    with pytest.raises(IntegrityError, match="deferral"):
        async with house.desk.database.transaction() as session:
            await approve_deferral(
                session, vault=house.vault, policy=blind, record=house.desk.service.record, principal=principal,
                deferral_id=UUID(asked), now=datetime.now(UTC),
            )  # fmt: skip
    assert len(await shown(house, person)) == 1
    assert (await approve(house, asked)).status == 200


async def test_a_lapsed_one_is_not_approved_and_one_of_an_erased_person_neither(house):
    person, case = uuid4(), uuid4()
    await a_use(house, person, case)
    late, gone = [(await ask(house, person, case)).body["id"] for _ in range(2)]
    async with house.desk.database.transaction() as session:
        await session.execute(
            text("UPDATE deferral SET asked_at = asked_at - interval '30 days' WHERE deferral_id = :id"), {"id": late}
        )
    answer = await approve(house, late)
    assert (answer.status, answer.body["type"]) == (409, "urn:doorstep:problem:deferral-lapsed")
    await house.vault.destroy(person)
    assert (await approve(house, gone)).status == 410


async def test_only_what_the_station_knows_is_deferred(house):
    person, case = uuid4(), uuid4()
    await a_use(house, person, case)
    elsewhere = uuid4()
    await house.tell(Action.ASSERT_FACTS, elsewhere, case=case)
    for subject, matter in ((person, uuid4()), (elsewhere, case), (uuid4(), case)):
        answer = await ask(house, subject, matter)
        assert (answer.status, answer.body["type"]) == (404, "urn:doorstep:problem:nothing-to-defer")
    assert await house.desk.rows("SELECT 1 FROM deferral") == []


@pytest.mark.parametrize(
    "who",
    ["collector station x", "officer justice x", "auditor audit-office x", "operator station x", "reviewer justice x",
     "portal national x", "supervisor police x"],
)  # fmt: skip
async def test_nobody_else_asks(house, who):
    answer = await ask(house, uuid4(), uuid4(), who)
    assert (answer.status, answer.body["type"]) == (403, "urn:doorstep:problem:forbidden")


@pytest.mark.parametrize("who", [REVIEWER, SUPERVISOR, "operator station x", "auditor police x"])
async def test_nobody_but_an_auditor_approves(house, who):
    assert (await approve(house, str(uuid4()), who)).status == 403


@pytest.mark.parametrize(
    "change",
    [
        {"reason": "convenience"},
        {"reason": None},
        {"id": str(uuid4())},
        {"case": "7"},
        {"subject_id": None},
        {"more": 1},
    ],
)
async def test_a_body_that_is_wrong_is_told_so(house, change):
    answer = await ask(house, uuid4(), uuid4(), **change)
    assert (answer.status, answer.body["type"]) == (422, "urn:doorstep:problem:invalid")


async def test_the_table_names_neither_person_nor_case_nor_why(house):
    person, case = uuid4(), uuid4()
    await a_use(house, person, case)
    await approve(house, (await ask(house, person, case)).body["id"])
    [row] = await house.desk.rows("SELECT * FROM deferral")
    kept = repr([bytes(one) if isinstance(one, memoryview) else one for one in row])
    for form in (
        str(person),
        str(case),
        repr(person.bytes)[2:-1],
        repr(case.bytes)[2:-1],
        "violence",
        "asks",
        "agrees",
    ):
        assert form not in kept
