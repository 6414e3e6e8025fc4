"""The log and its witnesses, real processes all: a quorum makes a checkpoint witnessed, and nobody waits for it."""

import asyncio
import json
import socket
import time

import aiohttp
import pytest
from aiohttp import web
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

from doorstep.audit.commands import application
from doorstep.audit.domain.checkpoint import open_checkpoint, parse_body
from doorstep.audit.domain.cosignature import WitnessSigningKey
from doorstep.audit.domain.note import Note
from doorstep.audit.domain.quorum import Quorum, Witness, check_witnessed
from doorstep.audit.operations import witnessing
from doorstep.audit.operations.duty import SequencerDuty
from doorstep.audit.operations.witnessing import AWAY, REFUSED, Witnessing
from doorstep.audit.settings import LogSettings
from doorstep.audit.worker import add_work
from doorstep.kit.testing import eventually, running


@pytest.fixture
def witnesses_file(three, tmp_path):
    file = tmp_path / "witnesses"
    file.write_text("".join(f"{one.key.verifier} {one.url}\n" for one in three))
    return file


def asking(log, witnesses, **options) -> Witnessing:
    return Witnessing(log.database, [one.witness for one in witnesses], on_duty=lambda: True, **options)


async def turn(asked: Witnessing) -> None:
    async with witnessing.client() as http:
        await asked.turn(http)


async def grow(log, count: int) -> list:
    ids = await log.submit(count)
    await log.drain()
    return ids


async def read(url: str, path: str) -> tuple[int, bytes]:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/{path}") as response:
        return response.status, await response.read()


async def cosignatures(log) -> list[tuple[int, str]]:
    async with log.database.transaction() as session:
        rows = await session.execute(text("SELECT size, witness FROM cosignature ORDER BY size, witness"))
        return [(row.size, row.witness) for row in rows]


async def doorstep(*arguments: str) -> tuple[int, str]:
    result = await asyncio.to_thread(CliRunner().invoke, application, arguments)
    return result.exit_code, result.output


def options(witnesses) -> list[str]:
    return [word for one in witnesses for word in ("--witness", str(one.key.verifier))]


def metric(gauge, witness) -> float:
    return gauge.labels(witness.key.name)._value.get()


async def test_two_of_three_make_it_witnessed_and_one_does_not(log, url, witnesses, tmp_path):
    asked = asking(log, witnesses)
    await grow(log, 300)
    witnesses[2].kill()
    await turn(asked)
    status, note = await read(url, "witnessed-checkpoint")
    assert status == 200
    assert open_checkpoint(note, log.origin, [log.key.verifier]).size == 300
    cosigners = check_witnessed(note, Quorum.of(options(witnesses)[1::2], 2, 60), time.time())
    assert cosigners.names == tuple(one.key.name for one in witnesses[:2])
    assert (await read(url, "checkpoint"))[1] == note
    assert [metric(AWAY, one) for one in witnesses] == [0, 0, 1]

    key = ("--vkey", str(log.key.verifier))
    status, out = await doorstep("verify", "--url", url, *key, *options(witnesses), "--json")
    assert (status, json.loads(out)["entries"], len(json.loads(out)["witnesses"])) == (0, 300, 2)
    status, out = await doorstep("verify", "--url", url, *key, *options(witnesses), "--quorum", "3")
    assert (status, "2 of 3 witnesses count, 3 are needed: witness.example/health did not cosign" in out) == (1, True)

    witnesses[1].kill()
    await grow(log, 10)
    await turn(asked)
    assert parse_body(Note.parse((await read(url, "witnessed-checkpoint"))[1]).text).size == 300
    newest = Note.parse((await read(url, "checkpoint"))[1])
    assert (parse_body(newest.text).size, len(newest.signatures)) == (310, 2)
    status, out = await doorstep("verify", "--url", url, *key, *options(witnesses))
    assert (status, "Verified: 300 entries" in out, "Cosigned by witness.example/justice" in out) == (0, True, True)
    assert "Verified: 310 entries" in (await doorstep("verify", "--url", url, *key))[1]


async def test_of_one_witness_alone_nothing_is_witnessed(log, url, witnesses):
    for one in witnesses[1:]:
        one.kill()
    await grow(log, 5)
    await turn(asking(log, witnesses))
    status, body = await read(url, "witnessed-checkpoint")
    assert (status, json.loads(body)["type"]) == (404, "urn:doorstep:problem:not-witnessed")
    status, out = await doorstep("verify", "--url", url, *options(witnesses), "--json")
    assert (status, json.loads(out)["error"]) == (1, "NotWitnessed")
    assert "no checkpoint that enough witnesses cosigned" in json.loads(out)["detail"]


