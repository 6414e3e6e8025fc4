"""Dead letters: listed, shown, replayed and passed over, over HTTP and by the command, and logged."""

import asyncio
import json
import sys
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from aiohttp import web
from aiokafka import TopicPartition
from sqlalchemy import text

from doorstep.contracts.audit import AuditDetail, AuditEntrySubmitted
from doorstep.contracts.topics import TOPICS
from doorstep.kit.consumer import TryAgain
from doorstep.kit.testing import eventually
from doorstep.kit.vault import NOBODY
from doorstep.local.ports import free_ports

PATH = "/api/dead-letters"
REPAIR = {"Doorstep-Purpose": "repair"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def desk(stage, edge):
    """The running consumer's database, looked after over HTTP."""
    edge.service.database = stage.flow.consumer
    return edge


async def entries(stage) -> list[AuditEntrySubmitted]:
    rows = await stage.flow.rows(
        "SELECT body FROM outbox WHERE topic = 'audit.entry.referral' ORDER BY position", stage.flow.consumer
    )
    return [AuditEntrySubmitted.model_validate_json(bytes(body)) for (body,) in rows]


async def last_detail(stage, desk) -> AuditDetail:
    [sealed] = (await entries(stage))[-1].details
    ring = await desk.service.vault.ring([sealed.subject_id])
    return ring.open(sealed, AuditDetail)


async def dead(stage, numbers: int = 1) -> tuple[UUID, str]:
    """A key with a dead letter, and the letter's id."""
    key = uuid4()

    async def refuse(session, received):
        if received.envelope.number == 1:
            raise KeyError("poison")

    stage.behaviour[key] = refuse
    await stage.flow.write(*[key] * numbers)
    await stage.died(key, 1)
    return key, str((await stage.letters(key))[0][0])


async def test_a_dead_letter_is_listed_shown_replayed_and_gone_to_its_topic(stage, desk):
    key, letter = await dead(stage)
    status, listing, _ = await desk.ask("GET", PATH, role="operator")
    [listed] = [one for one in listing["dead_letters"] if one["id"] == letter]
    assert (status, listed["topic"], listed["error"], listed["replayed_at"]) == (200, "risk.needs", "KeyError", None)
    assert "body" not in listed

    status, shown, _ = await desk.ask("GET", f"{PATH}/{letter}", role="operator", headers=REPAIR)
    assert status == 200
    assert json.loads(shown["body"])["file_id"] == str(key)
    assert shown["headers"]["ce_type"] == "risk.needs-assessed.v1"

    del stage.behaviour[key]
    status, _, _ = await desk.ask("POST", f"{PATH}/{letter}/replay", role="operator", headers=REPAIR)
    assert status == 202
    await stage.has(key, 1)

    async def replayed() -> bool:
        _, found, _ = await desk.ask("GET", f"{PATH}/{letter}", role="operator", headers=REPAIR)
        return found["replayed_at"] is not None

    await eventually(replayed)
    await asyncio.sleep(1.2)
    assert await stage.effects(key) == [1]  # once


async def test_the_dead_letter_topic_receives_it_as_it_was(stage):
    key, letter = await dead(stage)
    reader = stage.flow.broker.consumer()
    await reader.start()
    try:
        topic = TOPICS["risk.needs"].dead_letter("referral")
        from_start = [TopicPartition(topic, 0)]
        reader.assign(from_start)
        await reader.seek_to_beginning()
        async with asyncio.timeout(20):
            async for message in reader:
                headers = dict(message.headers)
                if headers.get("doorstep_dead_letter_id") == letter.encode():
                    break
    finally:
        await reader.stop()
    assert headers["doorstep_error"] == b"KeyError"
    assert headers["ce_type"] == b"risk.needs-assessed.v1"
    assert json.loads(message.value)["file_id"] == str(key)


async def test_a_replay_drains_what_is_parked_of_the_key_first(stage, desk):
    """The second event waits for another attempt when the first is to be replayed: it comes before it."""
    key, reluctant = uuid4(), True

    async def refuse(session, received):
        if received.envelope.number == 1 and reluctant:
            raise KeyError("poison")
        if received.envelope.number == 2 and reluctant:
            raise TryAgain

    stage.behaviour[key] = refuse
    await stage.flow.write(key, key)
    await stage.died(key, 1)
    letter = (await stage.letters(key))[0][0]

    async def parked() -> bool:
        query = "SELECT 1 FROM parked WHERE key = :key"
        return bool(await stage.flow.rows(query, stage.flow.consumer, key=key))

    await eventually(parked)
    await desk.ask("POST", f"{PATH}/{letter}/replay", role="operator", headers=REPAIR)
    reluctant = False
    await stage.has(key, 2, 1)


async def test_a_replay_that_fails_says_why_and_may_be_asked_for_again(stage, desk):
    key, letter = await dead(stage)
    await desk.ask("POST", f"{PATH}/{letter}/replay", role="operator", headers=REPAIR)

    async def failed() -> bool:
        _, shown, _ = await desk.ask("GET", f"{PATH}/{letter}", role="operator", headers=REPAIR)
        return shown["replay_error"] == "KeyError"

    await eventually(failed)
    del stage.behaviour[key]
    await desk.ask("POST", f"{PATH}/{letter}/replay", role="operator", headers=REPAIR)
    await stage.has(key, 1)


async def test_reading_and_replaying_are_logged_with_purpose_and_policy(stage, desk):
    _, letter = await dead(stage)
    before = len(await entries(stage))
    await desk.ask("GET", f"{PATH}/{letter}", role="operator", headers=REPAIR)
    detail = await last_detail(stage, desk)
    assert (detail.action, detail.purpose, detail.case, detail.role) == (
        "read-dead-letter",
        "repair",
        letter,
        "operator",
    )
    assert detail.policies == ("operator-opens-dead-letters",)
    await desk.ask("POST", f"{PATH}/{letter}/replay", role="operator", headers=REPAIR)
    assert (await last_detail(stage, desk)).action == "replay-dead-letter"
    assert len(await entries(stage)) == before + 2


async def test_a_dead_letter_about_somebody_is_logged_under_that_subject(stage, desk):
    subject, letter = uuid4(), uuid4()
    await desk.service.vault.ring([subject], create=True)
    async with stage.flow.consumer.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO dead_letter (id, topic, partition, kafka_offset, headers, body, error)"
                " VALUES (:id, 'risk.needs', 0, 0, jsonb_build_object('ce_subject', CAST(:subject AS text)), '', 'x')"
            ),
            {"id": letter, "subject": str(subject)},
        )
    await desk.ask("GET", f"{PATH}/{letter}", role="operator", headers=REPAIR)
    assert (await entries(stage))[-1].details[0].subject_id == subject
    await desk.service.vault.destroy(subject)
    await desk.ask("GET", f"{PATH}/{letter}", role="operator", headers=REPAIR)
    assert (await entries(stage))[-1].details[0].subject_id == NOBODY


