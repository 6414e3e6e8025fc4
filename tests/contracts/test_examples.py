"""Golden messages: whole, readable, what producers write, and what consumers take."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import jsonschema
import pytest
from sqlalchemy import text

from doorstep.audit.consumers import storing
from doorstep.contracts.codes import Decision, Department, Outcome, Reason, Role, TaskState
from doorstep.contracts.facts import CATALOGUE, Fact
from doorstep.contracts.intake import Card
from doorstep.contracts.needs import NEED_TYPES
from doorstep.contracts.schemas import contents, documents
from doorstep.contracts.sealed import Sealed
from doorstep.contracts.topics import EVENTS, TOPICS
from doorstep.contracts.wire import to_headers
from doorstep.gateway.consumers import HANDLERS
from doorstep.intake.domain.record import Record, Subject
from doorstep.intake.operations.records import record_visit
from doorstep.kit import outbox
from doorstep.kit.auth import Principal
from doorstep.kit.consumer import Handler
from doorstep.kit.db import Database
from doorstep.kit.testing import (
    EXAMPLES,
    KIT_TABLES,
    Databases,
    Golden,
    golden,
    golden_ring,
    hold_golden_keys,
)  # fmt: skip
from doorstep.kit.vault import Vault
from doorstep.referral.consumers import handlers as referral_handlers
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.ratings import rate_request
from doorstep.referral.operations.tasks import Wish, transition_request, transition_task
from doorstep.registry.consumers import handlers as registry_handlers
from doorstep.risk.consumers import handlers as risk_handlers
from doorstep.risk.domain.compiler import compile_pack
from doorstep.risk.domain.pack import published_pack
from doorstep.risk.operations import decide_need

REVIEWER = Principal("reviewer-1", Role.REVIEWER, "station", "station-1")
VISIT = "intake.visit-recorded.v1"
MODELS = {model.__name__: model for model in contents()}
FILES = sorted(path.stem for path in EXAMPLES.glob("*.json") if path.stem != "keys")


def value_of(message: Golden) -> dict[str, Any]:
    """The event's data as JSON, out of whichever envelope."""
    return json.loads(message.received.event.model_dump_json(exclude_none=True))


def shape(value: Any, at: str = "$") -> set[tuple[str, str]]:
    """Every place in a value and the type that stands there; all entries of a list are one place."""
    if isinstance(value, dict):
        return {(at, "object")}.union(*(shape(one, f"{at}.{name}") for name, one in value.items()))
    if isinstance(value, list):
        return {(at, "array")}.union(*(shape(one, f"{at}[]") for one in value))
    return {(at, type(value).__name__)}


def at_pointer(value: Any, pointer: str) -> Any:
    for name in pointer.split("/")[1:]:
        value = value[int(name)] if isinstance(value, list) else value[name]
    return value


def test_every_event_has_a_golden_message() -> None:
    missing = set(EVENTS) - set(FILES)
    assert missing == set(), "python tests/contracts/make_examples.py makes them"
    assert {name.removesuffix(".structured") for name in FILES} == set(EVENTS)


@pytest.mark.parametrize("name", FILES)
def test_a_golden_message_is_a_whole_event_of_its_topic(name: str) -> None:
    message = golden(name)
    received = message.received
    topic = TOPICS[message.topic]
    assert type(received.event) in topic.events
    assert received.envelope.type == received.event.event_type
    assert received.envelope.source == f"doorstep/{topic.producer}"
    assert received.envelope.key == UUID(message.key.decode())
    assert (received.envelope.number is not None) is topic.ordered


@pytest.mark.parametrize("name", FILES)
def test_a_golden_message_keeps_to_the_schemas(name: str) -> None:
    made, message = documents(), golden(name)
    check = jsonschema.Draft202012Validator.FORMAT_CHECKER
    jsonschema.Draft202012Validator(made[f"{message.received.envelope.type}.json"], format_checker=check).validate(
        value_of(message)
    )
    headers = {header: content.decode() for header, content in to_headers(message.received.envelope)}
    jsonschema.Draft202012Validator(made["envelope.json"], format_checker=check).validate(headers)
    for part in message.sealed.values():
        jsonschema.Draft202012Validator(made[f"contents/{part['content']}.json"], format_checker=check).validate(
            part["opened"]
        )


