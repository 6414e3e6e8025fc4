"""What the rules of conduct find in a real log, who is shown it, and what staff declare that they must not handle."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from doorstep.audit.commands import application
from doorstep.audit.operations import opening
from doorstep.audit.operations.opening import Place, opened
from doorstep.audit.operations.submitting import read_submission, submit
from doorstep.contracts.audit import AuditEntrySubmitted
from doorstep.contracts.codes import Action, Role
from doorstep.kit import intents
from doorstep.kit.auth import NotAuthenticated, Principal
from doorstep.kit.intents import Intent
from doorstep.kit.vault import NOBODY

NOON = datetime(2026, 11, 18, 4, 0, tzinfo=UTC)
"""Noon of a Wednesday in Shanghai."""
DAYS = "since=2026-11-16T00:00:00%2B08:00&until=2026-11-21T00:00:00%2B08:00"
REVIEWER = Principal("r-1", Role.REVIEWER, "station", "station-1")
COLLECTOR = Principal("c-1", Role.COLLECTOR, "station", "station-1")


class Diary:
    """Has the log hold what people did at some time."""

    def __init__(self, log: Any, vault: Any) -> None:
        self.log = log
        self.vault = vault

    async def tell(
        self, at: datetime, who: Principal | None, action: Action, subjects: Sequence[UUID], **more: Any
    ) -> UUID:
        """One entry of this time."""
        ring = await self.vault.ring(subjects, create=True)
        made = intents.entry(ring, Intent(action, subjects, **more), service="intake", principal=who)
        at_us = int(at.timestamp()) * 1_000_000 + at.microsecond
        details = [ring.open(one, intents.AuditDetail).model_copy(update={"at_us": at_us}) for one in made.details]
        event = AuditEntrySubmitted(
            entry_id=made.entry_id,
            hour=at.strftime("%Y-%m-%dT%H"),
            commitments=tuple(map(intents.commitment, details)),
            details=tuple(ring.seal(one, detail) for one, detail in zip(subjects, details, strict=True)),
        )
        async with self.log.database.transaction() as session:
            submit(session, read_submission(event, vault=self.vault))
        return event.entry_id


class People:
    """Takes `role` or `role:name` for a token."""

    async def verify(self, token: str) -> Principal:
        role, _, name = token.partition(":")
        if role not in set(Role):
            raise NotAuthenticated("no such token")
        return Principal(name or "somebody", Role(role), "station", "station-1")


@pytest.fixture
def diary(log, vault):
    return Diary(log, vault)


@pytest.fixture
async def call(service, url):
    """Asks the log as somebody; gives status and body."""
    service.authenticator = People()
    async with aiohttp.ClientSession() as client:

        async def call(path: str, who: str | None = "auditor", *, purpose: str | None = "audit", body: Any = None):
            headers = {"Accept-Language": "en"}
            headers |= {} if who is None else {"Authorization": f"Bearer {who}"}
            headers |= {} if purpose is None else {"Doorstep-Purpose": purpose}
            method, data = ("GET", None) if body is None else ("PUT", json.dumps(body))
            headers |= {} if body is None else {"Content-Type": "application/json"}
            target = aiohttp.client.URL(f"{url}/{path}", encoded=True)
            async with client.request(method, target, headers=headers, data=data) as answer:
                return answer.status, await answer.json()

        yield call


def by_rule(told: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The findings of those rules that have any."""
    return {one["id"]: one["findings"] for one in told["rules"] if one["findings"]}


async def own_entries(log, vault) -> list[Any]:
    """What the log says of its own service, in the order of time."""
    now = datetime.now(UTC)
    async with log.database.transaction() as session:
        after = Place.before(now - timedelta(hours=2))
        found = [one async for _, some in opened(session, vault, after=after, until=now) for one in some]
    return sorted((one for one in found if one.said.service == "audit"), key=lambda one: one.said.at_us)