async def test_wrong_options_are_told_in_one_sentence(log, url, three):
    for arguments in (["--quorum", "2"], [*options(three), "--quorum", "4"], ["--witness", "nonsense"]):
        status, out = await doorstep("verify", "--url", url, *arguments)
        assert (status, "Wrong request" in out) == (2, True), out


async def test_who_takes_over_and_witnesses_that_were_away_go_on_from_where_they_are(log, witnesses):
    asked = asking(log, witnesses)
    await grow(log, 3)
    await turn(asked)
    witnesses[0].kill()
    for count in (1, 254, 40):
        await grow(log, count)
        await turn(asked)
    await witnesses[0].start()
    await turn(asking(log, witnesses))
    cosigned = await cosignatures(log)
    assert {size for size, name in cosigned if name == str(witnesses[0].key.verifier)} == {3, 298}
    assert {size for size, name in cosigned if name == str(witnesses[1].key.verifier)} == {3, 4, 258, 298}
    assert [metric(AWAY, one) for one in witnesses] == [0, 0, 0]


async def test_a_witness_killed_after_it_stored_is_asked_again_and_answers(log, witnesses):
    await grow(log, 3)
    await turn(asking(log, witnesses))
    await log.tamper("DELETE FROM cosignature")
    witnesses[0].kill()
    await witnesses[0].start()
    await turn(asking(log, witnesses))
    assert len(await cosignatures(log)) == 3


async def test_cosignatures_of_a_quiet_log_are_renewed_and_not_before_it_is_time(log, witnesses):
    await grow(log, 3)
    patient, eager = asking(log, witnesses), asking(log, witnesses, renewal=0.0)
    await turn(patient)

    async def renewed() -> bool:
        await turn(patient)
        if len(await cosignatures(log)) == 3:
            await turn(eager)
        return len(await cosignatures(log)) > 3

    await eventually(renewed)
    before = len(await cosignatures(log))
    for _ in range(3):
        await turn(patient)
    assert len(await cosignatures(log)) == before


async def test_the_sequencer_on_duty_asks_and_never_waits(log, url, witnesses):
    silent = socket.create_server(("127.0.0.1", 0))  # takes connections and never answers
    mute = Witness(LIAR.verifier, f"http://127.0.0.1:{silent.getsockname()[1]}")
    duty = SequencerDuty(log.database, log.sequencer(), window=0.01)
    log.database.on_commit.append(duty.wake)
    named = [mute, *(one.witness for one in witnesses)]
    async with running(duty.run, Witnessing(log.database, named, on_duty=duty.on_duty, interval=0.05).run):
        for size in (20, 40):
            await log.submit(20)

            async def signed(size=size) -> bool:
                newest = await log.fetch("checkpoint")
                return newest is not None and parse_body(Note.parse(newest).text).size == size

            await eventually(signed, within=4)

        async def witnessed() -> bool:
            status, note = await read(url, "witnessed-checkpoint")
            return status == 200 and parse_body(Note.parse(note).text).size == 40

        await eventually(witnessed, within=30)
    silent.close()


async def test_who_is_not_on_duty_asks_nobody(log, three):
    await grow(log, 3)
    async with running(Witnessing(log.database, [one.witness for one in three], on_duty=lambda: False).run):
        await asyncio.sleep(0.3)
    assert await cosignatures(log) == []


async def test_the_service_is_composed_with_its_witnesses(service):
    before = len(service.tasks)
    add_work(service)
    assert any(getattr(task, "__self__", None).__class__ is Witnessing for task in service.tasks[before:])


