"""A verifier from outside sees every tampering, and says what and where."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tlog_scales.reader import TilesReader
from tlog_scales.signing import Vkey

from doorstep.audit.domain.checkpoint import Checkpoint
from doorstep.audit.domain.merkle import EMPTY_ROOT, leaf_hash, root_of
from doorstep.audit.domain.note import SigningKey
from doorstep.audit.domain.verify import (
    CheckpointRejected,
    EntryEdited,
    EntryRejected,
    LogForked,
    LogShrunk,
    PartMissing,
    RootWrong,
    TileWrong,
    VerificationFailed,
    check_saved,
    verify_log,
)

SIZE = 600


@pytest.fixture
def log(written_log, entries):
    return written_log(entries[:SIZE])


@pytest.fixture
def forged(entries):
    return [*entries[:300], entries[300].replace(b"T10", b"T11"), *entries[301:SIZE]]


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 511, 512, 513, 700])
async def test_an_honest_log_verifies(written_log, entries, size):
    log = written_log(entries[:size])
    verified = await verify_log(log.fetch, log.key.verifier)
    assert (verified.size, verified.root) == (size, root_of([leaf_hash(data) for data in entries[:size]]))
    assert [entry.encode() for entry in verified.entries] == entries[:size]
    assert verified.checkpoint == log.files["checkpoint"]


def test_a_reader_of_others_agrees(log):
    class Backend:
        def get(self, *path):
            return log.files.get("/".join(path))

    reader = TilesReader(Backend())
    checkpoint = reader.get_checkpoint()
    checkpoint.verify(Vkey.from_string(str(log.key.verifier)))
    assert reader.calculate_root_hash() == checkpoint.root_hash


async def test_an_edited_entry_is_named(log, forged):
    log.write_bundles(forged)
    with pytest.raises(EntryEdited, match=r"^entry 300 was edited: .* tile/0/001 that was signed$") as caught:
        await verify_log(log.fetch, log.key.verifier)
    assert (caught.value.indexes, caught.value.tile) == ((300,), "tile/0/001")


async def test_a_tile_that_was_changed_is_named(log):
    tile = log.files["tile/0/001"]
    log.files["tile/0/001"] = tile[:320] + bytes(32) + tile[352:]
    with pytest.raises(TileWrong, match=r"^tile/0/001: hash 10 ") as caught:
        await verify_log(log.fetch, log.key.verifier)
    assert (caught.value.path, caught.value.offset) == ("tile/0/001", 10)


async def test_an_upper_tile_that_was_changed_is_named(log):
    log.files["tile/1/000.p/2"] = log.files["tile/1/000.p/2"][:32] + bytes(32)
    with pytest.raises(TileWrong, match=r"^tile/1/000.p/2: hash 1 "):
        await verify_log(log.fetch, log.key.verifier)


async def test_rebuilt_tiles_do_not_have_the_signed_root(log, forged):
    log.write_bundles(forged)
    log.write_tiles([leaf_hash(data) for data in forged])
    with pytest.raises(RootWrong, match=r"600 entries do not have the signed root.*entries and tiles agree"):
        await verify_log(log.fetch, log.key.verifier)


async def test_two_tamperings_at_once_are_a_wrong_root(log, forged):
    log.write_bundles(forged)
    log.files["tile/0/000"] = bytes(8192)
    with pytest.raises(RootWrong, match="first differ at entry 0"):
        await verify_log(log.fetch, log.key.verifier)


async def test_a_rebuilt_log_signed_anew_is_seen_by_a_saved_checkpoint_alone(log, forged):
    saved = log.files["checkpoint"]
    log.write_bundles(forged)
    log.write_tiles([leaf_hash(data) for data in forged])
    log.sign(forged)
    await verify_log(log.fetch, log.key.verifier)
    with pytest.raises(LogForked):
        await check_saved(log.fetch, log.key.verifier, saved)


@pytest.mark.parametrize("path", ["tile/entries/001", "tile/entries/002.p/88", "tile/0/000", "tile/1/000.p/2"])
async def test_a_missing_part_is_named(log, path):
    del log.files[path]
    with pytest.raises(PartMissing, match="it is not there, though the checkpoint promises 600 entries") as caught:
        await verify_log(log.fetch, log.key.verifier)
    assert caught.value.path == path


async def test_a_truncated_part_is_named(log):
    log.files["tile/entries/002.p/88"] = log.files["tile/entries/002.p/88"][:-3]
    with pytest.raises(PartMissing, match=r"tile/entries/002.p/88: bundle: it ends in the middle"):
        await verify_log(log.fetch, log.key.verifier)


async def test_a_log_cut_and_signed_anew_is_seen_by_a_saved_checkpoint(log, written_log, entries):
    cut = written_log(entries[:500])
    await verify_log(cut.fetch, cut.key.verifier)
    with pytest.raises(LogShrunk, match="has 500 entries and once had 600"):
        await check_saved(cut.fetch, cut.key.verifier, log.files["checkpoint"])


async def test_a_full_tile_stands_in_for_a_partial_one(log, written_log, entries):
    grown = written_log(entries)
    for full in ("tile/entries/002", "tile/0/002"):
        del log.files[f"{full}.p/88"]
        log.files[full] = grown.files[full]
    assert (await verify_log(log.fetch, log.key.verifier)).size == SIZE


async def test_an_entry_that_stands_twice_or_is_none_is_named(written_log, entries):
    log = written_log([*entries[:5], entries[2]])
    with pytest.raises(EntryRejected, match=r"^entry 5: it is there already, as entry 2$"):
        await verify_log(log.fetch, log.key.verifier)
    log = written_log([*entries[:5], b"{}"])
    with pytest.raises(EntryRejected, match=r"^entry 5: "):
        await verify_log(log.fetch, log.key.verifier)


async def test_a_checkpoint_of_another_key_origin_or_none_is_rejected(log, entries):
    stranger = SigningKey.generate(log.origin)
    with pytest.raises(CheckpointRejected):
        await verify_log(log.fetch, stranger.verifier)
    with pytest.raises(CheckpointRejected, match="another log"):
        await verify_log(log.fetch, log.key.verifier, origin="doorstep.example/other")
    log.files["checkpoint"] = b"nothing"
    with pytest.raises(CheckpointRejected):
        await verify_log(log.fetch, log.key.verifier)
    del log.files["checkpoint"]
    with pytest.raises(CheckpointRejected, match="no checkpoint"):
        await verify_log(log.fetch, log.key.verifier)


@pytest.mark.parametrize("old", [0, 1, 100, 255, 256, 300, 512, 599, 600])
async def test_a_log_that_grew_still_begins_with_every_older_checkpoint(log, written_log, entries, old):
    saved = written_log(entries[:old]).files["checkpoint"]
    assert (await check_saved(log.fetch, log.key.verifier, saved)).size == SIZE


async def test_a_saved_checkpoint_of_another_key_is_rejected(log):
    saved = Checkpoint(log.origin, 0, EMPTY_ROOT).sign(SigningKey.generate(log.origin))
    with pytest.raises(CheckpointRejected):
        await check_saved(log.fetch, log.key.verifier, saved)


@settings(max_examples=150)
@given(st.data())
async def test_no_changed_byte_anywhere_goes_unnoticed(written_log, entries, data):
    log = written_log(entries[: data.draw(st.sampled_from([1, 5, 256, 300]))])
    path = data.draw(st.sampled_from(sorted(log.files)))
    content = bytearray(log.files[path])
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    log.files[path] = bytes(content)
    with pytest.raises(VerificationFailed):
        await verify_log(log.fetch, log.key.verifier)