async def test_a_story_of_a_case_is_read_by_the_rules_and_each_finding_cites_its_entries(log, vault, diary, call):
    person, dwelling, record, request = uuid4(), uuid4(), uuid4(), uuid4()
    long_ago = NOON - timedelta(days=90)
    await diary.tell(long_ago, COLLECTOR, Action.RECORD_VISIT, [person, dwelling], case=record)
    await diary.tell(long_ago, None, Action.OPEN_REQUEST, [person], case=request, record=record)
    await diary.tell(long_ago, None, Action.TRANSITION_TASK, [person], case=request, record=record, outcome="completed")
    closed = await diary.tell(NOON, REVIEWER, Action.READ_RECORD, [person, dwelling], case=record)
    elsewhere = Principal("r-9", Role.REVIEWER, "station", "station-9")
    read = await diary.tell(NOON + timedelta(hours=8), elsewhere, Action.READ_FILE, [dwelling], case=uuid4())
    await log.drain()
    waiting = await diary.tell(NOON, REVIEWER, Action.READ_FILE, [uuid4()])
    status, told = await call(f"conduct?{DAYS}")
    assert status == 200
    found = by_rule(told)
    cited = {rule: [entry for one in findings for entry in one["entries"]] for rule, findings in found.items()}
    assert cited == {
        "read-without-a-case": [{"entry_id": str(waiting), "index": None}],
        "read-of-a-closed-case": [{"entry_id": str(closed), "index": 3}],
        "read-outside-working-hours": [{"entry_id": str(read), "index": 4}],
        "read-outside-jurisdiction": [{"entry_id": str(read), "index": 4}],
    }
    [finding] = found["read-outside-jurisdiction"]
    del finding["entries"]
    moment = "2026-11-18T12:00:00Z"
    assert finding == {
        "actor": "r-9", "role": "reviewer", "agency": "station", "station": "station-9", "first": moment,
        "last": moment, "count": 1, "reached": None,
    }  # fmt: skip
    assert [one["title"]["zh"] for one in told["rules"]][:2] == ["无事由查看", "办结后查看"]
    for one in (person, dwelling, record, request):
        assert str(one) not in json.dumps(told)


@pytest.mark.parametrize("page", [5, 2000])
async def test_a_record_is_not_closed_while_a_request_of_another_of_its_subjects_is_open(
    diary, call, page, monkeypatch
):
    monkeypatch.setattr(opening, "PAGE", page)
    person, dwelling, record, first, second = (uuid4() for _ in range(5))
    before = NOON - timedelta(days=2)
    await diary.tell(before, COLLECTOR, Action.RECORD_VISIT, [person, dwelling], case=record)
    await diary.tell(before, None, Action.OPEN_REQUEST, [person], case=first, record=record)
    await diary.tell(before, None, Action.OPEN_REQUEST, [dwelling], case=second, record=record)
    done = {"record": record, "outcome": "completed"}
    await diary.tell(before, None, Action.TRANSITION_TASK, [person], case=first, **done)
    for at in range(6):
        await diary.tell(NOON + timedelta(minutes=at), REVIEWER, Action.READ_JOURNEY, [person], case=record)
    assert by_rule((await call(f"conduct?{DAYS}"))[1]) == {}
    await diary.tell(NOON + timedelta(hours=2), None, Action.TRANSITION_TASK, [dwelling], case=second, **done)
    await diary.tell(NOON + timedelta(hours=4), REVIEWER, Action.READ_JOURNEY, [person], case=record)
    [finding] = by_rule((await call(f"conduct?{DAYS}"))[1])["read-of-a-closed-case"]
    assert (finding["count"], finding["first"]) == (1, "2026-11-18T08:00:00Z")


