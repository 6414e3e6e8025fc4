"""Of an erased subject triage keeps nothing, however late it comes, and what was said about it is 410."""

import asyncio
from uuid import UUID, uuid4

from uuid_utils.compat import uuid7

from doorstep.contracts.codes import Action
from doorstep.contracts.facts import CATALOGUE
from doorstep.contracts.needs import NEED_TYPES
from doorstep.kit import idempotency
from doorstep.kit.auth import Principal
from doorstep.kit.consumer import Received
from doorstep.kit.testing import golden
from doorstep.risk.consumers import handlers
from doorstep.risk.domain.compiler import compile_pack
from doorstep.risk.domain.pack import published_pack
from doorstep.risk.operations import activation, erase_subject

REVIEWER = Principal("reviewer-1", "reviewer", "station", "station-7")
PACK = compile_pack(published_pack(), CATALOGUE, NEED_TYPES)
TABLES = ("assessed_subject", "need")


async def erase(desk, subject: UUID) -> None:
    async with desk.database.transaction() as session:
        await erase_subject(session, subject_id=subject)


async def kept(desk, subject: UUID) -> list[str]:
    return [
        table
        for table in TABLES
        if await desk.rows(f"SELECT 1 FROM {table} WHERE subject_id = :id", id=subject)  # noqa: S608
    ]


async def test_needs_and_decisions_go_and_the_others_of_the_record_stay(desk, call, fact) -> None:
    event = await desk.assessed(person=[fact("wish.legal-aid")], dwelling=[fact("dwelling.gas-hose", "expired")])
    [need] = await desk.rows("SELECT need_id FROM need WHERE subject_id = :id", id=desk.subjects["dwelling"])
    body = {"id": str(uuid7()), "decision": "confirmed", "reason": "属实"}
    path = f"/api/needs/{need.need_id}/decision"
    assert (await call("POST", path, token="reviewer", body=body)).status == 200
    for _ in range(2):
        await erase(desk, desk.subjects["dwelling"])
    assert await kept(desk, desk.subjects["dwelling"]) == []
    assert await desk.rows("SELECT 1 FROM decision WHERE need_id = :id", id=need.need_id) == []
    assert await kept(desk, desk.subjects["person"]) == list(TABLES)
    again = await call("POST", path, token="reviewer", body=body)
    assert (again.status, again.body["type"]) == (410, "urn:doorstep:problem:erased")
    shown = await call("GET", f"/api/assessments/{event.record_id}", token="reviewer", purpose="triage")
    assert {one["subject_id"] for one in shown.body["subjects"]} == {str(desk.subjects["person"])}


async def test_facts_that_come_late_leave_nothing_of_it(desk, fact) -> None:
    event = await desk.facts(person=[fact("wish.legal-aid")], dwelling=[fact("dwelling.gas-hose", "expired")])
    await erase(desk, desk.subjects["dwelling"])
    await desk.assess(event)
    assert await kept(desk, desk.subjects["dwelling"]) == []
    assert await kept(desk, desk.subjects["person"]) == list(TABLES)


async def test_facts_and_their_erasure_in_one_transaction_leave_nothing(desk, keys, fact) -> None:
    event = await desk.facts(person=[fact("wish.legal-aid")])
    take = handlers(keys, PACK)
    received = golden("registry.subject-erased.v1").received
    erased = received.event.model_copy(update={"subject_id": desk.subjects["person"]})
    async with desk.database.transaction() as session:
        for one in (event, erased):
            await take[type(one)](session, Received(received.envelope, one))
    assert await kept(desk, desk.subjects["person"]) == []


async def test_assessing_and_erasing_at_once_leave_nothing(desk, fact) -> None:
    for _ in range(8):
        event = await desk.facts(person=[fact("wish.legal-aid")])
        await asyncio.gather(desk.assess(event), erase(desk, desk.subjects["person"]))
        assert await kept(desk, desk.subjects["person"]) == []


async def test_commands_about_other_needs_are_answered_again(desk) -> None:
    command = uuid4()
    async with desk.database.transaction() as session:
        await idempotency.claim(session, REVIEWER, command, b"1" * 32, answer={"need_id": str(uuid4())})
        await idempotency.erase_about(session, [uuid4()])
    async with desk.database.transaction() as session:
        assert await idempotency.claim(session, REVIEWER, command, b"1" * 32) is not None


async def test_every_assessment_cites_its_rule_pack_and_so_does_its_coming_into_force(desk, fact) -> None:
    await desk.assessed(person=[fact("wish.legal-aid")])
    [entry] = await desk.logged(desk.subjects["person"])
    pack = published_pack()
    assert (entry["action"], entry["policies"]) == ("assess-needs", [f"rules:{pack.name()}"])
    said = activation(PACK)
    assert (said.action, said.outcome) == (Action.ACTIVATE_RULES, f"sha256:{pack.digest()}")
    assert said.policies == (f"rules:{pack.name()}",)