@pytest.mark.parametrize("name", FILES)
def test_reading_and_writing_a_golden_message_changes_nothing(name: str) -> None:
    message = golden(name)
    if not name.endswith(".structured"):
        assert to_headers(message.received.envelope) == message.headers
    if message.received.envelope.content_type == "application/json":
        document = json.loads(message.value)
        assert value_of(message) == (document["data"] if name.endswith(".structured") else document)


def test_both_modes_say_the_same() -> None:
    assert golden(f"{VISIT}.structured").received == golden(VISIT).received


@pytest.mark.parametrize("name", FILES)
def test_sealed_parts_of_a_golden_message_open_to_what_it_says(name: str) -> None:
    message = golden(name)
    for pointer, part in message.sealed.items():
        model = MODELS[part["content"]]
        sealed = Sealed[model].model_validate_json(json.dumps(at_pointer(value_of(message), pointer)))
        opened = golden_ring().open(sealed, model)
        assert json.loads(opened.model_dump_json(exclude_none=True)) == part["opened"]


@pytest.mark.parametrize("name", FILES)
def test_a_field_of_a_later_version_is_let_be(name: str) -> None:
    received = golden(name).received
    later = {**json.loads(received.event.model_dump_json(exclude_none=True)), "weather": {"rain": True}}
    assert type(received.event).model_validate_json(json.dumps(later)) == received.event


class Room:
    """One service's database and the vault, with what its outbox holds after it took a golden message."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self.database, self.vault = database, vault

    async def take(self, handlers: dict[type, Handler], name: str) -> None:
        received = golden(name).received
        async with self.database.transaction() as session:
            await handlers[type(received.event)](session, received)

    async def published(self, event_type: str) -> Golden:
        """The first event of this type in the outbox, as its message; a feed's as its department decrypts it."""
        async with self.database.transaction() as session:
            query = text("SELECT topic, key, subject, body FROM outbox WHERE type = :type ORDER BY position LIMIT 1")
            row = (await session.execute(query, {"type": event_type})).one()
        body = row.body
        if row.topic.startswith("feed."):
            ring = await self.vault.ring([row.subject])
            body = ring.decrypt(row.subject, outbox.feed_context(row.key), row.body)
        headers = [h for h in golden(event_type).headers if h[0] != "content-type"]
        plain = [("content-type", b"application/json"), *headers]
        return Golden(row.topic, str(row.key).encode(), plain, body, {})

    async def one(self, query: str) -> Any:
        """The first row of a query."""
        async with self.database.transaction() as session:
            return (await session.execute(text(query))).first()


@pytest.fixture
async def room(request: pytest.FixtureRequest, databases: Databases, vault: Vault) -> AsyncIterator[Room]:
    """The database of the service that the test names."""
    service = request.param
    database = Database(await databases.new(KIT_TABLES, f"doorstep.{service}:migrations"), service=service, pool_size=2)
    hold_golden_keys(vault)
    yield Room(database, vault)
    await database.close()


def assert_as_golden(made: Golden, *, absent: frozenset[str] = frozenset()) -> None:
    """`made` has the places and types of the golden message; those in `absent` depend on what was recorded."""
    expected = golden(made.received.envelope.type)
    assert made.topic.partition(".")[0] == expected.topic.partition(".")[0]
    ours, theirs = shape(value_of(made)), shape(value_of(expected))
    assert ours - theirs == set()
    assert {place for place, _ in theirs - ours} <= absent


@pytest.mark.parametrize("room", ["intake"], indirect=True)
async def test_intake_publishes_records_as_in_the_example(room: Room) -> None:
    example, sealed = golden(VISIT).received.event, golden(VISIT).sealed
    subjects = tuple(
        Subject(
            uuid4(),
            one.kind,
            Card.model_validate_json(json.dumps(sealed[f"/subjects/{i}/card"]["opened"])),
            tuple(
                Fact.model_validate_json(json.dumps(fact)) for fact in sealed[f"/subjects/{i}/facts"]["opened"]["facts"]
            ),
        )
        for i, one in enumerate(example.subjects)
    )
    record = Record(uuid4(), uuid4(), False, example.channel, example.visited_at, subjects)
    collector = Principal("collector-1", Role.COLLECTOR, "station", "station-1")
    async with room.database.transaction() as session:
        await record_visit(session, vault=room.vault, principal=collector, record=record, digest=b"0" * 32)
    assert_as_golden(await room.published(VISIT))
    assert_as_golden(await room.published("audit.entry-submitted.v1"))


@pytest.mark.parametrize("room", ["registry"], indirect=True)
async def test_the_registry_takes_records_and_publishes_facts_as_in_the_examples(room: Room) -> None:
    await room.take(registry_handlers(room.vault), VISIT)
    assert_as_golden(await room.published("registry.facts-asserted.v1"))


