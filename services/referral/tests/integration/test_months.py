"""Whole months: what is counted in which, that a month is counted once, and that a supervisor alone is told."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from doorstep.contracts.codes import Department, Outcome, Purpose, Reason, Role, TaskState
from doorstep.contracts.intake import SafeContact
from doorstep.kit.auth import Principal
from doorstep.kit.testing import KIT_TABLES
from doorstep.referral.app import new_app
from doorstep.referral.domain.monthly import Line, Of, lines
from doorstep.referral.domain.months import Month
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.erasing import erase_subject
from doorstep.referral.operations.months import _count, read_months
from doorstep.referral.operations.ratings import rate_request

PATH = "/api/figures?from=2026-03&to=2026-03"
FOLLOW_UP = {"doorstep_purpose": "follow-up"}
MARCH = Month(2026, 3)
LATER = datetime(2026, 11, 1, tzinfo=UTC)
SUPERVISOR = Access(Principal("supervisor-1", Role.SUPERVISOR, "station", "station-7"), Purpose.FOLLOW_UP)
STATION, GAS = Line(Of.STATION), Line(Of.NEED_TYPE, Department.FIRE, "gas-leak")
SAFE = SafeContact(channel="phone", number="13900139000", hours_from="09:00", hours_to="11:00", cover="社区")


@pytest.fixture(scope="module")
async def front(new_desk):
    """The service's edge over a database of its own."""
    return await new_desk("referral", new_app, None, KIT_TABLES, "doorstep.referral:migrations")


@pytest.fixture
async def desk(front, desk_over):
    """A desk whose station has no requests yet."""
    async with front.database.transaction() as session:
        await session.execute(text("TRUNCATE request, task, task_transition, rating, outbox, month_told CASCADE"))
    return desk_over(front.database, front.vault)


async def told(desk, month=MARCH, station="station-7"):
    """The cells of the lines of a month that are told."""
    async with desk.database.transaction() as session:
        (found,) = await read_months(
            session, vault=desk.vault, access=SUPERVISOR, station=station, months=[month], now=LATER
        )
    assert [line for line, _ in found.lines] == list(lines())
    return {line: {name: count for name, count in one.items() if count is not None} for line, one in found.lines}


async def opened(desk, need_type, count, **how):
    """So many requests, opened in one transaction, by their tasks."""
    needs = [await desk.need(need_type, **how) for _ in range(count)]
    await desk.open(*needs)
    return [await desk.task(need.need_id) for need in needs]


async def test_a_month_tells_what_was_opened_answered_closed_and_rated_in_it(desk) -> None:
    begin, code = desk.now, "1111-2222-3333"
    tasks = await opened(desk, "gas-leak", 24, follow_code=code)
    early, others = tasks[:12], tasks[12:]
    for hours, some in ((0.5, early), (20, others)):
        desk.now = begin + timedelta(hours=hours)
        for task in some:
            await desk.step(task, TaskState.ACCEPTED)
    for task in tasks:
        done = desk.now = begin + timedelta(days=1 if task in early else 5)
        await desk.step(task, TaskState.COMPLETED, outcome=Outcome.SERVICE_PROVIDED)
        async with desk.database.transaction() as session:
            await rate_request(
                session, vault=desk.vault, follow_index=desk.vault.follow_index(code), ref=task.follow_ref,
                solved=True, stars=5 if task in early else 2, now=done + timedelta(days=3),
            )  # fmt: skip
    found = await told(desk)
    shares = {
        "opened": 24, "answered.within-1-hour": 12, "answered.within-24-hours": 12,
        "closed": 24, "due.in-time": 12, "due.late": 12, "took.within-1-day": 12, "took.within-7-days": 12,
        "rated.satisfied": 12, "rated.less": 12,
    }  # fmt: skip
    assert found[STATION].items() >= {("opened", 24), ("closed", 24), ("due.in-time", 12), ("due.late", 12)}
    assert found[STATION].items() <= shares.items()
    assert found[GAS] == {}  # the other departments have none, which would be told by telling this one
    assert await told(desk, MARCH.next) == {line: {} for line in lines()}
    assert await told(desk, station="station-9") == {line: {} for line in lines()}


