"""Who used my data, by the follow code: nobody of the household learns more of another than the station did alike."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from doorstep.audit.operations.pacing import Pace
from doorstep.audit.operations.submitting import subject_index
from doorstep.contracts.codes import Action, LegalBasis, Purpose
from doorstep.kit.vault import NOBODY

UNKNOWN = "0000-0000-0000-0000"
SHAPE = {"entry_id", "at", "agency", "system", "reason"}


async def a_record(house, *people: UUID) -> UUID:
    """A visit to these people, taken in, assessed and read by the station; gives the record's id."""
    record = uuid4()
    for action, who, service, purpose in (
        (Action.RECORD_VISIT, "collector station", "intake", Purpose.INTAKE),
        (Action.ASSERT_FACTS, "", "registry", Purpose.INTAKE),
        (Action.ASSESS_NEEDS, "", "risk", Purpose.TRIAGE),
        (Action.READ_ASSESSMENT, "reviewer station", "risk", Purpose.TRIAGE),
        (Action.READ_JOURNEY, "reviewer station", "gateway", Purpose.FOLLOW_UP),
    ):
        basis = LegalBasis.STATUTORY_DUTY if who else None
        await house.tell(action, *people, who=who, service=service, purpose=purpose, legal_basis=basis, case=record)
    return record


async def a_request(house, person: UUID, department: str, record: UUID) -> UUID:
    """A request of one person: suggested, decided, opened, read, refused to others, moved on and rated."""
    request = uuid4()
    served = {"service": "referral", "legal_basis": LegalBasis.CONSENT, "case": request, "record": record}
    theirs = f"officer {department}"
    await house.tell(Action.DECIDE_NEED, person, who="reviewer station", service="risk", case=record)
    await house.tell(Action.OPEN_REQUEST, person, purpose=Purpose.SERVICE, **served)
    await house.tell(Action.LIST_REQUESTS, person, who=theirs, service="referral", purpose=Purpose.SERVICE)
    await house.tell(Action.READ_REQUEST, person, who=theirs, purpose=Purpose.SERVICE, **served)
    await house.tell(Action.READ_REQUEST, person, who="officer fire", outcome="refused:forbidden", **served)
    await house.tell(Action.TRANSITION_TASK, person, who=theirs, **served)
    await house.tell(Action.LIST_REQUESTS, person, who="reviewer station", service="referral", case=record)
    await house.tell(Action.FOLLOW_REQUEST, person, purpose=Purpose.RESIDENT_REQUEST)
    await house.tell(Action.RATE_REQUEST, person, **served)
    return request


async def test_a_household_member_with_the_code_learns_nothing_of_legal_aid_and_health(house):
    """Two of one household: one asked for legal aid and a doctor, the other for nothing."""
    wife, husband = uuid4(), uuid4()
    record = await a_record(house, wife, husband)
    alike = await house.by_code(wife), await house.by_code(husband)
    await a_request(house, wife, "justice", record)
    await a_request(house, wife, "health", record)
    hers, his = await house.by_code(wife), await house.by_code(husband)
    assert hers.raw == his.raw == alike[0].raw == alike[1].raw
    assert {name: value for name, value in hers.headers.items() if name != "date"} == his.headers
    assert len(hers.body["usages"]) == 5
    assert {frozenset(one) for one in hers.body["usages"]} == {frozenset(SHAPE)}
    assert {one["agency"]["en"] for one in hers.body["usages"]} == {"Community service station"}


async def test_pages_are_full_of_what_is_shown_whatever_lies_hidden_between(house, monkeypatch):
    monkeypatch.setattr("doorstep.audit.api.usages.PAGE", 3)
    wife, husband = uuid4(), uuid4()
    for _ in range(2):
        record = await a_record(house, wife, husband)
        await a_request(house, wife, "justice", record)

    async def pages(subject: UUID) -> list[bytes]:
        answers, behind = [], None
        while not answers or behind:
            answers.append(await house.by_code(subject, before=behind))
            behind = answers[-1].body["next"]
        return [one.raw for one in answers]

    hers = await pages(wife)
    assert hers == await pages(husband)
    assert len(hers) == 4


async def test_reading_on_is_steady_while_new_uses_come(house, monkeypatch):
    monkeypatch.setattr("doorstep.audit.api.usages.PAGE", 3)
    person = uuid4()
    await a_record(house, person)
    first = (await house.by_code(person)).body
    await a_record(house, person)
    second = (await house.by_code(person, before=first["next"])).body
    times = [one["at"] for one in first["usages"] + second["usages"]]
    assert (len(times), second["next"]) == (5, None)
    assert times == sorted(times, reverse=True)
    assert len({one["entry_id"] for one in first["usages"] + second["usages"]}) == 5


async def test_what_an_open_department_read_is_shown_with_its_reason(house):
    person = uuid4()
    record = await a_record(house, person)
    await a_request(house, person, "labour", record)
    newest = (await house.by_code(person)).body["usages"][0]
    assert newest["agency"] == {"zh": "人社", "en": "Labour"}
    assert newest["system"] == {"zh": "服务转办系统", "en": "Service requests"}
    assert newest["reason"] == {
        "zh": "查看了您的一项服务请求；目的：为您办理服务；依据：本人同意。",
        "en": "Read a service request of yours; to serve you; legal basis: consent.",
    }
    assert datetime.fromisoformat(newest["at"]).tzinfo == UTC


