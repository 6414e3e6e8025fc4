"""What somebody can do who owns the log's database and its signing key, and how it is seen."""

import asyncio
import json
import shutil
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from uuid import uuid4

import aiohttp
import pytest
from typer.testing import CliRunner

from doorstep.audit import queries
from doorstep.audit.commands import application
from doorstep.audit.domain.checkpoint import Checkpoint, open_checkpoint, parse_body
from doorstep.audit.domain.entry import Entry
from doorstep.audit.domain.merkle import complete_root, leaf_hash, root_of
from doorstep.audit.domain.note import Note
from doorstep.audit.domain.quorum import DAY, attach
from doorstep.audit.domain.submission import AddCheckpoint
from doorstep.audit.domain.tiles import encode_hashes
from doorstep.audit.operations import witnessing
from doorstep.audit.operations.submitting import Submission
from doorstep.audit.operations.witnessing import REFUSED, Witnessing
from doorstep.audit.witness.commands import application as witness_application
from doorstep.kit.db import Database

SIZE = 300
NEW_TILE = r"INSERT INTO tile VALUES (0, 0, '\x{}', '\x{}')"
NEW_CHECKPOINT = r"INSERT INTO checkpoint (size, note) VALUES ({}, '\x{}')"
NEW_COSIGNATURE = "INSERT INTO cosignature VALUES ({}, '{}', {}, '{}')"
CUT = (
    "DELETE FROM cosignature WHERE size > {}",
    "DELETE FROM entry WHERE index >= {}",
    "DELETE FROM tile",
    "DELETE FROM checkpoint WHERE size > {}",
)


@pytest.fixture
def witnesses_file(three, tmp_path):
    file = tmp_path / "witnesses"
    file.write_text("".join(f"{one.key.verifier} {one.url}\n" for one in three))
    return file


