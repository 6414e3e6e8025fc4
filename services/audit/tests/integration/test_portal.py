"""Who used my data, through a national portal that identified the resident: all of it, and for that resident alone."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from doorstep.audit.consumers import LogConsumer
from doorstep.audit.operations.knowing import know_residents
from doorstep.contracts.codes import Action, Purpose
from doorstep.contracts.envelope import Envelope
from doorstep.contracts.facts import SubjectKind
from doorstep.contracts.intake import Card, StatedFacts
from doorstep.contracts.registry import AssertedSubject, FactsAsserted
from doorstep.contracts.wire import to_headers
from doorstep.kit.db import Database
from doorstep.kit.intents import staff_subject
from doorstep.kit.testing import eventually, running
from doorstep.kit.vault import SealBroken
from doorstep.local.ports import free_ports

NUMBER, ANOTHER = "11010119900307002X", "110101199003070038"
PORTAL = "portal national-portal portal-1"
PATH = "/api/dumonitor/v2"


async def asserted(vault, subject: UUID, person: UUID, number: str | None, kind: str = "resident-id") -> FactsAsserted:
    """What the registry publishes of a person with such a paper."""
    ring = await vault.ring([subject], create=True)
    card = Card(name="王秀英", document_kind=kind if number else None, document_number=number)
    told = AssertedSubject(
        subject_id=subject,
        kind=SubjectKind.PERSON,
        person_id=person,
        card=ring.seal(subject, card),
        facts=ring.seal(subject, StatedFacts(facts=())),
    )
    home = told.model_copy(update={"subject_id": uuid4(), "kind": SubjectKind.DWELLING, "person_id": None})
    return FactsAsserted(
        record_id=uuid4(), file_id=uuid4(), file_version=1, station="station-7", recorded_by=uuid4(),
        asserted_at=datetime.now(UTC), subjects=(home, told),
    )  # fmt: skip


async def know(house, subject: UUID, person: UUID, number: str | None, kind: str = "resident-id") -> None:
    async with house.desk.database.transaction() as session:
        await know_residents(
            session, vault=house.vault, asserted=await asserted(house.vault, subject, person, number, kind)
        )


async def find(house, number: str = NUMBER, query: str = "", who: str = PORTAL, user: str | None = None):
    code = f"CN{number}"
    named = {"x_road_userid": code if user is None else user}
    return await house.desk.call("GET", f"{PATH}/findUsage?userCode={quote(code)}{query}", who, None, **named)


@pytest.fixture
async def resident(house) -> UUID:
    """A resident whom the registry knows by a resident ID."""
    subject = uuid4()
    await know(house, subject, uuid4(), NUMBER)
    return subject


async def test_a_resident_sees_all_but_what_residents_do(house, resident):
    case = uuid4()
    entries = [
        await house.tell(
            Action.READ_REQUEST, resident, who="officer justice", service="referral", purpose=Purpose.SERVICE,
            case=case, policies=("department-reads-its-own",),
        ),
        await house.tell(Action.TRANSITION_TASK, resident, who="officer health", service="referral", case=case),
        await house.tell(Action.READ_FILE, resident, who="reviewer police", outcome="refused:forbidden"),
    ]  # fmt: skip
    await house.tell(Action.FOLLOW_REQUEST, resident)
    await house.tell(Action.RATE_REQUEST, resident)
    answer = await find(house)
    assert (answer.status, answer.body["totalUsages"], len(entries)) == (200, 3, 3)
    refused, moved, read = answer.body["usages"]
    assert read["action"] == (
        "查看了您的一项服务请求；目的：为您办理服务。Read a service request of yours; to serve you."
    )
    assert (read["receiverCode"], read["receiverName"]) == ("justice", "司法 Justice")
    assert read["receiverSystem"] == "服务转办系统 Service requests"
    assert datetime.fromisoformat(read["logtime"]).utcoffset() == timedelta(0)
    assert moved["receiverCode"] == "health"
    assert refused["action"].endswith("Somebody tried to use your data, was refused, and saw nothing.")
    for secret in (str(case), "department-reads", "officer", "station-7", NUMBER):
        assert secret not in answer.raw.decode()


async def test_all_mentions_of_the_person_are_one_resident_and_nobody_else_is(house, resident):
    person, first, second, stranger = uuid4(), uuid4(), uuid4(), uuid4()
    for subject in (first, second):
        await know(house, subject, person, ANOTHER)
    await know(house, stranger, uuid4(), None)
    await house.tell(Action.READ_FILE, first, second, resident, stranger, who="reviewer station")
    await house.tell(Action.READ_RECORD, second, who="reviewer station", service="intake")
    await house.tell(Action.READ_RECORD, stranger, who="reviewer station", service="intake")
    assert [(await find(house, number)).body["totalUsages"] for number in (ANOTHER, NUMBER)] == [2, 1]


async def test_the_total_is_of_the_period_whatever_the_page(house, resident):
    for _ in range(5):
        await house.tell(Action.READ_FILE, resident, who="reviewer station")
    every = (await find(house)).body
    times = [one["logtime"] for one in every["usages"]]
    assert (every["totalUsages"], times) == (5, sorted(times, reverse=True))
    page = (await find(house, query="&offset=1&limit=2")).body
    assert (page["totalUsages"], page["usages"]) == (5, every["usages"][1:3])
    period = f"&periodStart={quote(times[3])}&periodEnd={quote(times[1])}"
    within = (await find(house, query=f"{period}&limit=1")).body
    assert (within["totalUsages"], within["usages"]) == (3, [every["usages"][1]])
    assert (await find(house, query="&limit=0")).body == {"totalUsages": 5, "usages": []}
    assert (await find(house, query="&offset=5")).body["usages"] == []


async def test_the_look_is_logged_under_the_resident_before_it_is_answered(house, resident):
    assert (await find(house)).body == {"totalUsages": 0, "usages": []}
    [look] = await house.details(resident)
    assert (look.action, look.purpose, look.role) == ("see-who-looked", "resident-request", "portal")
    assert look.policies == ("portal-asks-for-its-resident",)
    assert (await find(house)).body["totalUsages"] == 0


async def test_a_number_that_nobody_has_and_one_of_whom_was_erased_are_answered_alike(house, resident):
    await house.tell(Action.READ_FILE, resident, who="reviewer station")
    await house.vault.destroy(resident)
    answers = [await find(house), await find(house, ANOTHER)]
    assert {one.raw for one in answers} == {b'{"totalUsages":0,"usages":[]}'}
    portal = SimpleNamespace(subject="portal-1")
    assert [one.action for one in await house.details(staff_subject(house.vault, portal))] == ["see-who-looked"] * 2


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("&limit=-1", "invalid"), ("&limit=many", "invalid"), ("&offset=-1", "invalid"),
        ("&offset=2147483648", "invalid"),
        ("&periodStart=yesterday", "invalid"), ("&periodStart=2026-11-21T10:20:30", "invalid"),
        ("&periodStart=2026-11-22T00:00:00Z&periodEnd=2026-11-21T00:00:00Z", "period-reversed"),
    ],
)  # fmt: skip
async def test_a_parameter_that_is_wrong_is_400_and_says_which(house, query, problem):
    answer = await find(house, query=query)
    assert (answer.status, answer.body["type"]) == (400, f"urn:doorstep:problem:{problem}")
    assert problem != "invalid" or answer.body["errors"][0]["pointer"] == "/query/" + query[1:].partition("=")[0]


async def test_whoever_is_not_named_as_asking_for_themselves_gets_400(house, resident):
    for number, user, problem in (
        (NUMBER, f"CN{ANOTHER}", "not-oneself"),
        (NUMBER, "", "not-oneself"),
        ("E12345678", None, "user-code"),
        ("", None, "user-code"),
    ):
        answer = await find(house, number, user=user)
        assert (answer.status, answer.body["type"]) == (400, f"urn:doorstep:problem:{problem}")
        assert NUMBER not in answer.raw.decode()
    for path, headers in (("findUsage", {"x_road_userid": "CN1"}), (f"findUsage?userCode=CN{NUMBER}", {})):
        answer = await house.desk.call("GET", f"{PATH}/{path}", PORTAL, None, **headers)
        assert (answer.status, answer.body["type"]) == (400, "urn:doorstep:problem:invalid")
    assert await house.details(resident) == []


@pytest.mark.parametrize(
    "who", ["reviewer station x", "auditor audit x", "operator station x", "resident resident x", "portal police x"]
)
async def test_only_a_portal_asks(house, resident, who):
    for path in (f"findUsage?userCode=CN{NUMBER}", "findUsage", "usagePeriod"):
        answer = await house.desk.call("GET", f"{PATH}/{path}", who, None, x_road_userid=f"CN{NUMBER}")
        assert (answer.status, answer.body["type"]) == (403, "urn:doorstep:problem:forbidden")
    assert (await house.desk.call("GET", f"{PATH}/usagePeriod")).status == 401


async def test_the_period_begins_with_the_first_detail(house):
    empty = (await house.desk.call("GET", f"{PATH}/usagePeriod", PORTAL)).body
    assert datetime.now(UTC) - datetime.fromisoformat(empty["periodStart"]) < timedelta(minutes=1)
    await house.tell(Action.READ_FILE, uuid4(), who="reviewer station")
    begun = (await house.desk.call("GET", f"{PATH}/usagePeriod", PORTAL)).body
    start = datetime.fromisoformat(begun["periodStart"])
    assert (start.minute, start.second, start <= datetime.now(UTC)) == (0, 0, True)


async def test_the_heartbeat_fails_with_the_database(house):
    answer = await house.desk.call("GET", f"{PATH}/heartbeat")
    assert (answer.status, answer.body["status"]) == (200, "OK")
    mine = house.desk.service.database
    away = Database(f"postgresql+asyncpg://nobody@127.0.0.1:{free_ports(1)[0]}/nothing", service="audit")
    house.desk.service.database = away
    try:
        answer = await house.desk.call("GET", f"{PATH}/heartbeat")
        assert (answer.status, answer.body["status"]) == (200, "FAIL")
        assert (await find(house)).status == 503
    finally:
        house.desk.service.database = mine
        await away.close()


# --- what the registry tells --------------------------------------------------------------------------------------


async def rows(database) -> list:
    async with database.transaction() as session:
        return [
            tuple(row) for row in await session.execute(text("SELECT subject, holder, person, paper FROM resident"))
        ]


async def test_no_number_no_person_and_no_subject_is_kept_in_plain(house):
    subject, person = uuid4(), uuid4()
    for _ in range(2):
        await know(house, subject, person, NUMBER)
    kept = await rows(house.desk.database)
    assert len(kept) == 1
    for form in (NUMBER, str(subject), subject.hex, repr(subject.bytes)[2:-1], str(person), repr(person.bytes)[2:-1]):
        assert form not in repr(kept)


async def test_only_a_number_that_this_country_gives_once_names_a_resident(house):
    for kind in ("passport", "birth-certificate", "household-book"):
        await know(house, uuid4(), uuid4(), NUMBER, kind)
    assert {row[3] for row in await rows(house.desk.database)} == {None}


async def test_a_paper_that_is_not_shown_again_is_not_forgotten(house):
    subject, person = uuid4(), uuid4()
    await know(house, subject, person, NUMBER)
    await know(house, subject, person, None)
    await house.tell(Action.READ_FILE, subject, who="reviewer station")
    assert (await find(house)).body["totalUsages"] == 1


async def test_whoever_was_erased_meanwhile_is_passed_over_and_a_broken_seal_is_told(house):
    subject = uuid4()
    event = await asserted(house.vault, subject, uuid4(), NUMBER)
    broken = event.subjects[1].model_copy(update={"card": event.subjects[1].facts})
    async with house.desk.database.transaction() as session:
        with pytest.raises(SealBroken):
            await know_residents(session, vault=house.vault, asserted=event.model_copy(update={"subjects": (broken,)}))
    await house.vault.destroy(subject)
    async with house.desk.database.transaction() as session:
        await know_residents(session, vault=house.vault, asserted=event)
    assert await rows(house.desk.database) == []


async def test_the_log_takes_residents_from_the_registrys_topic_and_what_is_wrong_there_is_a_dead_letter(
    service, log, vault, broker
):
    service.broker = broker
    await broker.ensure_topics("registry")
    producer = await broker.producer()
    event = await asserted(vault, uuid4(), uuid4(), NUMBER)

    async def send(number: int, value: bytes) -> None:
        envelope = Envelope(
            id=uuid4(), source="doorstep/registry", type=event.event_type, time=datetime.now(UTC), key=event.file_id,
            number=number,
        )  # fmt: skip
        key = str(event.file_id).encode()
        await producer.send("registry.facts", value=value, key=key, headers=to_headers(envelope))

    await send(1, event.model_dump_json().encode())
    await send(2, b'{"record_id": 7}')
    await producer.stop()

    async def taken() -> bool:
        async with log.database.transaction() as session:
            letters = (await session.execute(text("SELECT topic FROM dead_letter"))).scalars().all()
        return (len(await rows(log.database)), letters) == (1, ["registry.facts"])

    async with running(LogConsumer(service).run):
        await eventually(taken, within=60)
    async with log.database.transaction() as session:
        assert (await session.execute(text("SELECT 1 FROM pending"))).all() == []