async def test_an_unknown_code_and_an_erased_ones_are_answered_to_the_byte_alike(house):
    gone = uuid4()
    await a_record(house, gone)
    forgotten = uuid4()
    await a_record(house, forgotten)
    await house.vault.destroy(gone)
    await house.vault.destroy(forgotten)
    async with house.desk.database.transaction() as session:  # as erasure leaves it
        values = {"subject": subject_index(house.vault, forgotten)}
        await session.execute(text("DELETE FROM follower WHERE subject = :subject"), values)
        await session.execute(text("DELETE FROM detail WHERE subject = :subject"), values)
    answers = [await house.by_code(gone), await house.by_code(forgotten), await house.by_code(uuid4())]
    assert {one.raw for one in answers} == {b'{"usages":[],"next":null}'}
    assert [one.action for one in await house.details(NOBODY)].count(Action.SEE_WHO_LOOKED) == 3


async def test_the_look_is_in_the_log_before_it_is_answered_and_is_not_shown(house):
    person = uuid4()
    await a_record(house, person)
    shown = (await house.by_code(person)).body
    assert (await house.by_code(person)).body == shown
    looks = [one for one in await house.details(person) if one.action == Action.SEE_WHO_LOOKED]
    assert [(one.purpose, one.actor, one.case) for one in looks] == [("resident-request", None, None)] * 2

    def fail(*_, **__):
        raise RuntimeError("nothing can be logged")

    house.desk.service.record = fail
    with pytest.raises(RuntimeError):
        await house.by_code(person)


async def test_a_code_is_found_however_it_is_written(house):
    person = uuid4()
    await a_record(house, person)
    code = house.vault.follow_code(person).lower().replace("-", " ")
    answer = await house.desk.call("POST", "/api/usage", None, {"code": code})
    assert answer.raw == (await house.by_code(person)).raw


async def test_one_code_is_closed_for_a_while_known_or_not_and_guessing_fills_no_log(house):
    person = uuid4()
    await a_record(house, person)
    house.desk.call.app.state.pace = Pace(looks=2, unknown=4)
    for code in (house.vault.follow_code(person), UNKNOWN):
        answers = [await house.desk.call("POST", "/api/usage", None, {"code": code}) for _ in range(3)]
        assert [one.status for one in answers] == [200, 200, 429]
        assert answers[2].body["type"] == "urn:doorstep:problem:too-often"
        assert 0 < int(answers[2].headers["retry-after"]) <= 60
    for _ in range(6):
        assert (await house.by_code(uuid4())).body["usages"] == []
    logged = [one.action for one in await house.details(NOBODY)]
    assert logged.count(Action.SEE_WHO_LOOKED) == 2 + 2
    other = uuid4()
    await a_record(house, other)
    assert len((await house.by_code(other)).body["usages"]) == 5
    assert Action.SEE_WHO_LOOKED in {one.action for one in await house.details(other)}


def test_a_minute_later_all_codes_are_open_again():
    pace = Pace(looks=1, unknown=0)
    assert (pace.look(b"a"), pace.quiet) == (0, False)
    assert pace.look(b"a") > 0
    pace._ends = 0.0
    assert pace.look(b"a") == 0


@pytest.mark.parametrize(
    "body",
    [
        {}, {"code": ""}, {"code": "x" * 65}, {"code": 7}, {"code": None}, [], "code",
        {"code": UNKNOWN, "subject_id": "1"}, {"code": UNKNOWN, "before": "yesterday"},
        {"code": UNKNOWN, "before": {"at": "2026-11-21T10:00:00", "entry_id": str(UUID(int=1))}},
        {"code": UNKNOWN, "before": {"at": "2026-11-21T10:00:00Z"}},
    ],
)  # fmt: skip
async def test_a_body_that_is_not_a_code_is_told_what_is_wrong_with_it(house, body):
    answer = await house.desk.call("POST", "/api/usage", None, body)
    assert (answer.status, answer.body["type"]) == (422, "urn:doorstep:problem:invalid")
    assert UNKNOWN not in answer.raw.decode()


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"\x00"])
async def test_what_is_no_json_is_malformed(house, body):
    assert (await house.desk.call("POST", "/api/usage", None, body)).status in (400, 422)


async def test_the_way_from_a_code_names_nobody_and_is_made_once(house):
    person = uuid4()
    for _ in range(2):
        await a_record(house, person)
    rows = await house.desk.rows("SELECT * FROM follower")
    assert len(rows) == 1
    code = house.vault.follow_code(person)
    for form in (str(person), person.hex, repr(person.bytes)[2:-1], code, code.replace("-", "")):
        assert form not in repr([tuple(map(bytes, row)) for row in rows])


async def test_times_are_exact_and_in_utc(house):
    person, before = uuid4(), datetime.now(UTC)
    await a_record(house, person)
    times = [datetime.fromisoformat(one["at"]) for one in (await house.by_code(person)).body["usages"]]
    assert all(before <= one <= datetime.now(UTC) for one in times)
    assert max(times) - min(times) < timedelta(minutes=5)


async def test_the_codes_of_one_person_show_their_records_together_and_hide_what_one_hides(house):
    first, second, wife = uuid4(), uuid4(), uuid4()
    record = await a_record(house, first, wife)
    await a_request(house, first, "justice", record)
    await a_record(house, second)
    code, other, hers = (house.vault.follow_code(one) for one in (first, second, wife))

    async def shown(**body: object) -> list[dict[str, str]]:
        answer = await house.desk.call("POST", "/api/usage", None, body)
        assert answer.status == 200
        return list(answer.body["usages"])

    alone = await shown(code=code) + await shown(code=other)
    together = await shown(code=code, others=[other, UNKNOWN])
    assert together == sorted(alone, key=lambda one: (one["at"], one["entry_id"]), reverse=True)
    assert len(together) == 10
    assert await shown(code=code, others=[other, hers]) == together  # an entry about two stands there once
    assert await shown(code=UNKNOWN, others=[other]) == await shown(code=other)
    assert (await house.desk.call("POST", "/api/usage", None, {"code": code, "others": [other] * 50})).status == 422