async def test_a_rating_of_several_parts_is_counted_once_with_the_lead_unless_one_was_open_when_the_month_ended(
    desk,
) -> None:
    """It waits for the last part, so that it may come weeks after the lead was done, and after the month was told."""
    begin, code = desk.now, "1111-2222-3333"
    leads = [await desk.opened("minimum-living-allowance", follow_code=code) for _ in range(4)]
    parts = [await desk.add(lead, "labour", "work-training") for lead in leads]
    in_march, in_april = begin + timedelta(days=18), MARCH.next.begins + timedelta(days=2)
    done = [
        *((lead, begin + timedelta(days=1)) for lead in leads),
        *zip(parts[:3], (in_march, in_march, in_april), strict=True),
    ]
    for task, at in done:  # the fourth part is never
        desk.now = at
        await desk.step(task, TaskState.ACCEPTED, version=1)
        await desk.step(task, TaskState.COMPLETED, version=2, outcome=Outcome.SERVICE_PROVIDED)
    for lead, at in ((leads[0], in_march), (leads[2], in_april)):
        async with desk.database.transaction() as session:
            await rate_request(
                session, vault=desk.vault, follow_index=desk.vault.follow_index(code), ref=lead.follow_ref,
                solved=True, stars=5, now=at + timedelta(days=6),
            )  # fmt: skip
    async with desk.database.transaction() as session:
        march = (await _count(session, desk.vault, "station-7", MARCH))["closed"]
        april = (await _count(session, desk.vault, "station-7", MARCH.next))["closed"]
    assert {(one.department, one.need_type) for one in march} == {
        (Department.CIVIL_AFFAIRS, "minimum-living-allowance")
    }
    rated = Counter[str]()
    for one in march:
        rated[one.classes["rated"]] += one.count
    assert rated == {"satisfied": 1, "unrated": 1, "open-parts": 2}
    assert april == []


async def test_departments_and_need_types_are_told_where_others_are_as_large(desk) -> None:
    for need_type in ("gas-leak", "fire-check", "wage-help", "work-training", "housing-repair", "legal-aid"):
        await opened(desk, need_type, 21)
    found = await told(desk)
    assert found[STATION]["opened"] == 126
    told_of = {line.department: one.get("opened") for line, one in found.items() if line.of is Of.DEPARTMENT}
    assert told_of[Department.FIRE] == 42
    assert told_of[Department.CIVIL_AFFAIRS] is None
    assert set(found[STATION]) == {"opened"}  # all of them were answered late, or never: nobody was in time


async def test_violence_moves_no_number_wherever_it_went(desk) -> None:
    """Also where its type is not known to who counts, being of before or of tomorrow: it is confidential then."""
    for need_type in ("gas-leak", "wage-help", "legal-aid"):
        await opened(desk, need_type, 21)
    before = await told(desk)
    assert before[STATION]["opened"] == 63
    await opened(desk, "protection-from-violence", 12, safe_contact=SAFE)
    handed = (await opened(desk, "protection-from-violence", 1))[0]
    await desk.step(handed, TaskState.REJECTED, reason=Reason.NOT_OURS)
    await desk.hand_on(handed, "health")
    strange = await opened(desk, "protection-from-violence", 12)
    async with desk.database.transaction() as session:
        await session.execute(text("TRUNCATE month_told"))
        change = text("UPDATE request SET need_index = :index WHERE request_id = :id")
        for at, task in enumerate(strange):
            await session.execute(change, {"index": None if at % 2 else b"of-tomorrow", "id": task.request_id})
    assert await told(desk) == before


async def test_a_month_is_counted_once_and_stays_as_it_was_told(desk) -> None:
    tasks = await opened(desk, "gas-leak", 22)
    found = await told(desk)
    async with desk.database.transaction() as session:
        await erase_subject(session, vault=desk.vault, subject_id=tasks[0].subject_id, now=desk.now)
    await desk.station_step(tasks[1], TaskState.ENTERED_IN_ERROR)
    assert await told(desk) == found
    async with desk.database.transaction() as session:
        await session.execute(text("TRUNCATE month_told"))
    assert (await told(desk))[STATION]["opened"] == found[STATION]["opened"] - 2


