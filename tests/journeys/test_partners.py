"""What docs/partners.md says, done as it stands there: from a sandbox to the first decrypted request, twice."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from doorstep.contracts.codes import Department
from doorstep.kit.delivery import new_private_key
from doorstep.local.sandbox import KeyUnusable, _publish

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```([a-z]+)\n(.*?)```", re.DOTALL)
NAMED = re.compile(r"^(?:#|//) ([\w./]+\.m?(?:py|js))\n")
REMEMBERED = ("export ", ". ")
PATIENCE = 120.0  # seconds, on a machine that runs other tests too


class Reader:
    """Somebody who follows the document in a folder of their own: saves its files and types its commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blocks = BLOCK.findall((ROOT / "docs" / "partners.md").read_text(encoding="utf-8"))
        self._terminal: list[str] = []
        self._saved = [self.save(code) for kind, code in self.blocks if kind in ("python", "js")]

    def save(self, code: str) -> Path:
        """The file that a block is, under the name in its first line."""
        path = self.folder / NAMED.match(code)[1]
        path.write_text(code, encoding="utf-8")
        return path

    def script(self, containing: str) -> tuple[str, str]:
        """How it is run (`sh`: to its end, `shell`: until Ctrl-C), and the commands of the block with `containing`."""
        found = [(kind, code) for kind, code in self.blocks if kind in ("sh", "shell") and containing in code]
        assert len(found) == 1, containing
        kind, code = found[0]
        lines = [line for line in code.splitlines() if line.startswith(REMEMBERED)]
        script = "set -e\n" + "\n".join(self._terminal) + "\n" + code
        self._terminal += lines
        return kind, script

    def type(self, containing: str) -> str:
        """Type the block that has `containing`, to its end; gives what it printed."""
        kind, script = self.script(containing)
        assert kind == "sh"
        ran = subprocess.run(
            ["sh", "-c", script], cwd=self.folder, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    @contextmanager
    def staying(self, containing: str) -> Iterator["Staying"]:
        """Type the block that has `containing`, and press Ctrl-C at the end."""
        kind, script = self.script(containing)
        assert kind == "shell"
        *before, command = script.rstrip().splitlines()
        running = Staying("\n".join([*before, f"exec {command}"]), self.folder)
        try:
            yield running
        finally:
            running.end()


def _at_a_terminal() -> None:
    """Let Ctrl-C count, which what runs in the background of a shell inherits as ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Staying:
    """A command that runs until Ctrl-C, and what it printed."""

    def __init__(self, script: str, folder: Path) -> None:
        self._out = folder / f"said-{time.monotonic_ns()}"
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(
                ["sh", "-c", script],
                cwd=folder,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=environment,
                preexec_fn=_at_a_terminal,
            )

    @property
    def said(self) -> str:
        return self._out.read_text(encoding="utf-8")

    def effects(self) -> list[dict]:
        """The effects that a consumer told, whole lines alone."""
        return [json.loads(line) for line in self.said.splitlines(keepends=True) if re.match(r"\{.*\}\n", line)]

    def until(self, holds: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.05)

    def end(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()  # also what does not end leaves nothing behind
            self.process.wait()


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """A reader before a fresh copy of what the document uses of the project."""
    folder = tmp_path_factory.mktemp("partner")
    shutil.copytree(ROOT / "contracts", folder / "contracts", ignore=shutil.ignore_patterns("node_modules"))
    (folder / ".venv").symlink_to(sys.prefix)
    return Reader(folder)


@pytest.fixture(scope="module")
def tried(reader: Reader) -> Iterator[dict[str, subprocess.Popen]]:
    """The Python consumer on trial, beside everything else."""
    _, script = reader.script("conform -- .venv")
    running = subprocess.Popen(
        ["sh", "-c", script], cwd=reader.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    yield {"python": running}
    running.kill()
    running.communicate()


@pytest.fixture(scope="module")
def sandbox(reader: Reader, tried: dict) -> Iterator[Staying]:
    """The sandbox of the document."""
    with reader.staying("doorstep sandbox") as running:
        running.until((reader.folder / "sandbox.env").exists)
        yield running
        assert running.end() == 0, running.said
    assert "Stopped; nothing is kept." in running.said
    assert not (reader.folder / "sandbox.env").exists()


@pytest.fixture(scope="module")
def node(reader: Reader) -> None:
    """The packages of the example in Node.js; skipped where they cannot be had."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node.js is not here: the example in Python was run alone")
    try:
        reader.type("npm ci")
    except (AssertionError, subprocess.TimeoutExpired):
        pytest.skip("kafkajs and jose could not be installed: the example in Python was run alone")