@pytest.mark.parametrize("room", ["risk"], indirect=True)
async def test_triage_takes_facts_and_publishes_needs_as_in_the_examples(room: Room) -> None:
    pack = compile_pack(published_pack(), CATALOGUE, NEED_TYPES)
    await room.take(risk_handlers(room.vault, pack), "registry.facts-asserted.v1")
    assert_as_golden(await room.published("risk.needs-assessed.v1"))
    (suggested,) = await room.one("SELECT need_id FROM need WHERE NOT wanted LIMIT 1")
    async with room.database.transaction() as session:
        await decide_need(
            session,
            need_id=suggested,
            decision=Decision.CONFIRMED,
            reason="属实",
            vault=room.vault,
            principal=REVIEWER,
        )
    assert_as_golden(await room.published("risk.need-decided.v1"))


@pytest.mark.parametrize("room", ["referral"], indirect=True)
async def test_referral_takes_needs_and_publishes_requests_and_feeds_as_in_the_examples(room: Room) -> None:
    handlers = referral_handlers(room.vault)
    await room.take(handlers, "risk.needs-assessed.v1")
    await room.take(handlers, "risk.need-decided.v1")
    assert_as_golden(await room.published("referral.request-opened.v1"))
    assert_as_golden(await room.published("feed.request-offered.v1"))


@pytest.mark.parametrize("room", ["referral"], indirect=True)
async def test_referral_publishes_steps_ratings_and_withdrawals_as_in_the_examples(room: Room) -> None:
    await room.take(referral_handlers(room.vault), "risk.needs-assessed.v1")
    query = "SELECT department, ref, request_id, follow_ref FROM task JOIN request USING (request_id)"
    department, ref, request_id, follow_ref = await room.one(query)
    await room.one("UPDATE request SET confidential = false RETURNING 1")  # the example's is not rated by its code
    officer = Access(Principal("officer-1", Role.OFFICER, department))
    steps = (Wish(TaskState.ACCEPTED, 1), Wish(TaskState.COMPLETED, 2, outcome=Outcome.ADVICE_GIVEN))
    for wish in steps:
        async with room.database.transaction() as session:
            await transition_task(
                session,
                vault=room.vault,
                access=officer,
                department=Department(department),
                ref=ref,
                wish=wish,
                now=datetime.now(UTC),
            )
    assert_as_golden(await room.published("referral.task-transitioned.v1"), absent=frozenset({"$.detail"}))
    code = golden(VISIT).sealed["/subjects/0/card"]["opened"]["follow_code"]
    async with room.database.transaction() as session:
        await rate_request(
            session,
            vault=room.vault,
            follow_index=room.vault.follow_index(code),
            ref=follow_ref,
            solved=True,
            stars=5,
            now=datetime.now(UTC),
        )
    assert_as_golden(await room.published("referral.request-rated.v1"))
    async with room.database.transaction() as session:
        await transition_request(
            session,
            vault=room.vault,
            access=Access(REVIEWER),
            station="station-1",
            request_id=request_id,
            wish=Wish(TaskState.ENTERED_IN_ERROR, 3, reason=Reason.WRONG_RECORD),
            now=datetime.now(UTC),
        )
    second = Principal("reviewer-2", Role.REVIEWER, "station", "station-1")
    async with room.database.transaction() as session:
        await transition_request(
            session,
            vault=room.vault,
            access=Access(second),
            station="station-1",
            request_id=request_id,
            wish=Wish(TaskState.ENTERED_IN_ERROR, 4, reason=Reason.WRONG_RECORD),
            now=datetime.now(UTC),
        )
    assert_as_golden(await room.published("feed.request-withdrawn.v1"))


@pytest.mark.parametrize("room", ["gateway"], indirect=True)
async def test_the_gateway_takes_every_example_of_the_journey(room: Room) -> None:
    taken = [name for name, event in EVENTS.items() if event in HANDLERS]
    assert len(taken) == 10
    for name in taken:
        await room.take(dict(HANDLERS), name)


@pytest.mark.parametrize("room", ["audit"], indirect=True)
async def test_the_log_takes_the_example_of_an_entry(room: Room) -> None:
    await room.take({type(golden("audit.entry-submitted.v1").received.event): storing(room.vault)},
                    "audit.entry-submitted.v1")  # fmt: skip
    assert await room.one("SELECT 1 FROM pending")
