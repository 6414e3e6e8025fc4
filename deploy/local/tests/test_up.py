"""`doorstep up` runs everything, ends cleanly, finds its data again, and tells which service ended."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STARTS_WITHIN = 120.0  # seconds, on a machine that runs other tests too


class Running:
    """A `doorstep up` of its own process."""

    def __init__(self, data: Path, *arguments: str) -> None:
        self.data = data
        self._said = data.with_suffix(".out")
        command = [Path(sys.executable).with_name("doorstep"), "up", "--data", str(data), *arguments]
        with self._said.open("wb") as said:
            environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
            self.process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=environment)

    @property
    def said(self) -> str:
        return self._said.read_text()

    def wait_until_ready(self) -> dict[str, object]:
        """The addresses, as other commands find them."""
        deadline = time.monotonic() + STARTS_WITHIN
        while "Press Ctrl-C to stop." not in self.said:
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.1)
        addresses = json.loads((self.data / "stack.json").read_text())["running"]
        assert addresses["front_door"] in self.said
        assert f"notices to residents: {self.data / 'notices'}" in self.said
        return addresses

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@contextmanager
def up(data: Path, *arguments: str) -> Iterator[Running]:
    running = Running(data, *arguments)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()


def get(url: str) -> int:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own addresses
        return answer.status


def service_pid(data: Path, service: str) -> int:
    """The process of a service of the stack on that folder."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")
            environment = (process / "environ").read_bytes()
        except OSError:
            continue
        if f"doorstep.{service}".encode() in command and os.fsencode(data) in environment:
            return int(process.name)
    raise AssertionError(f"no {service} runs on {data}")


def test_two_stacks_run_side_by_side_and_each_ends_for_itself(tmp_path: Path) -> None:
    with up(tmp_path / "one", "--port", "0") as one:
        first = one.wait_until_ready()
        with up(tmp_path / "two", "--port", "0") as two:
            second = two.wait_until_ready()
            assert first["front_door"] != second["front_door"]
            told = Path("/proc", str(service_pid(tmp_path / "one", "referral")), "environ").read_bytes().split(b"\0")
            assert os.fsencode(f"DOORSTEP_NOTICES={tmp_path / 'one' / 'notices'}") in told
            for addresses in (first, second):
                assert get(f"{addresses['front_door']}/healthz") == 200
                assert get(f"{addresses['front_door']}/openapi.json") == 200
                assert [get(f"{url}/readyz") for url in addresses["services"].values()] == [200] * 6  # type: ignore[attr-defined]

            os.kill(service_pid(tmp_path / "two", "registry"), signal.SIGKILL)
            assert two.process.wait(60) == 1
            assert "Error: The service registry ended by itself; its last log line: " in two.said
            assert "Traceback" not in two.said

        assert get(f"{first['front_door']}/healthz") == 200
        assert one.end(signal.SIGTERM) == 0
        assert "Stopped; the data is kept." in one.said
        assert "ERROR" not in (tmp_path / "one" / "logs" / "postgres.log").read_text()

    with up(tmp_path / "one") as again:
        assert again.wait_until_ready()["front_door"] == first["front_door"]
        assert again.end(signal.SIGINT) == 0
        assert "Traceback" not in again.said


def test_ctrl_c_in_the_middle_of_a_start_ends_it_cleanly(tmp_path: Path) -> None:
    with up(tmp_path / "data", "--port", "0") as running:
        deadline = time.monotonic() + STARTS_WITHIN
        while "PostgreSQL 数据库  就绪 ready" not in running.said:
            assert time.monotonic() < deadline, running.said
            time.sleep(0.02)
        assert running.end(signal.SIGINT) == 0
        assert "Stopped; the data is kept." in running.said
        assert not (tmp_path / "data" / "postgres" / "postmaster.pid").exists()


def test_witnesses_that_cannot_be_used_are_refused_before_anything_starts(tmp_path: Path) -> None:
    file = tmp_path / "witnesses.txt"
    for content, said in (
        (None, "FileNotFoundError"),
        ("a b c\n", "line 1: not a verifier key"),
        ("", "2 of 0 is no quorum"),
    ):
        if content is not None:
            file.write_text(content)
        with up(tmp_path / "data", "--witnesses", str(file)) as refused:
            assert refused.process.wait(60) == 2
            assert said in refused.said
    assert not (tmp_path / "data").exists()