def offered(running: Staying) -> list[dict]:
    return [one for one in running.effects() if one["effect"] == "offered"]


def test_a_reader_decrypts_a_first_request_in_python(reader: Reader, sandbox: Staying) -> None:
    reader.type("new_key.py")
    with reader.staying("FEED_STATE=requests.db") as consumer:
        consumer.until(lambda: len(offered(consumer)) >= 3)
        told = consumer.effects()
    assert {one["need_type"] for one in told if one["effect"] == "offered"} <= {
        "minimum-living-allowance", "temporary-relief", "emergency-food",
    }  # fmt: skip
    assert not [one for one in told if one["effect"] == "set-aside"]


def test_a_reader_accepts_a_request_and_the_station_learns_of_it(reader: Reader, sandbox: Staying) -> None:
    assert reader.type("accept.py").startswith("200 ")
    sandbox.until(lambda: "accepted" in sandbox.said)


def test_a_hospitals_system_reads_a_request_and_answers_it_in_fhir(reader: Reader, sandbox: Staying) -> None:
    assert reader.type("hospital.py") == "200 in-progress\n"
    sandbox.until(lambda: "in progress" in sandbox.said)


def test_a_reader_has_the_contracts_as_a_wheel(reader: Reader) -> None:
    reader.type("hatchling build")
    assert [path.suffix for path in (reader.folder / "dist").iterdir()] == [".whl"]


@pytest.mark.parametrize("kid", ["civil-affairs-1", "a/b", " ", "k" * 1000])
async def test_a_key_that_the_station_refuses_is_one_clear_error(reader: Reader, sandbox: Staying, kid: str) -> None:
    """Another key under a name that is taken, and names that are none."""
    exported = re.findall(r"export (\w+)='(.*)'", (reader.folder / "sandbox.env").read_text())
    public = new_private_key(kid).as_dict(private=False)
    with pytest.raises(KeyUnusable, match="HTTP 4"):
        await _publish(dict(exported), Department.CIVIL_AFFAIRS, public)


def test_a_reader_changes_keys_and_decrypts_both_in_node(reader: Reader, sandbox: Staying, node: None) -> None:
    reader.type("node/new_key.mjs")
    before = sandbox.said.count("sent")
    sandbox.until(lambda: sandbox.said.count("sent") > before + 2 and "withdrawn" in sandbox.said)
    with reader.staying("FEED_STATE=requests.json") as consumer:
        consumer.until(lambda: len(offered(consumer)) >= sandbox.said.count("sent") - 1)
        consumer.until(lambda: any(one["effect"] == "withdrawn" for one in consumer.effects()))
        told = consumer.effects()
    assert not [one for one in told if one["effect"] == "set-aside"]
    kids = [key["kid"] for key in json.loads((reader.folder / "keys.json").read_text())["keys"]]
    assert kids == ["civil-affairs-1", "civil-affairs-2"]


def test_the_example_in_python_passes_every_check(tried: dict[str, subprocess.Popen]) -> None:
    said, _ = tried["python"].communicate(timeout=PATIENCE)
    assert tried["python"].returncode == 0, said
    assert "10 of 10 passed." in said


def test_the_example_in_node_passes_every_check(reader: Reader, node: None) -> None:
    assert "10 of 10 passed." in reader.type("conform -- node")
