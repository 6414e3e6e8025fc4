"""A stack starts, stops and starts again with its data; two of them do not meet. Here the engines run alone."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from subprocess import PIPE

import asyncpg
import pytest

from doorstep.kit.keyset import Keyset
from doorstep.local import ports
from doorstep.local.failures import ExternalUnreachable, FolderInUse, PortTaken, StackFailed
from doorstep.local.ports import front_door_port
from doorstep.local.stack import Stack, StackOptions, running_stack

RUNNER = """
import asyncio, sys
from pathlib import Path
from subprocess import PIPE
from doorstep.local.stack import StackOptions, running_stack
async def main():
    async with running_stack(StackOptions(data=Path(sys.argv[1]), services=(), port=0)) as stack:
        print(stack.postgres.child.process.pid, stack.broker.child.process.pid, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


def engines_only(data: Path | None, **options: object) -> StackOptions:
    return StackOptions(data=data, services=(), durable=False, **options)  # type: ignore[arg-type]


async def keys_in(stack: Stack) -> int:
    connection = await asyncpg.connect(stack.database_url("keys").replace("+asyncpg", ""))
    try:
        await connection.execute("INSERT INTO data_key (subject_id, destroyed_at) VALUES (gen_random_uuid(), now())")
        return await connection.fetchval("SELECT count(*) FROM data_key")
    finally:
        await connection.close()


def there(*paths: Path) -> list[bool]:
    return [path.exists() for path in paths]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_second_start_finds_its_data_its_keys_and_its_port(tmp_path: Path) -> None:
    async with running_stack(engines_only(tmp_path, port=0)) as stack:
        assert await keys_in(stack) == 1
        first = (stack.front_door, stack.issuer.url, stack.keyset.read_bytes(), stack.log_key.read_bytes())
        running = json.loads((tmp_path / "stack.json").read_text())["running"]
        assert running["kafka"] == stack.kafka
        assert running["databases"]["keys"] == stack.database_url("keys")
        Keyset(stack.keyset)
    assert json.loads((tmp_path / "stack.json").read_text())["running"] == {}
    async with running_stack(engines_only(tmp_path)) as stack:
        assert await keys_in(stack) == 2
        assert first == (stack.front_door, stack.issuer.url, stack.keyset.read_bytes(), stack.log_key.read_bytes())


async def test_secrets_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    async with running_stack(engines_only(tmp_path, port=0)):
        secrets = [*(tmp_path / "keys").iterdir(), tmp_path / "stack.json"]
        assert {path.name for path in secrets} == {"keyset.json", "log.key", "issuer.json", "clients", "stack.json"}
        assert [path for path in secrets if path.stat().st_mode & 0o077] == []
        assert (tmp_path / "keys").stat().st_mode & 0o077 == 0


async def test_two_stacks_side_by_side_share_nothing(tmp_path: Path) -> None:
    async with (
        running_stack(engines_only(tmp_path / "one")) as one,
        running_stack(engines_only(tmp_path / "two")) as two,
    ):
        for name in ("front_door", "kafka"):
            assert getattr(one, name) != getattr(two, name) or name == "front_door"
        assert one.issuer.url != two.issuer.url
        assert (await keys_in(one), await keys_in(two), await keys_in(one)) == (1, 1, 2)


async def test_a_folder_in_use_is_refused_and_the_other_stack_goes_on(tmp_path: Path) -> None:
    async with running_stack(engines_only(tmp_path)) as stack:
        with pytest.raises(FolderInUse):
            async with running_stack(engines_only(tmp_path)):
                pass
        assert await keys_in(stack) == 1


async def test_a_temporary_stack_leaves_nothing_behind() -> None:
    async with running_stack(engines_only(None)) as stack:
        data, sockets = stack.folder.root, Path(stack.database_url("keys").partition("host=")[2])
        assert there(data, sockets) == [True, True]
    assert there(data, sockets.parent) == [False, False]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells children of their parent's end on Linux alone")
def test_after_kill_9_nothing_runs_on_and_the_next_start_works(tmp_path: Path) -> None:
    runtimes: list[str] = []
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", RUNNER, tmp_path], stdout=subprocess.PIPE, text=True) as runner:
            assert runner.stdout is not None
            pids = [int(pid) for pid in runner.stdout.readline().split()]
            assert len(pids) == 2
            assert all(alive(pid) for pid in pids)
            runtimes.append((tmp_path / "runtime").read_text())
            runner.send_signal(signal.SIGKILL)
    assert [Path(runtime).exists() for runtime in runtimes] == [False, False, True]
    shutil.rmtree(runtimes[-1])
    deadline = time.monotonic() + 10
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [pid for pid in pids if alive(pid)] == []


async def test_an_engine_that_dies_interrupts_the_work(tmp_path: Path) -> None:
    with pytest.raises(StackFailed, match="Kafka broker does not run"):
        async with running_stack(engines_only(tmp_path)) as stack:
            await stack.supervisor.start([])
            os.kill(stack.broker.child.process.pid, signal.SIGKILL)  # type: ignore[attr-defined]
            await asyncio.sleep(10)


async def test_a_failed_start_stops_what_had_started(tmp_path: Path) -> None:
    with pytest.raises(ExternalUnreachable):
        async with running_stack(engines_only(tmp_path, postgres="postgresql://doorstep@127.0.0.1:1/postgres")):
            pass
    async with running_stack(engines_only(tmp_path)) as stack:
        assert await keys_in(stack) == 1


async def test_an_external_postgres_gets_the_databases_that_are_missing(tmp_path: Path) -> None:
    async with running_stack(engines_only(tmp_path / "server")) as server:
        superuser = server.database_url("postgres").replace("//doorstep@", "//postgres@").replace("+asyncpg", "")
        admin = await asyncpg.connect(superuser)
        await admin.execute("DROP DATABASE keys WITH (FORCE)")
        await admin.close()
        async with running_stack(engines_only(tmp_path / "client", postgres=superuser, kafka=server.kafka)) as client:
            assert await keys_in(client) == 1
            assert client.kafka == server.kafka


@pytest.mark.parametrize("address", ["mysql://root@localhost/x", "no address"])
async def test_a_database_address_of_another_form_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(ExternalUnreachable, match="postgresql://USER"):
        async with running_stack(engines_only(tmp_path, postgres=address)):
            pass


def test_a_port_that_another_process_chose_is_not_chosen_before_it_listens() -> None:
    choose = "from doorstep.local import ports; print(*ports.free_ports(40), flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", choose], stdin=PIPE, stdout=PIPE, text=True) as other:
        theirs = [int(port) for port in other.stdout.readline().split()]
        assert len(set(theirs)) == 40
        assert not any(ports._reserve(port) for port in theirs)
        other.communicate("\n")
    assert all(ports._reserve(port) for port in theirs)


