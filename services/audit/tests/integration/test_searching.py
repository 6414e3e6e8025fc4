"""An auditor searches the log over HTTP: by what its details say, in portions, each search logged."""

from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode
from uuid import UUID, uuid4

import pytest

from doorstep.audit.domain.criteria import ASKED_BY_ACTION, made_at
from doorstep.audit.operations import opening, searching
from doorstep.kit.vault import NOBODY

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
CASE, RECORD = UUID("0f2d6c1e-0000-4000-8000-000000000001"), UUID("0f2d6c1e-0000-4000-8000-000000000002")


def at(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


def path(what: str = "entries", **query: object) -> str:
    query = {"since": at(-24).isoformat(), "until": at(24).isoformat()} | query
    return f"{what}?{urlencode({name: str(value) for name, value in query.items() if value is not None})}"


@pytest.fixture
async def made(office):
    """The ids of five entries of all kinds, in the order of their time, the last one not sequenced yet."""
    subjects = [uuid4(), uuid4()]
    made = [
        await office.enter("read-file", *subjects, at=at(-2), purpose="triage", case=CASE, policies=("by-reviewer",)),
        await office.enter("assess-needs", subjects[0], who=None, at=at(0), service="risk", policies=("rules:pack-1",)),
        await office.enter("read-file", subjects[1], who="elsewhere", at=at(1), outcome="refused:file-unknown"),
        await office.enter(
            "transition-task", subjects[0], at=at(2), service="referral", case=uuid4(), record=RECORD,
            legal_basis="consent", outcome="refused-after-check",
        ),
    ]  # fmt: skip
    await office.log.drain()
    made.append(await office.enter("rate-request", subjects[1], who=None, at=at(3), service="referral"))
    return made


async def test_a_search_shows_what_entries_say_and_never_whom_they_are_about(office, made):
    status, found = await office.ask("GET", path())
    assert (status, [one["entry_id"] for one in found["entries"]]) == (200, [str(one) for one in made])
    assert [one["index"] for one in found["entries"]] == [0, 1, 2, 3, None]
    assert (found["cursor"], found["gone_through"], found["reached"]) == (None, 5, found["until"])
    assert found["entries"][0] == {
        "entry_id": str(made[0]), "index": 0, "at": "2026-11-20T10:00:00Z", "service": "registry",
        "agency": "station", "station": "station-7", "role": "reviewer", "actor": "reviewer-1",
        "action": "read-file", "outcome": "done", "purpose": "triage", "legal_basis": None, "case": str(CASE),
        "record": None, "policies": ["by-reviewer"], "asked": None,
        "officer": None, "subjects": 2,
    }  # fmt: skip


CRITERIA = [
    ({"service": "risk"}, [1]),
    ({"agency": "station"}, [0, 2, 3]),
    ({"station": "station-9"}, [2]),
    ({"action": "read-file"}, [0, 2]),
    ({"purpose": "triage"}, [0]),
    ({"legal_basis": "consent"}, [3]),
    ({"case": CASE}, [0]),
    ({"record": RECORD}, [3]),
    ({"actor": "reviewer-9"}, [2]),
    ({"policy": "by-reviewer"}, [0]),
    ({"rule_pack": "pack-1"}, [1]),
    ({"outcome": "refused"}, [2]),
    ({"outcome": "refused-after-check"}, [3]),
    ({"action": "read-file", "station": "station-9"}, [2]),
    ({"action": "read-file", "station": "station-8"}, []),
    ({"since": at(0).isoformat(), "until": at(1).isoformat()}, [1]),
    ({"since": at(0.25).isoformat(), "until": at(2.0001).isoformat()}, [2, 3]),
]


async def test_each_criterion_finds_what_says_so(office, made):
    for criteria, places in CRITERIA:
        status, found = await office.ask("GET", path(**criteria))
        ids = [UUID(one["entry_id"]) for one in found["entries"]]
        assert (status, [made.index(one) for one in ids]) == (200, places), criteria


async def test_the_usual_time_is_the_last_seven_days(office):
    now = datetime.now(UTC)
    _, young = [await office.enter("read-file", uuid4(), at=now - timedelta(days=days)) for days in (7.1, 6.9)]
    status, found = await office.ask("GET", "entries")
    assert (status, [one["entry_id"] for one in found["entries"]]) == (200, [str(young)])


async def test_portions_come_to_the_whole_without_anything_twice(office, made, monkeypatch):
    for limit, page in ((1, 3), (2, 3), (3, 3), (1, 2000), (2, 2000), (1000, 2000)):
        monkeypatch.setattr(opening, "PAGE", page)
        found, cursor = [], None
        while True:
            status, told = await office.ask("GET", path(limit=limit, cursor=cursor, service="registry"))
            assert status == 200
            found += [one["entry_id"] for one in told["entries"]]
            if (cursor := told["cursor"]) is None:
                break
        assert found == [str(made[0]), str(made[2])]


async def test_one_answer_goes_through_so_much_and_says_how_far_it_came(office, made, monkeypatch):
    monkeypatch.setattr(opening, "PAGE", 3)
    monkeypatch.setattr(searching, "PAGE", 3)
    monkeypatch.setattr(searching, "AT_MOST", 3)
    status, told = await office.ask("GET", path(service="referral"))
    assert (status, told["entries"], told["reached"]) == (200, [], "2026-11-20T10:00:00Z")
    steps, found = 1, []
    while told["cursor"] is not None:
        cursor, steps = told["cursor"], steps + 1
        status, told = await office.ask("GET", path(service="referral", cursor=cursor))
        found += [one["entry_id"] for one in told["entries"]]
        assert status == 200
    assert steps >= 3
    assert found == [str(made[3]), str(made[4])]


async def test_a_cursor_carries_the_usual_time_with_it(office):
    ids = [await office.enter("read-file", uuid4()) for _ in range(3)]
    _, told = await office.ask("GET", "entries?limit=2&action=read-file")
    _, rest = await office.ask("GET", f"entries?limit=2&action=read-file&cursor={told['cursor']}")
    assert (rest["since"], rest["until"], rest["cursor"]) == (told["since"], told["until"], None)
    assert {one["entry_id"] for one in told["entries"] + rest["entries"]} == {str(one) for one in ids}


async def test_a_search_is_logged_under_nobody_with_what_was_asked(office, made):
    await office.ask("GET", path(action="read-file"))
    [entry] = await office.logged(NOBODY)
    assert (entry.action, entry.outcome, entry.purpose, entry.actor) == ("search-log", "done", "audit", "auditor-1")
    assert entry.asked == "2026-11-19T12:00:00Z/2026-11-21T12:00:00Z action=read-file"
    assert entry.policies == ("auditor-asks-the-log",)
    _, found = await office.ask("GET", "entries?action=search-log")
    assert [one["asked"] for one in found["entries"]] == [entry.asked]


async def test_a_search_for_one_matter_is_logged_under_those_whom_it_is_about(office):
    subjects = [uuid4() for _ in range(3)]
    await office.enter("read-file", *subjects[:2], at=NOON, case=CASE)
    await office.enter("read-file", subjects[2], at=NOON, case=uuid4())
    await office.ask("GET", path(case=CASE))
    for subject in subjects[:2]:
        [entry] = await office.logged(subject)
        assert (entry.action, entry.asked.split(" ")[1]) == ("search-log", f"case={CASE}")
    assert await office.logged(subjects[2]) == []
    await office.ask("GET", path(case=uuid4()))
    assert len(await office.logged(NOBODY)) == 1


async def test_more_people_than_an_entry_holds_are_logged_in_several(office, monkeypatch):
    monkeypatch.setattr(searching, "SUBJECTS_AN_ENTRY", 2)
    subjects = [uuid4() for _ in range(5)]
    await office.enter("read-file", *subjects, at=NOON, case=CASE)
    await office.ask("GET", path(case=CASE))
    for subject in subjects:
        assert len(await office.logged(subject)) == 1
    [(count,)] = await office.rows("SELECT count(DISTINCT entry_id) FROM detail")
    assert count == 1 + 3


async def test_what_was_erased_is_not_found(office):
    subject = uuid4()
    await office.enter("read-file", subject, at=NOON, case=CASE)
    await office.vault.destroy(subject)
    assert (await office.ask("GET", path(case=CASE)))[1]["entries"] == []


WRONG = [
    ({"limit": 0}, "/query/limit", "is not valid"),
    ({"limit": 1001}, "/query/limit", "is not valid"),
    ({"since": "2026-11-20T12:00:00"}, "/query/since", "must name its offset from UTC"),
    ({"until": "yesterday"}, "/query/until", "is not a time"),
    ({"since": "0001-01-01T00:00:00+08:00"}, "/query/since", "must be in a year from 2000 to 2999"),
    ({"until": "9999-12-31T23:59:59-08:00"}, "/query/until", "must be in a year from 2000 to 2999"),
    ({"record": "no-uuid"}, "/query/record", "is not a UUID"),
    ({"service": "payroll"}, "/query/service", "is not a known code; known are: audit, gateway, intake"),
    ({"action": "read-minds"}, "/query/action", "is not a known code; known are: "),
    ({"action": "make-complaint"}, "/query/action", "is not a known code; known are: "),
    ({"action": "read-complaint"}, "/query/action", "is not a known code; known are: "),
    ({"purpose": "curiosity"}, "/query/purpose", "is not a known code; known are: audit, emergency"),
    ({"legal_basis": "whim"}, "/query/legal_basis", "is not a known code; known are: consent"),
    ({"actor": "张三"}, "/query/actor", "must be 1 to 64 letters, digits or"),
    ({"station": ""}, "/query/station", "must be 1 to 64 letters, digits or"),
    ({"actor": "x" * 65}, "/query/actor", "must be 1 to 64 letters, digits or"),
    ({"colour": "red"}, "/query/colour", "is not a known field"),
    ({"cursor": "x" * 201}, "/query/cursor", "is too long"),
]


async def test_nobody_has_the_log_list_who_complained_of_how_they_were_treated(office):
    """Neither by what was done nor by what permitted it; in a search of a request it stands among all else."""
    case, permitted = uuid4(), "supervisor-reads-complaints"
    for action in ("make-complaint", "read-complaint", "answer-complaint", "list-complaints", "withdraw-complaint"):
        await office.enter(action, uuid4(), at=at(0), service="referral", case=case, policies=(permitted,))
        assert (await office.ask("GET", path(action=action)))[0] == 422
    _, found = await office.ask("GET", path(policy=permitted))
    assert found["entries"] == []
    _, found = await office.ask("GET", path(case=case))
    assert len(found["entries"]) == 5


async def test_what_makes_no_sense_is_named(office):
    for query, pointer, detail in WRONG:
        status, told = await office.ask("GET", path(**query))
        assert (status, told["type"]) == (422, "urn:doorstep:problem:invalid"), query
        [fault] = told["errors"]
        assert (fault["pointer"], fault["detail"][: len(detail)]) == (pointer, detail)
        if "action" in query:
            assert set(fault["detail"].rpartition(": ")[2].split(", ")) == ASKED_BY_ACTION
    assert await office.logged(NOBODY) == []


async def test_times_in_the_wrong_order_and_too_many_criteria_are_told(office):
    status, told = await office.ask("GET", path(since=at(1).isoformat(), until=at(1).isoformat()))
    assert (status, told["type"]) == (422, "urn:doorstep:problem:no-such-time")
    many = {name: uuid4() for name in ("case", "record", "actor", "policy")}
    status, told = await office.ask("GET", path(**many))
    assert (status, told["type"]) == (422, "urn:doorstep:problem:too-many-criteria")


async def test_a_cursor_that_is_made_up_or_of_another_search_is_refused(office, made):
    _, told = await office.ask("GET", path(limit=1))
    cursor = told["cursor"]
    turned = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")
    tries = [
        path(limit=1, cursor=text) for text in ("", "x", "A" * 75, "A" * 76, turned, "é", cursor + "A", cursor[5:])
    ]
    tries += [path(limit=1, cursor=cursor, action="read-file"), path(cursor=cursor, until=at(25).isoformat())]
    tries += [
        path(f"life/{RECORD}", limit=1, cursor=cursor),
        f"entries?cursor={cursor}&since={quote('2026-11-01T00:00:00Z')}",
    ]
    for one in tries:
        status, answer = await office.ask("GET", one)
        assert (status, answer["type"]) == (422, "urn:doorstep:problem:cursor-invalid"), one
    for place in range(0, len(cursor), 7):
        forged = cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :]
        assert (await office.ask("GET", path(limit=1, cursor=forged)))[0] == 422
    assert (await office.ask("GET", path(limit=1, cursor=cursor), "second"))[0] == 200


