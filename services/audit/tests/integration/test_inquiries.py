"""What the log has about one person is told on their own complaint or with a second auditor's agreement."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy.exc import IntegrityError
from uuid_utils.compat import uuid7

from doorstep.audit.operations.inquiring import agree_to_inquiry
from doorstep.audit.operations.submitting import subject_index
from doorstep.contracts.codes import Action, Purpose
from doorstep.kit.intents import staff_subject

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ERASED = UUID("0f2d6c1e-0000-4000-8000-00000000000e")


@pytest.fixture
async def subject(office):
    """Somebody about whom there are three entries, one of them about others too."""
    subject = uuid4()
    for hours, others in ((2, [uuid4()]), (1, []), (3, [])):
        await office.enter("read-file", *others, subject, at=NOON + timedelta(hours=hours), case=uuid4())
    await office.enter("read-file", uuid4(), at=NOON)
    await office.log.drain()
    return subject


def command(subject: UUID, **more: str) -> dict[str, str]:
    return {"id": str(uuid7()), "subject_id": str(subject), **more}


async def asked(office, subject: UUID, **more: str) -> str:
    """The id of a new inquiry of the first auditor."""
    status, told = await office.ask("POST", "inquiries", body=command(subject, **more))
    assert status == 201, told
    return told["inquiry_id"]


async def agree(office, inquiry: str, who: str = "second"):
    status, told = await office.ask("POST", f"inquiries/{inquiry}/agreement", who, body={"id": str(uuid7())})
    return status, told.get("standing") or told["type"].rpartition(":")[2]


async def read(office, inquiry: str, who: str = "first", query: str = ""):
    status, told = await office.ask("GET", f"inquiries/{inquiry}/entries{query}", who)
    return status, told["entries"] if status == 200 else told["type"].rpartition(":")[2]


async def steps(office, subject: UUID) -> list[tuple[str, str, str]]:
    return [(one.action, one.outcome, one.actor) for one in await office.logged(subject)]


async def test_on_the_persons_complaint_an_inquiry_is_open_at_once(office, subject):
    code = office.vault.follow_code(subject)
    inquiry = await asked(office, subject, follow_code=code.lower().replace("-", " "))
    status, entries = await read(office, inquiry)
    assert (status, [one["action"] for one in entries]) == (200, ["read-file"] * 3 + ["ask-about-subject"])
    assert [one["index"] for one in entries] == [1, 0, 2, None]
    assert {one["subjects"] for one in entries} == {1}
    assert str(subject) not in json.dumps(entries)
    assert await steps(office, subject) == [
        ("ask-about-subject", "by-complaint", "auditor-1"),
        ("read-about-subject", "done", "auditor-1"),
    ]
    [logged, _] = await office.logged(subject)
    assert (logged.case, logged.purpose, logged.policies) == (inquiry, "audit", ("auditor-asks-about-a-person",))


async def test_a_wrong_follow_code_is_refused_and_logged_under_the_person(office, subject):
    wrong = [office.vault.follow_code(uuid4()), "x", "张三", "0" * 64]
    for code in wrong:
        status, told = await office.ask("POST", "inquiries", body=command(subject, follow_code=code))
        assert (status, told["type"]) == (403, "urn:doorstep:problem:follow-code-wrong")
    assert await steps(office, subject) == [("ask-about-subject", "refused:follow-code-wrong", "auditor-1")] * 4
    assert await office.rows("SELECT 1 FROM inquiry") == await office.rows("SELECT 1 FROM command") == []


async def test_without_a_complaint_a_second_auditor_agrees_and_never_who_asked(office, subject):
    inquiry = await asked(office, subject)
    assert await read(office, inquiry) == (403, "agreement-missing")
    assert await agree(office, inquiry, "first") == (403, "second-auditor-must-agree")
    assert await agree(office, inquiry, "operator") == (403, "forbidden")
    assert await agree(office, inquiry, "police") == (403, "forbidden")
    assert await agree(office, inquiry, "second") == (200, "open")
    assert await agree(office, inquiry, "third") == (409, "agreed-already")
    assert (await read(office, inquiry))[0] == 200
    mine = [one for one in await steps(office, subject) if "refused:forbidden" not in one]
    assert mine == [
        ("ask-about-subject", "by-agreement", "auditor-1"),
        ("read-about-subject", "refused:agreement-missing", "auditor-1"),
        ("agree-to-ask", "refused:second-auditor-must-agree", "auditor-1"),
        ("agree-to-ask", "done", "auditor-2"),
        ("read-about-subject", "done", "auditor-1"),
    ]
    assert {one.case for one in await office.logged(subject)} == {inquiry}


async def test_that_who_asked_does_not_agree_is_decided_by_policy_and_held_by_the_table(office, subject, blind):
    inquiry = await asked(office, subject)
    await agree(office, inquiry, "first")
    (refused,) = [one for one in await office.logged(subject) if one.action == "agree-to-ask"]
    assert refused.policies == ("proposer-never-decides",)
    first, purpose, now = await office.verify("first"), Purpose.AUDIT, datetime.now(UTC)
    with pytest.raises(IntegrityError, match="inquiry"):
        async with office.log.database.transaction() as session:
            await agree_to_inquiry(
                session, office.vault, policy=blind, principal=first, purpose=purpose, inquiry_id=UUID(inquiry), now=now
            )
    assert await read(office, inquiry) == (403, "agreement-missing")


async def test_of_two_who_agree_at_once_one_does(office, subject):
    for _ in range(5):
        inquiry = await asked(office, subject)
        given = await asyncio.gather(agree(office, inquiry, "second"), agree(office, inquiry, "third"))
        assert sorted(given) == [(200, "open"), (409, "agreed-already")]
    assert [step[0] for step in await steps(office, subject)].count("agree-to-ask") == 5


async def test_only_who_asked_is_told_and_to_others_it_is_like_none(office, subject):
    inquiry = await asked(office, subject, follow_code=office.vault.follow_code(subject))
    answers = [await office.ask("GET", f"inquiries/{one}/entries", "second") for one in (inquiry, str(uuid4()))]
    assert answers[0] == answers[1]
    assert answers[0][0] == 404
    assert ("read-about-subject", "refused:inquiry-unknown", "auditor-2") in await steps(office, subject)
    assert await agree(office, inquiry) == (409, "agreement-not-needed")
    assert await agree(office, str(uuid4())) == (404, "inquiry-unknown")


async def test_grounds_lapse_after_seven_days(office, subject):
    complaint = await asked(office, subject, follow_code=office.vault.follow_code(subject))
    agreed, waiting = await asked(office, subject), await asked(office, subject)
    assert (await agree(office, agreed))[0] == 200
    long_ago = "now() - interval '7 days 1 second'"
    await office.log.run(f"UPDATE inquiry SET asked_at = {long_ago}")  # noqa: S608
    assert (await read(office, agreed))[0] == 200
    await office.log.run(f"UPDATE inquiry SET agreed_at = {long_ago} WHERE agreed_at IS NOT NULL")  # noqa: S608
    for inquiry in (complaint, agreed, waiting):
        assert await read(office, inquiry) == (403, "inquiry-lapsed")
    assert await agree(office, waiting) == (403, "inquiry-lapsed")


async def test_the_same_command_is_answered_again_and_another_under_its_id_is_not(office, subject):
    body = command(subject)
    first = await office.ask("POST", "inquiries", body=body)
    assert first == await office.ask("POST", "inquiries", body=body)
    assert (await office.ask("POST", "inquiries", body={**body, "subject_id": str(uuid4())}))[0] == 409
    assert (await office.ask("POST", "inquiries", "second", body=body))[0] == 409
    path, agreement = f"inquiries/{body['id']}/agreement", {"id": str(uuid7())}
    given = await office.ask("POST", path, "second", body=agreement)
    assert given == await office.ask("POST", path, "second", body=agreement)
    assert (await office.ask("POST", f"inquiries/{uuid4()}/agreement", "second", body=agreement))[0] == 409
    actions = [step[0] for step in await steps(office, subject)]
    assert (actions.count("ask-about-subject"), actions.count("agree-to-ask")) == (1, 1)


async def test_the_table_names_neither_the_person_nor_any_member_of_staff(office, subject):
    inquiry = await asked(office, subject)
    await agree(office, inquiry)
    [row] = await office.rows("SELECT * FROM inquiry")
    kept = b"|".join(one if isinstance(one, bytes) else str(one).encode() for one in row)
    for name in (str(subject).encode(), subject.bytes, b"auditor-1", b"auditor-2"):
        assert name not in kept
    assert row.subject == subject_index(office.vault, subject)
    callers = [staff_subject(office.vault, await office.verify(who)) for who in ("first", "second")]
    assert [row.asked_by, row.agreed_by] == callers


async def test_somebody_erased_and_somebody_unknown_are_answered_like_somebody_without_entries(office, subject):
    await office.vault.destroy(subject)
    found = []
    for who in (subject, uuid4()):
        inquiry = await asked(office, who, follow_code=office.vault.follow_code(who))
        found.append(await read(office, inquiry))
        assert await steps(office, who) == []
    assert found == [(200, [])] * 2
    caller = staff_subject(office.vault, await office.verify("first"))
    assert [step[0] for step in await steps(office, caller)] == ["ask-about-subject", "read-about-subject"] * 2


async def test_entries_about_somebody_come_in_portions(office, subject):
    inquiry = await asked(office, subject, follow_code=office.vault.follow_code(subject))
    found, query = [], "?limit=2"
    while True:
        status, told = await office.ask("GET", f"inquiries/{inquiry}/entries{query}")
        assert (status, len(told["entries"]) <= 2) == (200, True)
        found += [one["entry_id"] for one in told["entries"]]
        if told["cursor"] is None:
            break
        query = f"?limit=2&cursor={told['cursor']}"
    assert len(found) == len(set(found)) >= 4
    other = await asked(office, subject, follow_code=office.vault.follow_code(subject))
    assert await read(office, other, query=query) == (422, "cursor-invalid")
    assert (await office.ask("GET", f"inquiries/{inquiry}/entries?limit=0"))[0] == 422


async def test_what_makes_no_sense_is_named(office):
    good = command(ERASED)
    for wrong, pointer in (
        ({**good, "id": str(uuid4())}, "/id"),
        ({**good, "id": "x"}, "/id"),
        ({"id": good["id"]}, "/subject_id"),
        ({**good, "subject_id": "somebody"}, "/subject_id"),
        ({**good, "follow_code": ""}, "/follow_code"),
        ({**good, "follow_code": "x" * 65}, "/follow_code"),
        ({**good, "follow_code": None, "why": "so"}, "/why"),
    ):
        status, told = await office.ask("POST", "inquiries", body=wrong)
        assert (status, [fault["pointer"] for fault in told["errors"]]) == (422, [pointer])
    assert (await office.ask("POST", "inquiries/x/agreement", body={"id": str(uuid7())}))[0] == 422
    assert (await office.ask("POST", f"inquiries/{uuid4()}/agreement", body={}))[0] == 422


async def test_the_commands_ask_agree_and_show(office, subject, doorstep):
    token = ("--url", office.url, "--token")
    status, out, _ = await doorstep("ask", subject, *token, "first", "--json")
    inquiry = json.loads(out)["inquiry_id"]
    assert (status, json.loads(out)["standing"]) == (0, "waiting")
    status, _, said = await doorstep("about", inquiry, *token, "first")
    assert (status, "Not done: 403 No second auditor has agreed yet" in said) == (1, True)
    status, out, _ = await doorstep("agree", inquiry, *token, "second")
    assert (status, f"Inquiry {inquiry}: open, until" in out) == (0, True)
    status, out, _ = await doorstep("about", inquiry, *token, "first")
    assert (status, out.count("查看户档 read-file"), "同意查询个人 agree-to-ask" in out) == (0, 3, True)
    code = office.vault.follow_code(subject)
    arguments = ("ask", subject, "--complaint", "--id", uuid7(), *token, "first")
    for _ in range(2):
        status, out, said = await doorstep(*arguments, stdin=f"{code}\n")
        assert (status, ": open, until" in out, code in said) == (0, True, False)
    status, _, said = await doorstep(*arguments, stdin="WRONG\n")
    assert (status, "The follow code is not this person's" in said) == (1, True)
    _, out, _ = await doorstep("about", inquiry, *token, "first", "--json")
    assert [one["action"] for one in json.loads(out)["entries"]].count(Action.ASK_ABOUT_SUBJECT) == 3