def test_the_port_that_was_asked_for_is_used_or_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(PortTaken, match=f"Port {taken} is taken"):
            front_door_port(taken, None)
        assert front_door_port(None, taken) != taken
    assert front_door_port(taken, None) == taken


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--port", "{taken}"], "Port {taken} is taken by another program; choose another with --port."),
        (["--data", "{file}/data"], "cannot be written (Not a directory); choose a writable one with --data."),
        (["--data", "/sys/doorstep"], "The data folder /sys/doorstep cannot be written"),
        (["--postgres", "postgresql://127.0.0.1:1/x"], "PostgreSQL at 127.0.0.1:1 cannot be used"),
        (["--kafka", "127.0.0.1:1"], "Kafka at 127.0.0.1:1 cannot be used"),
    ],
)
def test_bad_circumstances_are_one_clear_sentence(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with socket.create_server(("127.0.0.1", 0)) as other:
        values = {"taken": other.getsockname()[1], "file": file}
        options = [argument.format(**values) for argument in arguments]
        if "--data" not in options:
            options += ["--data", str(tmp_path / "data")]
        done = subprocess.run(
            [Path(sys.executable).with_name("doorstep"), "up", *options],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 2
    chinese, english = done.stderr.splitlines()
    assert chinese.startswith("错误：")
    assert english.startswith("Error: ")
    assert sentence.format(**values) in english
    assert "Traceback" not in done.stderr