@pytest.fixture
async def serving():
    """Gives the address where a function answers as a witness."""
    runners = []

    async def serve(answer) -> str:
        made = web.Application()
        made.router.add_post("/add-checkpoint", answer)
        runners.append(web.AppRunner(made, shutdown_timeout=0.1))
        await runners[-1].setup()
        await web.TCPSite(runners[-1], "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runners[-1].addresses[0][1]}"

    yield serve
    for runner in runners:
        await runner.cleanup()


LIAR = WitnessSigningKey("witness.example/liar", bytes(range(5, 37)))


def lies(body: str) -> dict[str, web.Response]:
    """Answers that a witness must not be believed."""
    now = int(time.time())
    other = WitnessSigningKey.generate(LIAR.name)
    line = LIAR.cosign(body, now).line()
    return {
        "nothing": web.Response(body=b""),
        "junk": web.Response(body=b"\xff\xfe\n"),
        "another key": web.Response(text=f"{other.cosign(body, now).line()}\n"),
        "another text": web.Response(text=f"{LIAR.cosign(body + 'more', now).line()}\n"),
        "an old clock": web.Response(text=f"{LIAR.cosign(body, now - 4000).line()}\n"),
        "no newline": web.Response(text=line),
        "too long": web.Response(text=f"{line}\n" * 1000),
        "elsewhere": web.Response(status=302, headers={"Location": "/vkey"}),
        "forbidden": web.Response(status=403, text="no"),
        "not a size": web.Response(status=409, text="many\n"),
        "another size each time": web.Response(status=409, text="1\n"),
        "broken": web.Response(status=500),
    }


@pytest.mark.parametrize("lie", lies(""))
async def test_an_answer_that_is_none_is_told_and_stored_nowhere(log, serving, lie, caplog):
    async def answer(request: web.Request) -> web.Response:
        return lies((await request.text()).split("\n\n", 1)[1].split("\n\n")[0] + "\n")[lie]

    await grow(log, 3)
    liar = Witness(LIAR.verifier, await serving(answer))
    await turn(Witnessing(log.database, [liar], on_duty=lambda: True))
    assert await cosignatures(log) == []
    assert (metric(AWAY, liar), metric(REFUSED, liar)) == (1, 0)
    assert [record.message for record in caplog.records if record.name == witnessing.__name__] == [
        "a witness gives no usable answer"
    ]


@pytest.mark.parametrize(("status", "told"), [(422, ""), (409, "9\n"), (409, "3\n")])
async def test_a_witness_with_another_history_is_an_alarm_until_it_cosigns_again(
    log, serving, monkeypatch, caplog, status, told
):
    refusing = True

    async def answer(request: web.Request) -> web.Response:
        body = (await request.text()).split("\n\n", 1)[1].split("\n\n")[0] + "\n"
        if refusing:
            return web.Response(status=status, text=told)
        return web.Response(text=f"{LIAR.cosign(body, int(time.time())).line()}\n")

    await grow(log, 3)
    monkeypatch.setattr(witnessing, "_RETRY", 0.0)
    liar = Witness(LIAR.verifier, await serving(answer))
    asked = Witnessing(log.database, [liar], on_duty=lambda: True)
    for _ in range(2):
        await turn(asked)
    assert (metric(REFUSED, liar), await cosignatures(log)) == (1, [])
    critical = [record for record in caplog.records if record.levelname == "CRITICAL"]
    assert [record.message for record in critical] == ["a witness refuses the log"]
    refusing = False
    await turn(asked)
    assert (metric(REFUSED, liar), await cosignatures(log)) == (0, [(3, str(LIAR.verifier))])


async def test_a_receipt_stands_under_the_witnessed_checkpoint_if_that_covers_it(log, url, witnesses, tmp_path):
    [first] = await grow(log, 1)
    await turn(asking(log, witnesses))
    [second] = await grow(log, 1)
    key = ("--vkey", str(log.key.verifier))
    for entry_id, size, status in ((first, 1, 0), (second, 2, 1)):
        file = tmp_path / f"{entry_id}.tlog-proof"
        await doorstep("receipt", str(entry_id), "--url", url, "--out", str(file))
        _, out = await doorstep("check-receipt", str(file), *key, "--json")
        assert json.loads(out)["size"] == size
        found, out = await doorstep("check-receipt", str(file), *key, *options(witnesses))
        assert (found, "Cosigned by" in out) == (status, status == 0)
        assert ("0 of 3 witnesses count, 2 are needed" in out) == (status == 1)


async def test_an_export_holds_what_verifies_with_its_witnesses(log, url, witnesses, tmp_path):
    await grow(log, 280)
    await turn(asking(log, witnesses))
    await grow(log, 10)
    folder = tmp_path / "mirror"
    assert (await doorstep("export", str(folder), "--url", url))[0] == 0
    assert (folder / "witnessed-checkpoint").read_bytes() == (await read(url, "witnessed-checkpoint"))[1]
    assert (folder / "tile/0/001.p/24").is_file()
    assert (folder / "tile/0/001.p/34").is_file()


async def test_the_database_refuses_to_change_cosignatures(log, witnesses):
    await grow(log, 1)
    await turn(asking(log, witnesses))
    for statement in ("DELETE FROM cosignature", "TRUNCATE cosignature", "UPDATE cosignature SET line = line"):
        with pytest.raises(DBAPIError, match="the log only grows"):
            await log.run(statement)


async def test_a_file_of_witnesses_that_cannot_be_is_refused_at_the_start(service, tmp_path):
    file = tmp_path / "some"
    settings = service.settings
    for content, said in (
        ("nonsense\n", "line 1"),
        (f"{LIAR.verifier} http://a\n", "2 of 1 is no quorum"),
        ("", "2 of 0"),
    ):
        file.write_text(content)
        with pytest.raises(ValueError, match=said):
            LogSettings(**{**settings.model_dump(), "log_witnesses": file}).witnesses()
    with pytest.raises(ValueError, match="FileNotFoundError"):
        LogSettings(**{**settings.model_dump(), "log_witnesses": tmp_path / "none"}).witnesses()