async def test_many_subjects_and_refused_tries_are_found_and_residents_never(diary, call):
    resident = Principal("a resident", Role.RESIDENT, "resident")
    for at in range(62):
        when = NOON + timedelta(seconds=20 * at)
        await diary.tell(when, REVIEWER, Action.READ_FILE, [uuid4()], case=uuid4())
        if at < 12:
            for who in (REVIEWER, resident):
                await diary.tell(when, who, Action.READ_RECORD, [uuid4()], outcome="refused:record-unknown")
    found = by_rule((await call(f"conduct?{DAYS}"))[1])
    assert {rule: [(one["actor"], one["count"], one["reached"]) for one in some] for rule, some in found.items()} == {
        "many-subjects": [("r-1", 62, 62)],
        "refused-tries": [("r-1", 12, 12)],
    }


async def test_what_was_erased_is_in_no_finding(vault, diary, call):
    subject = uuid4()
    await diary.tell(NOON, REVIEWER, Action.READ_FILE, [subject])
    assert list(by_rule((await call(f"conduct?{DAYS}"))[1])) == ["read-without-a-case"]
    await vault.destroy(subject)
    assert by_rule((await call(f"conduct?{DAYS}"))[1]) == {}


async def test_the_look_is_logged_with_what_was_asked_and_about_nobody(log, vault, call):
    assert (await call(f"conduct?{DAYS}", "auditor:a-1"))[0] == 200
    [entry] = await own_entries(log, vault)
    said = entry.said
    assert [one.subject for one in entry.details] == [NOBODY]
    assert (said.action, said.actor, said.purpose, said.policies) == (
        "read-conduct", "a-1", "audit", ("auditor-reads-conduct",),
    )  # fmt: skip
    assert said.asked == "since=2026-11-15T16:00:00+00:00 until=2026-11-20T16:00:00+00:00"


async def test_what_cannot_be_logged_is_not_shown(log, diary, call):
    await diary.tell(NOON, REVIEWER, Action.READ_FILE, [uuid4()])
    await log.run("ALTER TABLE pending RENAME TO lost")
    status, told = await call(f"conduct?{DAYS}")
    assert (status, told["type"]) == (500, "urn:doorstep:problem:internal")
    await log.run("ALTER TABLE lost RENAME TO pending")
    assert list(by_rule((await call(f"conduct?{DAYS}"))[1])) == ["read-without-a-case"]


async def test_auditors_see_it_to_audit_and_nobody_else(call):
    for role in Role:
        assert (await call("conduct", role))[0] == (200 if role is Role.AUDITOR else 403), role
    for purpose in (None, "triage", "curiosity"):
        assert (await call("conduct", purpose=purpose))[0] == 403
    assert [(await call("conduct", who))[0] for who in (None, "stranger")] == [401, 401]


async def test_the_last_seven_days_are_asked_for_unless_said_otherwise(call):
    before = datetime.now(UTC)
    _, told = await call("conduct")
    since, until = (datetime.fromisoformat(told[name]) for name in ("since", "until"))
    assert until - since == timedelta(days=7)
    assert before <= until <= datetime.now(UTC)
    _, told = await call("conduct?until=2026-11-18T12:00:00Z")
    assert told["since"] == "2026-11-11T12:00:00Z"
    assert (await call("conduct?since=2026-10-01T00:00:00Z&until=2026-11-01T00:00:00Z"))[0] == 200


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("since=2026-11-02T00:00:00Z&until=2026-11-01T00:00:00Z", "since must be before until"),
        ("since=2026-11-01T00:00:00Z&until=2026-11-01T00:00:00Z", "since must be before until"),
        ("since=9999-12-31T23:59:59-14:00", "since must be before until"),
        ("since=2026-01-01T00:00:00Z&until=2026-02-01T00:00:01Z", "At most 31 days"),
        ("since=0001-01-01T00:00:00%2B14:00", "At most 31 days"),
        ("until=0001-01-01T00:00:00%2B14:00", "since must be before until"),
        ("since=0001-01-01T00:00:00%2B14:00&until=0001-01-02T00:00:00%2B14:00", "There was no log then"),
        ("since=2026-11-01T00:00:00", "must name its offset"),
        ("since=yesterday", "is not a time"),
        ("until=%00", "is not a time"),
    ],
)
async def test_a_time_that_cannot_be_asked_for_is_said_to_be_so(call, query, said):
    status, told = await call(f"conduct?{query}")
    assert (status, said in json.dumps(told)) == (422, True), told