@pytest.mark.parametrize("role", ["collector", "reviewer", "supervisor", "officer", "auditor", "resident"])
async def test_nobody_but_operators_sees_dead_letters(desk, role):
    for method, path in (("GET", ""), ("GET", f"/{uuid4()}"), ("POST", f"/{uuid4()}/replay")):
        status, _, _ = await desk.ask(method, PATH + path, role=role, headers=REPAIR)
        assert status == 403


async def test_an_operator_needs_the_purpose_of_repair(stage, desk):
    _, letter = await dead(stage)
    before = len(await entries(stage))
    for tries, headers in enumerate(({}, {"Doorstep-Purpose": "triage"}), start=1):
        status, _, _ = await desk.ask("GET", f"{PATH}/{letter}", role="operator", headers=headers)
        assert status == 403
        assert len(await entries(stage)) == before + tries
    assert (await desk.ask("GET", f"{PATH}/{uuid4()}", role="operator", headers=REPAIR))[0] == 404


@pytest_asyncio.fixture(loop_scope="session")
async def gateway(desk):
    """Maps /api/dead-letters/<service>/... to the service's own, as the gateway does; gives its address."""

    async def forward(request: web.Request) -> web.Response:
        assert request.match_info["service"] == "referral"
        path = PATH + request.match_info["rest"]
        headers = {name: request.headers[name] for name in ("Authorization", "Doorstep-Purpose")}
        body = await request.read()
        options = {"data": body, "headers": {"Content-Type": "application/json"}} if body else {"headers": {}}
        options["headers"] |= headers
        status, document, _ = await desk.ask(request.method, path, **options)
        return web.json_response(document, status=status)

    application = web.Application()
    application.router.add_route("*", PATH + "/{service:[a-z]+}{rest:.*}", forward)
    runner = web.AppRunner(application)
    await runner.setup()
    port = free_ports(1)[0]
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"http://127.0.0.1:{port}"
    await runner.cleanup()


async def command(desk, gateway: str, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "doorstep.cli",
        "dead-letters",
        *arguments,
        "--service",
        "referral",
        "--url",
        gateway,
        env={"DOORSTEP_TOKEN": desk.issuer.token("operator"), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_the_command_lists_shows_replays_and_passes_over(stage, desk, gateway):
    key, letter = await dead(stage)
    hole = uuid4()
    for number in (1, 3):
        await stage.flow.send(hole, number, 5_000_000 + number)
    await stage.has(hole, 1)
    status, printed = await command(desk, gateway, "list")
    assert status == 0
    assert letter in printed
    assert f"risk.needs {hole} 2-2: 1 wait" in printed

    status, printed = await command(desk, gateway, "show", letter)
    assert (status, json.loads(printed)["error"]) == (0, "KeyError")

    del stage.behaviour[key]
    assert (await command(desk, gateway, "replay", letter))[0] == 0
    await stage.has(key, 1)

    status, printed = await command(desk, gateway, "pass-over", "risk.needs", str(hole), "7")
    assert (status, "409" in printed) == (1, True)
    assert (await command(desk, gateway, "pass-over", "risk.needs", str(hole), "2"))[0] == 0
    await stage.has(hole, 1, 3)
    assert (await last_detail(stage, desk)).outcome == "passed-over"

    status, printed = await command(desk, gateway, "show", str(uuid4()))
    assert (status, "Traceback" in printed) == (1, False)
