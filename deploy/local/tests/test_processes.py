"""The supervisor starts services together, tells which one ended and why, and leaves nothing behind."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from doorstep.local import processes
from doorstep.local.children import Program
from doorstep.local.failures import ServiceFailed
from doorstep.local.guard import guarded
from doorstep.local.processes import Supervisor

PATIENT = """
import json, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("drained", flush=True), sys.exit(0)))
print("starting", flush=True)
print(json.dumps({"event": "ready"}), flush=True)
while True:
    time.sleep(0.1)
"""
STUBBORN = PATIENT.replace('(print("drained", flush=True), sys.exit(0))', "None")
DYING = PATIENT.replace("while True:\n    time.sleep(0.1)", 'time.sleep(0.3); print("out of paper"); sys.exit(3)')
BROKEN = "raise SystemExit('no such setting')"


def program(folder: Path, name: str, code: str) -> Program:
    command = [sys.executable, "-S", "-c", code]
    return Program(name=name, command=command, log=folder / f"{name}.log", environment=dict(os.environ))


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    supervisor = Supervisor()
    yield supervisor
    await supervisor.stop()


def gone(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


async def test_services_are_ready_together_and_drain(tmp_path: Path, supervisor: Supervisor) -> None:
    ready: list[str] = []
    await supervisor.start([program(tmp_path, name, PATIENT) for name in ("one", "two")], ready.append)
    assert sorted(ready) == ["one", "two"]
    await supervisor.stop()
    assert not supervisor.failure.done()
    assert (tmp_path / "one.log").read_text().endswith("drained\n")


async def test_a_service_that_does_not_start_is_named_with_its_last_line(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    with pytest.raises(ServiceFailed, match="service two ended by itself; its last log line: no such setting"):
        await supervisor.start([program(tmp_path, "one", PATIENT), program(tmp_path, "two", BROKEN)])


async def test_a_service_that_is_late_is_named(
    tmp_path: Path, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "READY_WITHIN", 0.5)
    with pytest.raises(ServiceFailed, match="service slow was not ready in time; its last log line: thinking"):
        await supervisor.start(
            [program(tmp_path, "slow", "import time; print('thinking', flush=True); time.sleep(60)")]
        )


async def test_a_service_that_ends_by_itself_interrupts_the_work_on_the_stack(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    await supervisor.start([program(tmp_path, "one", PATIENT), program(tmp_path, "dying", DYING)])
    with pytest.raises(ServiceFailed, match="service dying ended by itself; its last log line: out of paper"):
        async with asyncio.timeout(10), guarded(supervisor.failure):
            await asyncio.Event().wait()


async def test_a_service_that_was_killed_on_purpose_is_no_failure_and_starts_again(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    await supervisor.start([program(tmp_path, "one", PATIENT)])
    first = supervisor.child("one").process.pid
    await supervisor.kill("one")
    await asyncio.sleep(0.2)
    assert not supervisor.failure.done()
    await supervisor.restart("one")
    assert supervisor.child("one").process.pid != first
    assert supervisor.child("one").alive


async def test_a_service_that_does_not_drain_is_killed(
    tmp_path: Path, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "DRAINS_WITHIN", 0.3)
    await supervisor.start([program(tmp_path, "stubborn", STUBBORN)])
    assert await supervisor.drain("stubborn") is False
    assert not supervisor.child("stubborn").alive


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells children of their parent's end on Linux alone")
def test_children_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    runner = tmp_path / "runner.py"
    runner.write_text(
        f"import asyncio, sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import pathlib, test_processes as t\n"
        "async def main():\n"
        "    s = t.Supervisor()\n"
        "    await s.start([t.program(pathlib.Path(sys.argv[1]), 'one', t.STUBBORN)])\n"
        "    print(s.child('one').process.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, runner, tmp_path], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert not gone(child)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 5
    while not gone(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert gone(child)