async def test_a_declared_tie_binds_while_it_is_declared(diary, call):
    kin, other, subject = uuid4(), uuid4(), uuid4()
    await diary.tell(NOON, REVIEWER, Action.READ_RECORD, [subject], case=kin)
    assert await call("ties", "reviewer:r-1", body={"cases": [str(kin), str(kin).upper()]}) == (200, {"declared": 1})
    recent = "conduct?since=" + (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")

    async def ties_found() -> list[str]:
        found = by_rule((await call(recent))[1]).get("read-of-a-declared-tie", [])
        return [entry["entry_id"] for one in found for entry in one["entries"]]

    def now(who: str = "r-1") -> tuple[datetime, Principal, Action]:
        return datetime.now(UTC), Principal(who, Role.REVIEWER, "station", "station-1"), Action.READ_FILE

    read = [
        await diary.tell(*now(), [subject], case=kin),
        await diary.tell(*now(), [subject], case=uuid4(), record=kin),
    ]
    await diary.tell(*now(), [subject], case=other)
    await diary.tell(*now("r-2"), [subject], case=kin)
    assert sorted(await ties_found()) == sorted(map(str, read))
    assert await call("ties", "reviewer:r-1", body={"cases": [str(other)]}) == (200, {"declared": 1})
    await diary.tell(*now(), [subject], case=kin)
    read.append(await diary.tell(*now(), [subject], case=other))
    assert sorted(await ties_found()) == sorted(map(str, read))
    assert "read-of-a-declared-tie" not in by_rule((await call(f"conduct?{DAYS}"))[1])


async def test_what_is_declared_cannot_be_read_or_compared_and_its_entry_names_no_case(log, vault, call):
    case = str(uuid4())
    for who in ("collector:c-1", "collector:c-2", "collector:c-1"):
        assert (await call("ties", who, body={"cases": [case]}))[0] == 200
    async with log.database.transaction() as session:
        rows = (await session.execute(text("SELECT actor, tied, ended_at FROM tie"))).all()
    assert len(rows) == len({row.actor for row in rows}) == len({row.tied for row in rows}) == 2
    assert [row.ended_at for row in rows] == [None, None]
    entries = await own_entries(log, vault)
    assert [(one.said.action, one.said.actor, one.said.case) for one in entries] == [
        ("declare-ties", "c-1", None), ("declare-ties", "c-2", None), ("declare-ties", "c-1", None),
    ]  # fmt: skip
    assert all(case not in one.said.model_dump_json() for one in entries)


async def test_two_declarations_at_once_leave_one_of_them(log, call):
    bodies = [{"cases": [str(uuid4()), str(uuid4())]} for _ in range(6)]
    answers = await asyncio.gather(*(call("ties", "officer:o-1", body=body) for body in bodies))
    assert {status for status, _ in answers} <= {200, 503}
    assert (await call("ties", "officer:o-1", body=bodies[0]))[0] == 200
    async with log.database.transaction() as session:
        assert (await session.execute(text("SELECT count(*) FROM tie WHERE ended_at IS NULL"))).scalar_one() == 2


async def test_staff_declare_for_themselves_and_others_do_not(log, call):
    for role in Role:
        machines = (Role.DEPARTMENT_SYSTEM, Role.PORTAL, Role.SERVICE, Role.HOTLINE)
        expected = 403 if role in (Role.RESIDENT, *machines) else 200
        assert (await call("ties", role, purpose=None, body={"cases": []}))[0] == expected, role
    assert (await call("ties", None, body={"cases": []}))[0] == 401
    for body in (
        {}, {"cases": "all"}, {"cases": ["7"]}, {"cases": [str(uuid4())] * 201}, {"cases": [], "actor": "r-2"}, [],
    ):  # fmt: skip
        assert (await call("ties", "reviewer", body=body))[0] == 422, body


async def doorstep(*arguments: str) -> tuple[int, str]:
    """Exit status and what `doorstep audit` prints."""
    result = await asyncio.to_thread(CliRunner().invoke, application, arguments)
    return result.exit_code, result.output


async def test_the_command_tells_findings_in_chinese_first(diary, log, call, url, tmp_path):
    token = tmp_path / "token"
    token.write_text("auditor\n")
    await diary.tell(NOON, REVIEWER, Action.READ_FILE, [uuid4()])
    await log.drain()
    span = ("--since", "2026-11-16", "--until", "2026-11-21")
    status, out = await doorstep("conduct", "--url", url, "--token-file", str(token), *span)
    assert (status, out.splitlines()[0]) == (0, "无事由查看 Read without a case（read-without-a-case）")
    assert "2026-11-18 12:00:00  r-1 reviewer station station-1  1 条  条目 entries 0" in out
    assert "1 条提示" in out
    status, out = await doorstep("conduct", "--url", url, "--token-file", str(token), *span, "--json")
    assert (status, list(by_rule(json.loads(out)))) == (0, ["read-without-a-case"])
    later = ("--since", "2026-11-19", "--until", "2026-11-20")
    status, out = await doorstep("conduct", "--url", url, "--token-file", str(token), *later)
    assert (status, "0 条提示" in out) == (0, True)


async def test_the_command_says_why_it_cannot_ask(call, url, tmp_path):
    token, wrong = tmp_path / "token", tmp_path / "wrong"
    token.write_text("auditor")
    wrong.write_text("collector")
    for arguments, status, said in (
        (("--url", url, "--token-file", str(wrong)), 1, "403"),
        (("--url", url, "--token-file", str(tmp_path / "none")), 2, "Wrong request"),
        (("--url", url, "--token-file", str(token), "--since", "2026-01-01"), 2, "31"),
        (("--url", url, "--token-file", str(token), "--since", "soon"), 2, "Invalid value"),
        (("--url", f"{url}/none", "--token-file", str(token)), 1, "404"),
        (("--url", "http://127.0.0.1:9/api/log", "--token-file", str(token)), 1, "does not answer"),
        (("--url", "no url", "--token-file", str(token)), 1, "does not answer"),
    ):
        code, out = await doorstep("conduct", *arguments)
        assert (code, said in out) == (status, True), out


async def test_the_command_checks_a_file_of_rules(tmp_path):
    file, rules = tmp_path / "conduct.yaml", opening.__file__.replace("operations/opening.py", "conduct/2026-1.yaml")
    status, out = await doorstep("conduct-rules", rules)
    assert (status, "规则有效：8 条。" in out) == (0, True)
    status, out = await doorstep("conduct-rules", rules, "--json")
    assert (status, json.loads(out)["rules"][0]) == (0, "read-without-a-case")
    for content, said in ((b"id: 7", "title: Field required"), (b"\xff\xfe", "not UTF-8"), (b"a: [", "expected")):
        file.write_bytes(content)
        status, out = await doorstep("conduct-rules", str(file))
        assert (status, said in out) == (2, True), out
    assert (await doorstep("conduct-rules", str(tmp_path / "none")))[0] == 2


async def test_a_log_does_not_start_with_wrong_rules_and_says_which(service, tmp_path):
    file = tmp_path / "conduct.yaml"
    service.settings.log_conduct_rules = file
    for content, said in (("id: 7", "conduct.yaml: .*title: Field required"), (None, "conduct.yaml: IsADirectory")):
        if content is None:
            file.unlink()
            file.mkdir()
        else:
            file.write_text(content)
        with pytest.raises(ValueError, match=said):
            service.settings.conduct()