async def test_of_two_who_count_a_month_at_once_one_is_kept_and_both_are_told_it(desk) -> None:
    await opened(desk, "gas-leak", 22)
    first, second = await asyncio.gather(told(desk), told(desk))
    assert first == second
    assert len(await desk.rows("SELECT * FROM month_told")) == 1


async def test_what_is_kept_of_a_month_names_nobody_and_holds_no_small_number(desk) -> None:
    await opened(desk, "gas-leak", 22)
    await opened(desk, "wage-help", 3)
    await told(desk)
    ((kept,),) = await desk.rows("SELECT told FROM month_told")
    assert {count for one in kept.values() for count in one.values() if count is not None} == {25}


async def test_a_supervisor_is_answered_every_line_and_class_and_nothing_of_a_request(front, desk) -> None:
    task = (await opened(desk, "gas-leak", 22))[0]
    answer = await front.call("GET", PATH, "supervisor", **FOLLOW_UP)
    assert answer.status == 200
    body = answer.body
    assert (body["station"], body["from"], body["to"], body["fewest"]) == ("station-7", "2026-03", "2026-03", 10)
    (month,) = body["months"]
    assert len(month["lines"]) == len(lines())
    assert month["lines"][0]["opened"]["count"] == 22
    shapes = {
        (tuple(line["opened"]["answered"]), *(tuple(line["closed"][way]) for way in ("due", "took", "rated")))
        for line in month["lines"]
    }
    assert len(shapes) == 1
    spoken = answer.raw.decode()
    for name in ("request_id", "record_id", "need_id", "subject_id", "file_id", "ref"):
        assert str(getattr(task, name)) not in spoken
    assert "violence" not in spoken


async def test_months_are_read_for_follow_up_by_a_supervisor_alone_and_that_is_logged(front, desk) -> None:
    before = len(await front.about("supervisor"))
    assert (await front.call("GET", PATH, "supervisor", **FOLLOW_UP)).status == 200
    (entry,) = (await front.about("supervisor"))[before:]
    assert (entry["action"], entry["purpose"], entry["policies"], entry["asked"]) == (
        "see-figures", "follow-up", ["supervisor-sees-figures"], "2026-03/2026-03",
    )  # fmt: skip
    for who in ("reviewer", "collector", "officer", "police", "resident", "community-officer"):
        assert (await front.call("GET", PATH, who, **FOLLOW_UP)).status == 403, who
    assert (await front.call("GET", PATH, "supervisor", doorstep_purpose="triage")).status == 403
    assert (await front.call("GET", PATH, None, **FOLLOW_UP)).status == 401


@pytest.mark.parametrize(
    ("ending", "media_type", "begins"),
    [
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", b"PK"),
        ("pdf", "application/pdf", b"%PDF-"),
    ],
)
async def test_the_same_table_is_a_file_for_the_same_people(front, desk, ending, media_type, begins) -> None:
    await opened(desk, "gas-leak", 22)
    path = PATH.replace("figures", f"figures.{ending}")
    answer = await front.call("GET", path, "supervisor", **FOLLOW_UP)
    assert answer.status == 200
    assert answer.headers["content-type"] == media_type
    assert answer.headers["content-disposition"] == f'attachment; filename="figures.{ending}"'
    assert answer.raw.startswith(begins)
    assert (await front.about("supervisor"))[-1]["asked"] == "2026-03/2026-03"
    for who in ("reviewer", "officer", "police", "resident"):
        assert (await front.call("GET", path, who, **FOLLOW_UP)).status == 403, who
    assert (await front.call("GET", path.replace("03", "3"), "supervisor", **FOLLOW_UP)).status == 422


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("from=2026-03", "to"),
        ("to=2026-03", "from"),
        ("from=2026-13&to=2026-03", "from"),
        ("from=2026-03&to=2026-3", "to"),
        ("from=%EF%BC%92026-03&to=2026-04", "from"),
        ("from=2026-04&to=2026-03", "to"),
        ("from=2026-03&to=2099-01", "to"),
        ("from=2024-03&to=2026-03", "from"),
    ],
)
async def test_what_are_no_settled_months_is_refused_where_it_is_wrong(front, query, where) -> None:
    answer = await front.call("GET", f"/api/figures?{query}", "supervisor", **FOLLOW_UP)
    assert answer.status == 422
    assert [one["pointer"] for one in answer.body["errors"]] == [f"/query/{where}"]
