"""Templates of outcomes: published by the head of an office, used by steps, shown to whoever sees the outcome."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from uuid_utils.compat import uuid7

from doorstep.contracts.codes import Role, TaskState
from doorstep.kit.auth import NotAuthenticated, Principal
from doorstep.kit.testing import KIT_TABLES
from doorstep.referral.app import new_app

LABOUR = "/api/departments/labour"
TEMPLATES = f"{LABOUR}/templates"
NEED = "wage-help"
PEOPLE = {
    "reviewer": Principal("reviewer-1", Role.REVIEWER, "station", "station-7"),
    "police": Principal("police-1", Role.REVIEWER, "police", "station-7"),
    "officer": Principal("officer-1", Role.OFFICER, "labour"),
    "head": Principal("head-1", Role.OFFICER, "labour", heads=True),
    "another-head": Principal("head-2", Role.OFFICER, "labour", heads=True),
    "head-of-health": Principal("head-3", Role.OFFICER, "health", heads=True),
    "system": Principal("system-1", Role.DEPARTMENT_SYSTEM, "labour"),
}
SAID = {
    "need_type": NEED, "outcome": "advice-given", "zh": "{department}已于{day}就“{need}”答复。",
    "en": "{department} advised on {need} on {day}.",
}  # fmt: skip


class Tokens:
    """Stands in for the authenticator: the token is a name."""

    async def verify(self, token: str) -> Principal:
        if token not in PEOPLE:
            raise NotAuthenticated
        return PEOPLE[token]


@pytest.fixture(scope="module")
async def front(new_desk):
    """The service's edge over a database of its own."""
    made = await new_desk("referral", new_app, None, KIT_TABLES, "doorstep.referral:migrations")
    made.service.authenticator = Tokens()
    return made


@pytest.fixture
async def desk(front, desk_over):
    """A desk of a department that has published nothing."""
    async with front.database.transaction() as session:
        await session.execute(text("TRUNCATE outcome_template"))
    return desk_over(front.database, front.vault)


def code(answer: Any) -> str:
    return answer.body["type"].rpartition(":")[2]


async def publish(front, template: str, who: str = "head", **said: Any) -> Any:
    body = {name: value for name, value in (SAID | said).items() if value is not None}
    return await front.call("PUT", f"{TEMPLATES}/{template.replace('@', '/')}", who, body)


async def offered(front, who: str = "officer") -> list[str]:
    answer = await front.call("GET", TEMPLATES, who)
    assert answer.status == 200, answer.body
    return [one["template"] for one in answer.body["templates"]]


async def step(front, task: Any, version: int, to: str, **said: Any) -> Any:
    path, body = f"{LABOUR}/requests/{task.ref}/transitions", {"id": str(uuid7()), "to": to, **said}
    return await front.call("POST", path, "officer", body, if_match=f'"{version}"')


async def end(front, name: str, who: str = "head") -> Any:
    return await front.call("POST", f"{TEMPLATES}/{name}/end", who, {"id": str(uuid7())})


async def test_the_newest_version_is_in_force_until_it_is_ended(front, desk) -> None:
    assert await offered(front) == []
    for _ in range(2):  # the same again is the same
        answer = await publish(front, "advised@1")
        assert (answer.status, answer.body) == (200, {"template": "advised@1", **SAID})
    refused = await publish(front, "advised@1", zh="已答复。")
    assert (refused.status, code(refused)) == (409, "template-taken")
    assert "2" in refused.body["detail"]
    assert code(await publish(front, "advised@3")) == "template-taken"
    assert code(await publish(front, "fresh@2")) == "template-taken"
    assert (await publish(front, "advised@2", zh="已答复。")).status == 200
    assert (
        await publish(front, "refused@1", outcome=None, reason="not-eligible", need_type="work-training")
    ).status == 200
    assert await offered(front) == ["advised@2", "refused@1"]
    assert (await end(front, "advised")).body == {"code": "advised"}
    assert code(await end(front, "advised")) == "template-unknown"
    assert await offered(front) == ["refused@1"]
    assert (await publish(front, "advised@3")).status == 200
    assert await offered(front) == ["advised@3", "refused@1"]