async def test_nobody_but_an_auditor_for_an_audit_is_answered(office):
    for what in ("entries", "entries.jsonl", f"life/{RECORD}", f"inquiries/{CASE}/entries"):
        for who, purpose in (("police", "audit"), ("operator", "audit"), ("reviewer", "audit"), ("first", "triage")):
            status, told = await office.ask("GET", what, who, purpose)
            assert (status, told["type"]) == (403, "urn:doorstep:problem:forbidden")
        assert (await office.ask("GET", what, purpose=None))[0] == 403
        assert (await office.ask("GET", what, "stranger"))[0] == 401


async def test_a_life_is_all_that_a_record_came_to_and_who_read_it(office):
    record, task, subject = "01930000-0000-7000-8000-000000000001", uuid4(), uuid4()
    born = made_at(UUID(record))
    moments = [born + timedelta(minutes=minutes) for minutes in (-3, 1, 2, 3, 4)]
    early = await office.enter("record-visit", subject, at=moments[0], service="intake", case=record)
    other = await office.enter("read-file", subject, at=moments[1], case=uuid4())
    handed = await office.enter("open-request", subject, at=moments[2], service="referral", case=task, record=record)
    read = await office.enter("read-journey", subject, at=moments[3], service="gateway", case=record)
    status, told = await office.ask("GET", f"life/{record}")
    assert (status, told["since"]) == (200, (born - timedelta(days=1)).isoformat().replace("+00:00", "Z"))
    assert [one["entry_id"] for one in told["entries"]] == [str(one) for one in (early, handed, read)]
    assert str(other) not in str(told)
    [entry] = await office.logged(subject)
    assert (entry.action, entry.case, entry.actor) == ("read-life", record, "auditor-1")
    _, again = await office.ask("GET", f"life/{record}")
    assert [one["action"] for one in again["entries"]][-1] == "read-life"


async def test_a_record_that_nobody_knows_has_no_life_and_its_look_is_logged_under_who_looked(office):
    record = uuid4()
    status, told = await office.ask("GET", f"life/{record}")
    assert (status, told["entries"]) == (200, [])
    caller = office.vault.pairwise("audit.staff", "auditor-1")
    [entry] = await office.logged(caller)
    assert (entry.action, entry.case) == ("read-life", None)
    assert (await office.ask("GET", f"life/none?of={record}"))[0] == 422
    assert (await office.ask("GET", "life/ffffffff-ffff-7fff-bfff-ffffffffffff"))[0] == 200
