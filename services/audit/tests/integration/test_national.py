"""A log under the suite `national`: its checkpoints bear a line of SM2 too, which nobody has to know."""

import json

import aiohttp
import pytest
from tlog_scales.reader import TilesReader
from tlog_scales.signing import Vkey

from doorstep.audit.domain.checkpoint import open_checkpoint
from doorstep.audit.domain.cosignature import WitnessSigningKey
from doorstep.audit.domain.keys import LogKeys
from doorstep.audit.domain.note import Note
from doorstep.audit.domain.quorum import Quorum, attach, check_witnessed
from doorstep.audit.domain.receipt import check_receipt, parse_receipt
from doorstep.audit.domain.sm2 import SM2SigningKey, require_sm2
from doorstep.audit.operations.sequencing import SequencerStep
from doorstep.kit.keyset import Suite

SIZE = 300
SM2 = SM2SigningKey.generate("doorstep.example/log")


@pytest.fixture
def keys(log):
    """The keys of a national log."""
    return LogKeys((log.key,), sm2=SM2)


@pytest.fixture
async def ids(log, keys):
    """The ids of the entries in a national log."""
    ids = await log.submit(SIZE)
    await log.drain(log.sequencer(keys=keys))
    return ids


@pytest.fixture
def service(service, tmp_path):
    """The log's service under the suite `national`."""
    (tmp_path / "log-sm2.key").write_text(SM2.encode() + "\n")
    service.settings.suite = Suite.NATIONAL
    service.settings.log_sm2_key = tmp_path / "log-sm2.key"
    return service


@pytest.fixture
async def get(url):
    """Gives the body of an answer."""
    async with aiohttp.ClientSession() as session:

        async def get(path: str) -> bytes:
            async with session.get(f"{url}/{path}") as response:
                assert response.status == 200, path
                return await response.read()

        yield get


def signers(note: bytes) -> list[bytes]:
    return [signature.key_id for signature in Note.parse(note).signatures]


async def test_a_checkpoint_of_a_national_log_has_both_lines(log, ids):
    note = await log.fetch("checkpoint")
    assert signers(note) == [log.key.verifier.key_id, SM2.verifier.key_id]
    require_sm2(note, SM2.verifier)
    assert open_checkpoint(note, log.origin, [log.key.verifier]).size == SIZE
    assert [entry.id for entry in (await log.verify()).entries] == ids
    witness = WitnessSigningKey.generate("witness.example/justice")
    cosigned = attach(note, [witness.cosign(Note.parse(note).text, 1_800_000_000).line()])
    check_witnessed(cosigned, Quorum((witness.verifier,), 1), 1_800_000_000)
    require_sm2(cosigned, SM2.verifier)


async def test_a_reader_of_others_reads_a_national_log(get, log, ids):
    paths = ("checkpoint", "vkey", "tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/001.p/44")
    parts = {path: await get(path) for path in paths}

    class Backend:
        def get(self, *path):
            return parts.get("/".join(path))

    reader = TilesReader(Backend())
    checkpoint = reader.get_checkpoint()
    checkpoint.verify(Vkey.from_string(parts["vkey"].decode().strip()))
    assert reader.calculate_root_hash() == checkpoint.root_hash
    assert (await get("vkeys")).decode() == f"{log.key.verifier}\n{SM2.verifier}\n"
    receipt = parse_receipt(await get(f"proof/receipt?entry_id={ids[7]}"))
    assert check_receipt(receipt, log.origin, [log.key.verifier])[0].id == ids[7]
    require_sm2(receipt.checkpoint, SM2.verifier)


async def test_the_command_insists_on_the_line_of_a_key_that_it_is_given(doorstep, url, log, ids, tmp_path):
    given = ("verify", "--url", url, "--vkey", str(log.key.verifier))
    saved = tmp_path / "checkpoint"
    status, out, _ = await doorstep(*given, "--sm2-vkey", SM2.verifier, "--save", saved)
    assert (status, "The SM2 signature is right." in out) == (0, True)
    status, out, _ = await doorstep(*given, "--sm2-vkey", SM2.verifier, "--saved", saved, "--json")
    assert (status, json.loads(out)["sm2"]) == (0, True)
    status, out, _ = await doorstep(*given, "--json")
    assert (status, "sm2" in json.loads(out)) == (0, False)
    stranger = SM2SigningKey.generate(log.origin).verifier
    for key, expected, said in (
        (stranger, 1, f"no SM2 signature of {log.origin}+{stranger.key_id.hex()}"),
        (log.key.verifier, 2, "SM2 verifier key: not a key of type 0xff"),
        ("nonsense", 2, "SM2 verifier key: not of the form"),
    ):
        status, _, out = await doorstep(*given, "--sm2-vkey", key, "--save", tmp_path / "none")
        assert (status, said in out, (tmp_path / "none").exists()) == (expected, True, False)
    await log.submit(1)
    await log.drain(log.sequencer())  # as before there was a key of SM2
    status, _, out = await doorstep(*given, "--sm2-vkey", SM2.verifier, "--json")
    assert (status, json.loads(out)["error"]) == (1, "CheckpointRejected")
    assert "no SM2 signature" in json.loads(out)["detail"]


async def test_a_log_becomes_national_and_a_key_that_is_changed_leaves_what_it_signed(log, keys):
    before, after = await log.submit(3), []
    await log.drain()
    old = await log.fetch("checkpoint")
    assert signers(old) == [log.key.verifier.key_id]
    fresh = SM2SigningKey.generate(log.origin)
    for changed in (keys, LogKeys((log.key,), sm2=fresh)):
        after += await log.submit(2)
        await log.drain(log.sequencer(keys=changed))
        note = await log.fetch("checkpoint")
        assert signers(note) == [log.key.verifier.key_id, changed.sm2.verifier.key_id]
        require_sm2(note, changed.sm2.verifier)
    assert {entry.id for entry in (await log.verify()).entries} == {*before, *after}


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("step", [SequencerStep.ANCHORED, SequencerStep.SIGNED, SequencerStep.PUBLISHED])
async def test_who_dies_while_signing_leaves_a_log_that_goes_on_with_both_lines(log, keys, step):
    def watch(passed: SequencerStep) -> None:
        if passed is step and dying:
            raise Killed

    dying, ids = False, await log.submit(3)
    sequencer = log.sequencer(keys=keys, watch=watch)
    await log.drain(sequencer)
    dying, ids = True, ids + await log.submit(3)
    with pytest.raises(Killed):
        await log.drain(sequencer)
    await log.drain(log.sequencer(keys=keys))
    verified = await log.verify()
    assert [entry.id for entry in verified.entries] == ids
    require_sm2(verified.checkpoint, SM2.verifier)
