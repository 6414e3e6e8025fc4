"""A mirror is the log as files: whole, verified, growing, and never replaced by what contradicts it."""

import os
import shutil

import pytest
from tlog_scales.reader import TilesReader
from tlog_scales.signing import Vkey

from doorstep.audit.domain.note import SigningKey
from doorstep.audit.domain.verify import (
    EntryEdited,
    LogForked,
    LogShrunk,
    PartMissing,
    VerificationFailed,
    verify_log,
)
from doorstep.audit.operations import mirroring
from doorstep.audit.operations.mirroring import FolderNotAMirror, mirror_log


def files_of(folder):
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


async def verified(folder, key, under="checkpoint"):
    async def fetch(path):
        file = folder / path
        return file.read_bytes() if file.is_file() else None

    return await verify_log(fetch, key, under=under)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "mirror"


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 700])
async def test_a_mirror_has_every_file_of_the_log_and_its_key(written_log, entries, folder, size):
    log = written_log(entries[:size])
    exported = await mirror_log(log.fetch, log.key.verifier, folder)
    assert exported.size == size
    assert files_of(folder) == {**log.files, "vkey": f"{log.key.verifier}\n".encode()}


async def test_a_reader_of_others_reads_the_mirror(written_log, entries, folder):
    log = written_log(entries[:700])
    await mirror_log(log.fetch, log.key.verifier, folder)

    class Backend:
        def get(self, *path):
            return folder.joinpath(*path).read_bytes()

    reader = TilesReader(Backend())
    checkpoint = reader.get_checkpoint()
    checkpoint.verify(Vkey.from_string((folder / "vkey").read_text().strip()))
    assert reader.calculate_root_hash() == checkpoint.root_hash


async def test_a_mirror_grows_by_what_is_new_and_keeps_what_readers_of_the_old_one_need(written_log, entries, folder):
    key = SigningKey("doorstep.example/log", bytes(range(32)))
    asked = []
    for size in (300, 520, 800):
        log = written_log(entries[:size])

        async def fetch(path, log=log):
            asked.append(path)
            return await log.fetch(path)

        before = files_of(folder) if folder.exists() else {}
        asked.clear()
        await mirror_log(fetch, key.verifier, folder)
        full = {path for path in before if path.startswith("tile/") and ".p/" not in path}
        assert not full & set(asked)
        assert (await verified(folder, key.verifier)).size == size
        assert {path: data for path, data in files_of(folder).items() if path in log.files} == log.files
    assert "tile/0/001.p/44" not in files_of(folder)
    assert "tile/0/002.p/8" in files_of(folder)


async def test_what_is_damaged_in_the_mirror_is_fetched_again(written_log, entries, folder):
    log = written_log(entries[:600])
    await mirror_log(log.fetch, log.key.verifier, folder)
    for path in ("tile/0/000", "tile/entries/001"):
        (folder / path).write_bytes((folder / path).read_bytes()[:-1] + b"?")
    await mirror_log(log.fetch, log.key.verifier, folder)
    assert files_of(folder) == {**log.files, "vkey": f"{log.key.verifier}\n".encode()}


async def test_a_log_that_contradicts_the_mirror_leaves_it_as_it_is(written_log, entries, folder):
    log = written_log(entries[:600])
    await mirror_log(log.fetch, log.key.verifier, folder)
    before = files_of(folder)
    with pytest.raises(LogShrunk):
        await mirror_log(written_log(entries[:599]).fetch, log.key.verifier, folder)
    with pytest.raises(LogForked):
        await mirror_log(written_log([entries[700], *entries[1:650]]).fetch, log.key.verifier, folder)
    edited = written_log(entries[:650])
    edited.write_bundles([*entries[:620], entries[700], *entries[621:650]])
    with pytest.raises(EntryEdited):
        await mirror_log(edited.fetch, log.key.verifier, folder)
    del edited.files["tile/entries/002.p/138"]
    with pytest.raises(PartMissing):
        await mirror_log(edited.fetch, log.key.verifier, folder)
    assert files_of(folder) == before


async def test_a_folder_of_something_else_is_refused(written_log, entries, folder):
    log = written_log(entries[:10])
    folder.mkdir()
    (folder / "letters.txt").write_text("mine")
    with pytest.raises(FolderNotAMirror, match="something else"):
        await mirror_log(log.fetch, log.key.verifier, folder)
    assert files_of(folder) == {"letters.txt": b"mine"}


async def test_a_mirror_of_another_log_is_refused(written_log, entries, folder):
    stranger = SigningKey("stranger.example/log", bytes(32))
    log = written_log(entries[:10])
    await mirror_log(log.fetch, log.key.verifier, folder)
    with pytest.raises(FolderNotAMirror, match="not of this log"):
        await mirror_log(log.fetch, stranger.verifier, folder)


async def test_the_witnessed_checkpoint_is_mirrored_with_every_file_that_it_needs(written_log, entries, folder):
    sizes = [(300, 280), (520, 300), (530, 520), (530, None)]
    for size, witnessed in sizes:
        log = written_log(entries[:size])
        if witnessed is not None:
            older = written_log(entries[:witnessed])
            log.files = {**older.files, **log.files, "witnessed-checkpoint": older.files["checkpoint"]}
        await mirror_log(log.fetch, log.key.verifier, folder)
        assert (await verified(folder, log.key.verifier)).size == size
        assert (await verified(folder, log.key.verifier, "witnessed-checkpoint")).size == witnessed or witnessed is None
    assert (await verified(folder, log.key.verifier, "witnessed-checkpoint")).size == 520


async def test_a_witnessed_checkpoint_that_the_newest_does_not_go_on_from_is_not_mirrored(written_log, entries, folder):
    log, other = written_log(entries[:300]), written_log([entries[700], *entries[1:280]])
    log.files = {**other.files, **log.files, "witnessed-checkpoint": other.files["checkpoint"]}
    with pytest.raises(VerificationFailed):
        await mirror_log(log.fetch, log.key.verifier, folder)
    assert not folder.exists()


class Died(Exception):
    """As if the process had ended."""


@pytest.mark.parametrize("old", [0, 300])
async def test_an_export_that_breaks_off_anywhere_leaves_the_mirror_that_was_there(
    written_log, entries, folder, monkeypatch, old
):
    before, after = written_log(entries[:300]), written_log(entries[:600])
    broken_off = 0
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        if old:
            await mirror_log(before.fetch, before.key.verifier, folder)
        left = broken_off

        def sync(number):
            nonlocal left
            if left == 0:
                raise Died
            left -= 1

        with monkeypatch.context() as patched:
            patched.setattr(mirroring.os, "fsync", sync)
            try:
                await mirror_log(after.fetch, after.key.verifier, folder)
            except Died:
                broken_off += 1
            else:
                break
        if old:
            assert (await verified(folder, before.key.verifier)).size == 300
        else:
            assert not (folder / "checkpoint").exists()
        await mirror_log(after.fetch, after.key.verifier, folder)
        assert (await verified(folder, after.key.verifier)).size == 600
        assert not [path for path in files_of(folder) if path.endswith(".fresh")]
    assert broken_off > 5


async def test_a_disk_that_is_full_is_told_and_nothing_is_broken(written_log, entries, folder, monkeypatch):
    log = written_log(entries[:300])
    await mirror_log(log.fetch, log.key.verifier, folder)

    def full(number):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(mirroring.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        await mirror_log(written_log(entries[:600]).fetch, log.key.verifier, folder)
    assert (await verified(folder, log.key.verifier)).size == 300
