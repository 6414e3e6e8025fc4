"""The witness's program over real HTTP, as a process: what it answers, what it remembers, what it keeps."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Sequence

import aiohttp
import pytest
from typer.testing import CliRunner

from doorstep.audit.domain.checkpoint import Checkpoint
from doorstep.audit.domain.cosignature import WitnessSigningKey
from doorstep.audit.domain.merkle import EMPTY_ROOT, consistency_ranges, leaf_hash, root_of
from doorstep.audit.domain.note import Note, SigningKey
from doorstep.audit.domain.submission import REQUEST_LIMIT, AddCheckpoint, parse_cosignature
from doorstep.audit.witness import store
from doorstep.audit.witness.commands import application
from doorstep.audit.witness.store import Kind, WitnessStep, WitnessStore

ORIGIN = "doorstep.example/log"
LOG = SigningKey(ORIGIN, bytes(range(32)))
HONEST = [leaf_hash(b"%d" % number) for number in range(200)]
FORKED = [*HONEST[:3], leaf_hash(b"edited"), *HONEST[4:]]


def tree(size: int, leaves: Sequence[bytes] = HONEST) -> Checkpoint:
    return Checkpoint(ORIGIN, size, root_of(leaves[:size]))


def request(
    old: int, new: int, leaves: Sequence[bytes] = HONEST, *, key: SigningKey = LOG, proof: Sequence[bytes] | None = None
) -> AddCheckpoint:
    if proof is None:
        spans = consistency_ranges(old, new) if 0 < old <= new else []
        proof = [root_of(leaves[start:end]) for start, end in spans]
    return AddCheckpoint(old, tuple(proof), tree(new, leaves).sign(key))


@pytest.fixture
async def witness(new_witness):
    made = new_witness("justice", LOG.verifier)
    await made.start()
    return made


@pytest.fixture
async def add(witness):
    """Posts a request, or bytes; gives status, content type and body."""
    async with aiohttp.ClientSession() as session:

        async def add(asked: AddCheckpoint | bytes, size: int | None = None):
            data = asked if isinstance(asked, bytes) else asked.encode()
            async with session.post(f"{witness.url}/add-checkpoint", data=data) as answer:
                body = await answer.read()
                if answer.status == 200 and size is not None:
                    parse_cosignature(body, witness.key.verifier, tree(size).body())
                return answer.status, answer.headers["Content-Type"], body

        yield add


def kept(witness) -> list[dict]:
    """The evidence, as the command tells it."""
    result = CliRunner().invoke(application, ["evidence", "--data", str(witness.folder / "data"), "--json"])
    assert result.exit_code == 0
    return [json.loads(line) for line in result.output.splitlines()]


async def test_a_log_that_grows_is_cosigned_and_so_is_the_same_checkpoint_again(add, witness):
    for old, new in ((0, 0), (0, 1), (1, 1), (1, 7), (7, 8), (8, 200), (200, 200)):
        assert (await add(request(old, new), new))[0] == 200
    assert kept(witness) == []


async def test_every_refusal_has_its_status(add):
    assert (await add(request(0, 8), 8))[0] == 200
    assert (await add(request(7, 9)))[::2] == (409, b"8\n")
    assert (await add(request(0, 9)))[1] == "text/x.tlog.size"
    assert (await add(request(9, 8)))[0] == 400
    assert (await add(request(8, 9, proof=[bytes(32)])))[0] == 422
    assert (await add(request(8, 9, FORKED)))[0] == 422
    assert (await add(request(8, 8, FORKED)))[0] == 422
    assert (await add(request(0, 8, key=SigningKey(ORIGIN, bytes(32)))))[0] == 403
    other = SigningKey("other.example/log", bytes(32))
    assert (await add(AddCheckpoint(0, (), Checkpoint(other.name, 0, EMPTY_ROOT).sign(other))))[0] == 404
    assert (await add(request(8, 9), 9))[0] == 200


async def test_whatever_is_no_request_is_one_sentence(add):
    good = request(0, 8).encode()
    for body in (
        b"",
        b"old 0\n\n",
        good[:-1],
        good.replace(b"old 0", b"old 00"),
        b"\xff" * 50,
        good.replace(b"\n", b"\r\n"),
    ):
        status, kind, told = await add(body)
        assert (status, kind) == (400, "text/plain; charset=utf-8"), body
        assert len(told.decode().splitlines()) == 2
    assert (await add(b"x" * (REQUEST_LIMIT + 1)))[0] == 413
    assert (await add(good, 8))[0] == 200


BROKEN = (
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nabcde",
    b"Content-Length: -1\r\n\r\nabc",
    b"Content-Length: 500\r\n\r\nabc",
    b"\xff\xff\r\n\r\n",
)


async def test_what_is_broken_on_the_wire_is_refused_and_tells_no_traceback(add, witness):
    for rest in BROKEN:
        reader, writer = await asyncio.open_connection("127.0.0.1", witness.port)
        writer.write(b"POST /add-checkpoint HTTP/1.1\r\nHost: witness\r\n" + rest)
        if b"500" not in rest:
            assert b" 400 " in await reader.readline(), rest
        writer.close()
    assert (await add(request(0, 8), 8))[0] == 200
    assert "Traceback" not in witness.said


async def test_signatures_of_strangers_are_ignored_and_one_wrong_signature_refuses(add):
    strange, body = SigningKey.generate(ORIGIN), tree(8).body()
    both = Note(body, (strange.sign(body), LOG.sign(body))).encode()
    assert (await add(AddCheckpoint(0, (), both), 8))[0] == 200
    wrong = Note(body, (LOG.sign(tree(7).body()),)).encode()
    assert (await add(AddCheckpoint(8, (), wrong)))[0] == 403


async def test_its_key_and_its_health_are_told(witness):
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{witness.url}/vkey") as answer:
            assert (await answer.text()).strip() == str(witness.key.verifier)
        async with session.get(f"{witness.url}/healthz") as answer:
            assert answer.status == 200
        async with session.get(f"{witness.url}/add-checkpoint") as answer:
            assert answer.status == 405


async def test_a_fork_is_kept_once_and_anybody_can_check_it(add, witness):
    assert (await add(request(0, 8)))[0] == 200
    for old, status in ((9, 400), (8, 422), (0, 409)):
        assert (await add(request(old, 8, FORKED)))[0] == status
    [fork] = kept(witness)
    assert (fork["kind"], fork["size"], fork["origin"]) == ("fork", 8, ORIGIN)
    texts = [Note.parse(fork[side].encode()) for side in ("held", "offered")]
    for note in texts:
        LOG.verifier.verify(note.text, note.signatures[0])
    assert [note.text for note in texts] == [tree(8).body(), tree(8, FORKED).body()]
    assert "CRITICAL doorstep.example/log: FORK" in witness.said
    shown = CliRunner().invoke(application, ["evidence", "--data", str(witness.folder / "data"), "1"]).output
    assert fork["held"] in shown
    assert fork["offered"] in shown


async def test_a_failed_proof_is_kept_until_the_tree_of_its_size_is_known(add, witness):
    assert (await add(request(0, 8)))[0] == 200
    assert (await add(request(8, 20, FORKED)))[0] == 422
    assert (await add(request(8, 21, proof=[])))[0] == 422
    assert [one["kind"] for one in kept(witness)] == ["unproved", "unproved"]
    assert (await add(request(8, 20)))[0] == 200
    assert (await add(request(20, 21)))[0] == 200
    [fork] = kept(witness)
    assert (fork["kind"], fork["size"], fork["held"]) == ("fork", 20, tree(20).sign(LOG).decode())


async def test_evidence_is_bounded_and_garbage_does_not_drive_out_a_fork(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(store, "EVIDENCE_LIMIT", 3)
    kept_in, key = WitnessStore(tmp_path), WitnessSigningKey.generate("w")
    kept_in.cosign(request(0, 4), tree(4), key, lambda: 1)
    refused = [(4, [leaf_hash(b"fork"), *HONEST[1:]]), *((size, HONEST) for size in range(5, 12))]
    refused += [(4, [leaf_hash(bytes([number])), *HONEST[1:]]) for number in range(4)]
    for size, leaves in refused:
        with pytest.raises(Exception, match="consistency"):
            kept_in.cosign(request(4, size, leaves, proof=[bytes(32)]), tree(size, leaves), key, lambda: 1)
    pieces = kept_in.evidence()
    forks = [one for one in pieces if one.kind is Kind.FORK]
    assert len(forks) == 3
    assert forks[0].offered == tree(*refused[0]).sign(LOG)
    assert [int(one.offered.split(b"\n")[1]) for one in pieces if one.kind is Kind.UNPROVED] == [9, 10, 11]
    assert any("no room" in record.message for record in caplog.records)
    kept_in.close()


async def test_of_many_requests_at_once_each_is_cosigned_only_while_it_is_the_newest(add, witness):
    assert (await add(request(0, 8)))[0] == 200
    sizes = list(range(9, 40))
    answers = await asyncio.gather(*(add(request(8, size), size) for size in sizes))
    won = [size for size, answer in zip(sizes, answers, strict=True) if answer[0] == 200]
    assert len(won) == 1
    assert {answer[::2] for answer in answers if answer[0] != 200} == {(409, b"%d\n" % won[0])}
    histories = [HONEST, FORKED, [leaf_hash(b"third"), *HONEST[1:]]]
    await add(request(won[0], 50), 50)
    answers = await asyncio.gather(*(add(request(50, 60, leaves)) for leaves in histories * 5))
    assert {answer[0] for answer in answers[1::3]} | {answer[0] for answer in answers[2::3]} <= {409, 422}
    assert 200 in {answer[0] for answer in answers[0::3]}


CHILD = """
import os, signal, sys
from pathlib import Path
from doorstep.audit.domain.checkpoint import parse_body
from doorstep.audit.domain.cosignature import WitnessSigningKey
from doorstep.audit.domain.note import Note
from doorstep.audit.domain.submission import AddCheckpoint
from doorstep.audit.witness.store import WitnessStep, WitnessStore