async def test_of_two_who_publish_a_version_at_once_one_is_told_that_it_is_taken(front, desk) -> None:
    answers = await asyncio.gather(
        publish(front, "advised@1"), publish(front, "advised@1", "another-head", zh="已办。")
    )
    assert sorted(one.status for one in answers) == [200, 409]
    assert await offered(front) == ["advised@1"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"zh": "请拨打 13800138000"},
        {"en": "call 138-0013-8000"},
        {"zh": "{name} 您好"},
        {"zh": ""},
        {"en": "x" * 301},
        {"reason": "not-ours"},
        {"outcome": None},
        {"outcome": "won"},
        {"need_type": "lottery"},
        {"name": "王秀英"},
    ],
)
async def test_a_template_that_could_name_somebody_or_tells_nothing_is_refused(front, desk, wrong) -> None:
    answer = await publish(front, "advised@1", **wrong)
    assert answer.status == 422, answer.body
    assert await offered(front) == []


async def test_a_name_that_is_none_is_refused(front, desk) -> None:
    for wrong in ("Advised@1", "a@0", "a@x", "a" * 41 + "@1", "%E7%8E%8B@1"):
        assert (await publish(front, wrong)).status == 422, wrong


async def test_only_the_head_of_an_office_publishes_and_only_the_department_sees(front, desk) -> None:
    for who in ("officer", "system", "head-of-health", "reviewer", "police"):
        assert (await publish(front, "advised@1", who)).status == 403, who
        assert (await end(front, "advised", who)).status == 403, who
    assert (await publish(front, "advised@1")).status == 200
    for who in ("head-of-health", "reviewer", "police"):
        assert (await front.call("GET", TEMPLATES, who)).status == 403, who
    assert await offered(front, who="system") == ["advised@1"]


async def test_a_step_by_a_template_says_its_words_to_whoever_sees_the_outcome(front, desk) -> None:
    await publish(front, "advised@1")
    task = await desk.opened(NEED)
    assert (await step(front, task, 1, "accepted")).status == 200
    for wrong, told in (("other@1", "template-unknown"), ("advised@2", "template-unknown")):
        refused = await step(front, task, 2, "completed", outcome="advice-given", template=wrong)
        assert (refused.status, code(refused)) == (422, told)
    unfit = await step(front, task, 2, "completed", outcome="granted", template="advised@1")
    assert (unfit.status, code(unfit)) == (422, "template-unfit")
    for none in ("advised", "advised@0", "advised@1;"):
        assert (await step(front, task, 2, "completed", outcome="advice-given", template=none)).status == 422
    assert (await step(front, task, 2, "completed", outcome="advice-given", template="advised@1")).status == 200
    await publish(front, "advised@2", zh="已答复。")
    await end(front, "advised")
    read = {"doorstep_purpose": "service", "doorstep_case": str(task.ref)}
    request = await front.call("GET", f"{LABOUR}/requests/{task.ref}", "officer", **read)
    last = request.body["history"][-1]
    assert (last["outcome"], last["template"]) == ("advice-given", "advised@1")
    assert last["wording"]["zh"].startswith("人社已于")
    assert "{" not in last["wording"]["zh"] + last["wording"]["en"]
    path = f"/api/requests?record_id={task.record_id}"
    triage = {"doorstep_purpose": "triage", "doorstep_case": str(task.record_id)}
    station = await front.call("GET", path, "reviewer", **triage)
    assert station.body["requests"][0]["tasks"][0]["history"][-1]["wording"] == last["wording"]
    bundle = await front.call("GET", f"{LABOUR}/requests/{task.ref}/fhir", "officer", **read)
    output = bundle.body["entry"][0]["resource"]["output"][0]["valueCodeableConcept"]
    assert output["text"] == last["wording"]["zh"]
    rows = await desk.rows("SELECT detail FROM task_transition WHERE task_id = :id", id=task.task_id)
    assert "答复" not in "".join(bytes(row.detail or b"").decode("utf-8", "replace") for row in rows)


async def test_a_reason_has_its_template_too_and_another_departments_is_none(front, desk) -> None:
    await publish(front, "not-ours@1", outcome=None, reason="not-ours", zh="不属于{department}。", en="not for us")
    task, elsewhere = await desk.opened(NEED), await desk.opened("health-advice")
    moved = await step(front, task, 1, "rejected", reason="not-ours", template="not-ours@1")
    assert moved.status == 200, moved.body
    async with front.database.transaction() as session:
        await session.execute(text("UPDATE outcome_template SET need_type = 'health-advice'"))
    path = f"/api/departments/health/requests/{elsewhere.ref}/transitions"
    body = {"id": str(uuid7()), "to": "rejected", "reason": "not-ours", "template": "not-ours@1"}
    refused = await front.call("POST", path, "head-of-health", body, if_match='"1"')
    assert (refused.status, code(refused)) == (422, "template-unknown")
    last = (await desk.task(task.need_id)).state
    assert last == TaskState.REJECTED
