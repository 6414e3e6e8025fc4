"""A file is opened in an emergency to one person for an hour; a second is told, a third reviews it, all is logged."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY
from uuid_utils.compat import uuid7

from doorstep.contracts.codes import Role
from doorstep.contracts.registry import FileOpened
from doorstep.kit.auth import Principal
from doorstep.kit.db import Database
from doorstep.kit.edge import open_file
from doorstep.kit.outbox import add
from doorstep.registry.operations import breaking_glass
from doorstep.registry.operations.breaking_glass import count_overdue

STAFF = ("collector", "reviewer", "supervisor")
NAMED = "supervisor-1"
OTHERS = ["reviewer", "supervisor", "another-collector", "reviewer-elsewhere", "officer", "police", "resident"]


class Glass:
    """Those who open files in an emergency, are told of it, and review it."""

    def __init__(self, files: Any) -> None:
        self.files, self.desk = files, files.desk

    async def open(self, file_id: UUID, who: str | None = "collector", opening: UUID | None = None, **more: Any) -> Any:
        body = {"id": str(opening or uuid7()), "reason": "danger-to-life", "second": NAMED, **more}
        return await self.desk.call("POST", f"/api/files/{file_id}/break-glass", who, body)

    async def opened(self, file_id: UUID, who: str = "collector", **more: Any) -> UUID:
        opening = uuid7()
        assert (await self.open(file_id, who, opening, **more)).status == 201
        return opening

    async def read(self, file_id: UUID, case: object, who: str | None = "collector", purpose: str = "emergency") -> Any:
        headers = {"doorstep_purpose": purpose, "doorstep_case": str(case)}
        return await self.desk.call("GET", f"/api/files/{file_id}", who, **headers)

    async def say(self, opening: UUID, what: str, who: str | None, command: UUID | None = None, **more: Any) -> Any:
        body = {"id": str(command or uuid7()), **more}
        return await self.desk.call("POST", f"/api/break-glass/{opening}/{what}", who, body)

    async def review(self, opening: UUID, who: str | None = "reviewer", finding: str = "justified", **more: Any) -> Any:
        return await self.say(opening, "review", who, finding=finding, **more)

    async def notices(self, who: str) -> dict[str, Any]:
        answer = await self.desk.call("GET", "/api/break-glass", who)
        assert answer.status == 200
        return {one["break_glass_id"]: one for one in answer.body["notices"]}

    async def told(self, file_id: UUID) -> list[FileOpened]:
        query = "SELECT body FROM outbox WHERE topic = 'registry.openings' AND key = :key ORDER BY number"
        return [FileOpened.model_validate_json(bytes(row.body)) for row in await self.desk.rows(query, key=file_id)]

    async def later(self, opening: UUID, hours: int) -> None:
        """Let hours pass since a file was opened."""
        async with self.desk.database.transaction() as session:
            for table, times in (("opened_file", ("until",)), ("break_glass", ("until", "opened_at"))):
                moved = ", ".join(f"{one} = {one} - interval '{hours} hours'" for one in times)
                name = "opening_id" if table == "opened_file" else "break_glass_id"
                await breaking_glass.run(session, f"UPDATE {table} SET {moved} WHERE {name} = :id", {"id": opening})  # noqa: S608


@pytest.fixture
def glass(files: Any) -> Glass:
    return Glass(files)


@pytest.fixture
async def file(files: Any, person: Any, dwelling: Any, fact: Any) -> Any:
    """The record of a file that nobody opened yet."""
    return await files.taken(person("", fact("health.disability")), dwelling(fact("dwelling.gas-hose", "expired")))


@pytest.mark.parametrize("who", STAFF)
async def test_a_file_is_read_by_who_opened_it_and_every_read_is_logged_with_that_case(files, glass, file, who):
    second = NAMED if who != "supervisor" else "reviewer-1"
    opening = await glass.opened(file.file_id, who, second=second)
    shown = await glass.read(file.file_id, opening, who)
    assert shown.status == 200
    codes = {fact["code"] for subject in shown.body["subjects"] for fact in subject["facts"]}
    assert codes == {"health.disability", "dwelling.gas-hose"}  # an emergency shows all
    for subject in file.subjects:
        said = [
            (one["action"], one["outcome"], one["purpose"], one["legal_basis"])
            for one in await files.desk.logged(subject.subject_id)
            if one.get("case") == str(opening)
        ]
        assert said == [
            ("break-glass", "danger-to-life", "emergency", "vital-interest"),
            ("read-file", "done", "emergency", "vital-interest"),
        ]


async def test_it_opens_to_nobody_else_no_other_file_and_for_no_other_purpose(glass, files, file, person):
    opening = await glass.opened(file.file_id)
    another = await files.taken(person())
    for who in OTHERS:
        assert (await glass.read(file.file_id, opening, who)).status in (403, 404), who
    assert (await glass.read(another.file_id, opening)).body["type"] == "urn:doorstep:problem:case-unrelated"
    assert (await glass.read(file.file_id, file.file_id)).status == 403
    assert (await glass.read(file.file_id, uuid4())).body["type"] == "urn:doorstep:problem:case-unrelated"
    for purpose in ("triage", "follow-up", "service", "audit", "repair"):
        assert (await glass.read(file.file_id, opening, purpose=purpose)).status == 403
    reviewing = await glass.opened(file.file_id, "reviewer")
    assert (await glass.read(file.file_id, reviewing, "reviewer", "triage")).status == 403


async def test_it_closes_after_an_hour_whoever_looks_at_the_clock(glass, file):
    opening = await glass.opened(file.file_id)
    [told] = await glass.told(file.file_id)
    assert (told.until - told.opened_at).total_seconds() == 3600
    assert (await glass.read(file.file_id, opening)).status == 200
    await glass.later(opening, 1)
    assert (await glass.read(file.file_id, opening)).body["type"] == "urn:doorstep:problem:case-unrelated"
    await glass.opened(file.file_id)
    assert await glass.desk.rows("SELECT 1 FROM opened_file WHERE opening_id = :id", id=opening) == []


async def test_who_may_not_opens_nothing_and_it_is_logged(glass, files, file):
    for who in ("reviewer-elsewhere", "officer", "police", "resident", "homeless-collector"):
        answer = await glass.open(file.file_id, who)
        assert answer.status == (404 if who == "reviewer-elsewhere" else 403)
    refused = [one["outcome"] for one in await files.desk.refusals(file.subjects[0].subject_id)]
    assert refused == ["refused:file-unknown", *["refused:forbidden"] * 4]
    assert await glass.told(file.file_id) == []


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.OPERATOR, Role.OFFICER, Role.DEPARTMENT_SYSTEM, Role.PORTAL])
async def test_no_other_role_opens_a_file_even_at_the_station(glass, file, role, monkeypatch):
    async def verify(_: str) -> Principal:
        return Principal("somebody", role, "station", "station-7")

    monkeypatch.setattr(glass.desk.call, "verify", verify)
    assert (await glass.open(file.file_id, "whoever")).status == 403


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ({"second": "collector-1"}, "/second"),
        ({"second": ""}, "/second"),
        ({"second": "a\u0000b"}, "/second"),
        ({"second": 7}, "/second"),
        ({"reason": "curiosity"}, "/reason"),
        ({"reason": "张三病危"}, "/reason"),
        ({"id": str(uuid4())}, "/id"),
        ({"note": "x"}, "/note"),
    ],
)
async def test_what_is_sent_wrong_is_one_clear_error_and_opens_nothing(glass, file, more, where):
    answer = await glass.open(file.file_id, **more)
    assert (answer.status, [one["pointer"] for one in answer.body["errors"]]) == (422, [where])
    assert "张三" not in answer.raw.decode()
    assert await glass.told(file.file_id) == []


async def test_the_same_command_again_opens_once_and_another_by_its_id_nothing(glass, file):
    opening = uuid7()
    first, again = await glass.open(file.file_id, opening=opening), await glass.open(file.file_id, opening=opening)
    assert (first.status, first.body) == (again.status, again.body)
    assert len(await glass.told(file.file_id)) == 1
    assert (await glass.open(file.file_id, opening=opening, reason="child-at-risk")).status == 409
    stolen = await glass.open(file.file_id, "reviewer", opening)
    assert stolen.status == 409
    assert (await glass.read(file.file_id, opening, "reviewer")).status == 403
    await glass.later(opening, 2)
    assert (await glass.open(file.file_id, opening=opening)).body == first.body  # told again, and not opened again
    assert (await glass.read(file.file_id, opening)).status == 403


async def test_two_at_once_open_it_each_for_themselves(glass, file):
    openings = {"collector": uuid7(), "another-collector": uuid7()}
    twice = [glass.open(file.file_id, who, one) for who, one in openings.items() for _ in range(2)]
    assert {answer.status for answer in await asyncio.gather(*twice)} == {201}
    assert len(await glass.told(file.file_id)) == 2
    for who, opening in openings.items():
        assert (await glass.read(file.file_id, opening, who)).status == 200
        other = next(one for name, one in openings.items() if name != who)
        assert (await glass.read(file.file_id, other, who)).status == 403


async def test_the_second_person_is_told_at_once_without_content_and_says_so(glass, file):
    opening = await glass.opened(file.file_id)
    notice = (await glass.notices("supervisor"))[str(opening)]
    assert (notice["opened_by"], notice["second"], notice["reason"]) == ("collector-1", NAMED, "danger-to-life")
    assert notice["file_id"] == str(file.file_id)
    assert "王秀英" not in str(notice)
    for who in ("collector", "reviewer", "another-collector"):
        assert (await glass.say(opening, "acknowledgement", who)).status == 403
    first = await glass.say(opening, "acknowledgement", "supervisor")
    again = await glass.say(opening, "acknowledgement", "supervisor")
    assert (first.status, again.body) == (200, first.body)
    assert (await glass.notices("collector"))[str(opening)]["acknowledged_at"]


async def test_others_list_nothing_of_it(glass, file):
    opening = str(await glass.opened(file.file_id))
    assert opening not in await glass.notices("another-collector")
    assert opening not in await glass.notices("reviewer-elsewhere")
    assert opening in await glass.notices("reviewer")
    for who in ("officer", "police", "resident", "homeless-collector"):
        assert (await glass.desk.call("GET", "/api/break-glass", who)).status == 403


async def test_a_third_person_reviews_it_once_and_neither_of_the_two(glass, file):
    opening = await glass.opened(file.file_id, "reviewer")
    for who, code in (("reviewer", "third-person-must-review"), ("supervisor", "third-person-must-review"),
                      ("another-collector", "forbidden"), ("police", "forbidden"),
                      ("reviewer-elsewhere", "break-glass-unknown")):  # fmt: skip
        assert (await glass.review(opening, who)).body["type"] == f"urn:doorstep:problem:{code}", who
    command = uuid7()
    reviewed = await glass.review(opening, "collector-as-reviewer", command=command)
    again = await glass.review(opening, "collector-as-reviewer", command=command)
    assert (reviewed.status, again.body) == (200, reviewed.body)
    assert (await glass.review(opening, "collector-as-reviewer", "not-justified")).status == 409
    assert (await glass.notices("supervisor"))[str(opening)]["finding"] == "justified"
    assert (await glass.review(uuid4(), "reviewer")).status == 404


async def test_of_two_reviews_at_once_one_stands(glass, file, monkeypatch):
    opening = await glass.opened(file.file_id)
    findings = ("justified", "not-justified")
    answers = await asyncio.gather(*(glass.review(opening, "reviewer", one) for one in findings))
    assert sorted(answer.status for answer in answers) == [200, 409]


async def test_without_a_review_it_is_overdue_after_a_day_by_list_and_metric(glass, file):
    opening, other = await glass.opened(file.file_id), await glass.opened(file.file_id)
    await glass.later(opening, 25)
    await glass.later(other, 23)
    notices = await glass.notices("supervisor")
    assert (notices[str(opening)]["overdue"], notices[str(other)]["overdue"]) == (True, False)
    async with glass.desk.database.transaction() as session:
        before = await count_overdue(session)
    assert REGISTRY.get_sample_value("doorstep_break_glass_overdue") == before >= 1
    assert (await glass.review(opening)).status == 200
    async with glass.desk.database.transaction() as session:
        assert await count_overdue(session) == before - 1
    assert (await glass.notices("supervisor"))[str(opening)]["overdue"]  # it was reviewed, and late


@pytest.mark.parametrize("at", ["run", "open_file", "add", "_log"])
async def test_killed_between_two_lines_nothing_is_open_told_or_logged(glass, files, file, at, monkeypatch):
    class Killed(BaseException):
        """What a process does not survive."""

    async def die(*_: Any, **__: Any) -> None:
        raise Killed

    def die_now(*_: Any, **__: Any) -> None:
        raise Killed

    opening = uuid7()
    if at == "add":
        monkeypatch.setattr(breaking_glass.outbox, "add", die_now)
    else:
        monkeypatch.setattr(breaking_glass, at, die)
    with pytest.raises(Killed):
        await glass.open(file.file_id, opening=opening)
    monkeypatch.undo()
    assert await glass.told(file.file_id) == []
    assert (await glass.read(file.file_id, opening)).status == 403
    assert str(opening) not in await glass.notices("supervisor")
    assert (await glass.open(file.file_id, opening=opening)).status == 201  # the client asks again
    assert (await glass.read(file.file_id, opening)).status == 200
    assert add is breaking_glass.outbox.add


async def test_without_the_log_nothing_is_opened(glass, file, monkeypatch):
    mine = glass.desk.service.database
    broken = Database("postgresql+asyncpg://nobody@127.0.0.1:1/nothing", service="registry")
    monkeypatch.setattr(glass.desk.service, "database", broken)
    assert (await glass.open(file.file_id)).status == 503
    monkeypatch.setattr(glass.desk.service, "database", mine)
    await broken.close()
    assert await glass.told(file.file_id) == []


async def test_another_service_that_heard_of_it_twice_opens_it_once_and_until_the_same_time(glass, file):
    opening = await glass.opened(file.file_id)
    [told] = await glass.told(file.file_id)
    async with glass.desk.database.transaction() as session:
        await open_file(session, replace_until(told))
    assert await glass.desk.value("SELECT until FROM opened_file WHERE opening_id = :id", id=opening) == told.until


def replace_until(told: FileOpened) -> FileOpened:
    return told.model_copy(update={"until": told.until.replace(year=told.until.year + 1)})


async def test_staff_who_opened_a_file_are_named_under_their_own_key_alone(glass, file):
    opening = await glass.opened(file.file_id)
    [row] = await glass.desk.rows("SELECT * FROM break_glass WHERE break_glass_id = :id", id=opening)
    [event] = await glass.desk.rows("SELECT body FROM outbox WHERE topic = 'registry.openings' AND key = :key",
                                    key=file.file_id)  # fmt: skip
    for name in ("collector-1", NAMED):
        assert name.encode() not in bytes(row.people) + bytes(event.body)
        assert name not in str([value for value in row if not isinstance(value, bytes)])