@pytest.fixture
async def witnessed(log, witnesses):
    """The log with entries that all its witnesses cosigned."""
    for count in (SIZE // 2, SIZE // 2):
        await log.submit(count)
        await log.drain()
        await ask(log, witnesses)
    return log


async def ask(log, witnesses) -> None:
    """Show the log's newest checkpoint to its witnesses, as a sequencer does that has just started."""
    async with witnessing.client() as http:
        await Witnessing(log.database, [one.witness for one in witnesses], on_duty=lambda: True).turn(http)


async def rebuild(log, *, also: int = 0) -> None:
    """Make the tiles from the rows as they are now, and sign their root as if it had always been so."""
    await log.tamper("DELETE FROM cosignature", "DELETE FROM checkpoint", "DELETE FROM tile")
    async with log.database.transaction() as session:
        leaves = [leaf_hash(body) for _, body, _ in await queries.rows(session, 0, SIZE + also)]
    hashes, root = encode_hashes(leaves[:256]).hex(), complete_root(leaves[:256]).hex()
    await log.run(NEW_TILE.format(hashes, root))
    note = Checkpoint(log.origin, len(leaves), root_of(leaves)).sign(log.key).hex()
    await log.run(NEW_CHECKPOINT.format(len(leaves), note))


async def doorstep(*arguments: str) -> tuple[int, str]:
    result = await asyncio.to_thread(CliRunner().invoke, application, arguments)
    return result.exit_code, result.output


async def verify(url: str, witnesses=(), *more: str) -> tuple[int, str]:
    named = [word for one in witnesses for word in ("--witness", str(one.key.verifier))]
    return await doorstep("verify", "--url", url, *named, *more)


def evidence(witness) -> list[dict]:
    result = CliRunner().invoke(witness_application, ["evidence", "--data", str(witness.folder / "data"), "--json"])
    return [json.loads(line) for line in result.output.splitlines()]


def is_refused(witness) -> bool:
    return REFUSED.labels(witness.key.name)._value.get() == 1


async def test_a_row_edited_the_tiles_rebuilt_and_signed_anew_is_seen_by_the_witnesses(
    witnessed, url, witnesses, caplog
):
    log = witnessed
    before = await log.fetch("checkpoint")
    assert (await verify(url, witnesses))[0] == 0
    await log.tamper(log.EDIT.format(7), log.REHASH.format(7))
    await rebuild(log)
    assert (await verify(url))[0] == 0, "a lone verifier cannot see it"
    status, out = await verify(url, witnesses)
    assert (status, "no checkpoint that enough witnesses cosigned" in out) == (1, True)
    await ask(log, witnesses)
    assert all(is_refused(one) for one in witnesses)
    assert "a witness refuses the log" in {record.message for record in caplog.records}
    for one in witnesses:
        [fork] = evidence(one)
        notes = [fork["held"].encode(), fork["offered"].encode()]
        held, offered = (open_checkpoint(note, log.origin, [log.key.verifier]) for note in notes)
        assert (fork["kind"], held.size, offered.size) == ("fork", SIZE, SIZE)
        assert held.root != offered.root
        assert notes == [before, await log.fetch("checkpoint")]
        assert "FORK" in one.said


async def test_the_old_cosignatures_under_a_checkpoint_signed_anew_are_no_cosignatures(witnessed, url, witnesses):
    log = witnessed
    async with log.database.transaction() as session:
        lines = Note.parse(await queries.cosigned(session, SIZE, await log.fetch("checkpoint"))).signatures[1:]
    await log.tamper(log.EDIT.format(7), log.REHASH.format(7))
    await rebuild(log)
    for one, line in zip(sorted(witnesses, key=lambda one: str(one.key.verifier)), lines, strict=True):
        await log.run(NEW_COSIGNATURE.format(SIZE, one.key.verifier, int(time.time()), line.line()))
    assert (await verify(url))[0] == 0
    status, out = await verify(url, witnesses)
    assert (status, "it carries a cosignature that is none" in out) == (1, True)


async def test_a_log_edited_and_grown_is_refused_though_its_size_was_never_seen(witnessed, witnesses):
    log = witnessed
    await log.submit(20)
    await log.drain()
    await log.tamper(log.EDIT.format(7), log.REHASH.format(7))
    await rebuild(log, also=20)
    await ask(log, witnesses)
    for one in witnesses:
        assert is_refused(one)
        [piece] = evidence(one)
        offered = open_checkpoint(piece["offered"].encode(), log.origin, [log.key.verifier])
        assert (piece["kind"], offered.size) == ("unproved", SIZE + 20)


async def test_a_log_cut_back_with_all_its_checkpoints_is_seen_by_the_witnesses(witnessed, url, witnesses):
    log = witnessed
    cut = SIZE // 2
    await log.tamper(*(statement.format(cut) for statement in CUT))
    status, out = await verify(url)
    assert (status, f"Verified: {cut} entries" in out) == (0, True), "a lone verifier cannot see it"
    await ask(log, witnesses)
    assert all(is_refused(one) for one in witnesses)
    note = await log.fetch("checkpoint")
    async with aiohttp.ClientSession() as session:
        for old, status in ((SIZE, 400), (0, 409), (cut, 409)):
            data = AddCheckpoint(old, (), note).encode()
            async with session.post(f"{witnesses[0].url}/add-checkpoint", data=data) as answer:
                assert answer.status == status
                assert status == 400 or await answer.text() == f"{SIZE}\n"
    assert (await verify(url, witnesses))[0] == 0, "what was cosigned once still stands: until it is stale"

    async def stale() -> bool:
        status, out = await verify(url, witnesses, "--max-age", "0")
        return status == 1 and "stale" in out

    await asyncio.sleep(1)
    assert await stale()


async def test_of_two_views_for_two_readers_one_is_cosigned(log, witnesses, databases):
    other = type(log)(Database(address := await databases.new(*log.TABLES), service="audit"), address)
    for one in (log, other):
        await one.submit(SIZE)
        await one.drain()
        assert (await one.verify()).size == SIZE
    await asyncio.gather(ask(log, witnesses), ask(other, witnesses))
    counts = [await cosigners(one) for one in (log, other)]
    assert sum(counts) == 3
    assert sorted(count >= 2 for count in counts) == [False, True]
    assert all([piece["kind"] for piece in evidence(one)] == ["fork"] for one in witnesses)
    await other.database.close()


async def cosigners(log) -> int:
    async with log.database.transaction() as session:
        size, note = await queries.newest_checkpoint(session)
        return len(Note.parse(await queries.cosigned(session, size, note)).signatures) - 1


class Quiet(SimpleHTTPRequestHandler):
    """A file server that tells nothing."""

    def log_message(self, *_: object) -> None: ...


async def test_an_old_checkpoint_replayed_is_stale_by_name(witnessed, url, witnesses, tmp_path):
    """A mirror that stands still, two days later: made by cosigning with the witnesses' own keys two days ago."""
    folder = tmp_path / "mirror"
    assert (await doorstep("export", str(folder), "--url", url))[0] == 0
    note = await witnessed.fetch("checkpoint")
    then = int(time.time()) - 2 * DAY
    old = attach(note, [one.key.cosign(Note.parse(note).text, then).line() for one in witnesses])
    (folder / "witnessed-checkpoint").write_bytes(old)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        mirror = f"http://127.0.0.1:{server.server_port}"
        assert (await verify(mirror))[0] == 0, "a lone verifier cannot see it"
        status, out = await verify(mirror, witnesses)
        assert (status, "0 of 3 witnesses count" in out, out.count("stale")) == (1, True, 6)
        assert (await verify(mirror, witnesses, "--max-age", str(3 * DAY)))[0] == 0
        shutil.copy(folder / "checkpoint", folder / "witnessed-checkpoint")
        assert (await verify(mirror, witnesses))[0] == 0
        server.shutdown()


async def test_an_entry_that_claims_an_hour_before_it_was_there_is_told(witnessed, url, witnesses, tmp_path):
    log, saved = witnessed, tmp_path / "saved"
    assert (await verify(url, witnesses, "--save", str(saved)))[0] == 0
    assert parse_body(Note.parse(saved.read_bytes()).text).size == SIZE
    entries = [Entry(uuid4(), hour, ()) for hour in (time.strftime("%Y-%m-%dT%H", time.gmtime()), "2020-01-01T00")]
    await log.submit_these([Submission(one.id, one.encode()) for one in entries])
    await log.drain()
    await ask(log, witnesses)
    status, out = await verify(url, witnesses, "--saved", str(saved), "--json")
    assert (status, json.loads(out)["late"]) == (0, [SIZE + 1])
    status, out = await verify(url, witnesses, "--saved", str(saved), "--save", str(saved))
    assert (status, f"Late or back-dated: [{SIZE + 1}]" in out) == (0, True)