def watch(step):
    if step is WitnessStep(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

request = AddCheckpoint.parse(sys.stdin.buffer.read())
store = WitnessStore(Path(sys.argv[1]), watch=watch)
store.cosign(request, parse_body(Note.parse(request.note).text), WitnessSigningKey("w", bytes(32)), lambda: 1)
"""


@pytest.mark.parametrize("step", WitnessStep)
async def test_killed_at_any_step_it_cosigns_the_same_again_and_nothing_else(tmp_path, step):
    key = WitnessSigningKey("w", bytes(32))
    before = WitnessStore(tmp_path)
    before.cosign(request(0, 8), tree(8), key, lambda: 1)
    before.close()
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, str(tmp_path), step, stdin=asyncio.subprocess.PIPE
    )
    await child.communicate(request(8, 20).encode())
    assert child.returncode == -9
    after = WitnessStore(tmp_path)
    [held] = after.cosigned()
    stored = step is WitnessStep.COMMITTED
    assert held == tree(20 if stored else 8)
    with pytest.raises(Exception, match="consistency"):
        after.cosign(request(held.size, 20, FORKED), tree(20, FORKED), key, lambda: 2)
    signature = after.cosign(request(held.size, 20), tree(20), key, lambda: 2)
    assert key.verifier.verify(tree(20).body(), signature) == 2
    assert [one.kind for one in after.evidence()] == [Kind.FORK]
    after.close()


async def test_killed_under_load_it_never_goes_back(witness):
    """What was answered before a kill is what it has after it, or less than it has."""
    answered = 0
    async with aiohttp.ClientSession() as session:
        for size in (40, 80, 120, 160):
            sending = asyncio.create_task(grow(session, witness, answered, size))
            await asyncio.sleep(0.05)
            witness.kill()
            answered = max(answered, await sending)
            await witness.start()
            async with session.post(f"{witness.url}/add-checkpoint", data=request(0, 199).encode()) as answer:
                has = int(await answer.read()) if answer.status == 409 else 199
            assert has >= answered
            answered = has
            async with session.post(f"{witness.url}/add-checkpoint", data=request(has, has).encode()) as answer:
                assert answer.status == 200
                parse_cosignature(await answer.read(), witness.key.verifier, tree(has).body())
    assert kept(witness) == []


async def grow(session: aiohttp.ClientSession, witness, size: int, end: int) -> int:
    """Have one more entry cosigned each time; gives the last size that was answered, when the witness has died."""
    while size < end:
        try:
            async with session.post(f"{witness.url}/add-checkpoint", data=request(size, size + 1).encode()) as answer:
                assert answer.status == 200
                await answer.read()
                size += 1
        except aiohttp.ClientError:
            break
    return size


async def test_a_folder_belongs_to_one_key_and_ends_in_order(witness, tmp_path):
    assert witness.stop() == 0
    other = tmp_path / "other.key"
    made = CliRunner().invoke(application, ["new-key", "--out", str(other), "--name", "witness.example/other"])
    assert made.output.startswith("witness.example/other+")
    again = CliRunner().invoke(application, ["new-key", "--out", str(other), "--name", "witness.example/other"])
    assert (again.exit_code, "No key was made" in again.output) == (2, True)
    for arguments, said in (
        (
            ("--data", str(witness.folder / "data"), "--key", str(other), "--log", str(LOG.verifier)),
            "another witness key's",
        ),
        (("--data", str(tmp_path / "new"), "--key", str(other), "--log", "nonsense"), "does not start"),
        (
            ("--data", str(tmp_path / "new"), "--key", str(tmp_path / "none"), "--log", str(LOG.verifier)),
            "does not start",
        ),
        (("--data", str(other), "--key", str(other), "--log", str(LOG.verifier)), "does not start"),
    ):
        result = CliRunner().invoke(application, ["run", *arguments])
        assert (result.exit_code, said in result.output) == (2, True), result.output
    for arguments in ([str(tmp_path / "none")], [str(witness.folder / "data"), "7"]):
        assert CliRunner().invoke(application, ["evidence", "--data", *arguments]).exit_code == 2


async def test_the_command_is_installed_and_needs_no_setting(witness):
    told = subprocess.run(  # noqa: ASYNC221
        [sys.executable, "-m", "doorstep.cli", "witness", "evidence", "--data", witness.folder / "data"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "No evidence" in told.stdout
    witness.process.send_signal(signal.SIGINT)
    assert witness.process.wait(20) == 0
