"""The command is quick to help, and one broken member does not break the others."""

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from doorstep.cli import members
from doorstep.cli.failures import Refusal

DOORSTEP = Path(sys.executable).with_name("doorstep")

MODULE = '''"""Greets. 问候。"""
import typer

def greet(name: str) -> None:
    """Say hello to NAME. 问好。

    Examples: doorstep greet Li
    """
    typer.echo(f"hello {name}")

def refuse() -> None:
    """Refuse. 拒绝。"""
    from doorstep.cli.failures import Refusal
    raise Refusal("不行。", "No.", exit_code=2)

group = typer.Typer(help="Several.")

@group.command()
def one() -> None:
    typer.echo("one")

@group.command()
def two() -> None:
    typer.echo("two")

neither = 7
'''


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with an installed member that offers good and broken commands."""
    (tmp_path / "greeting.py").write_text(MODULE)
    (tmp_path / "broken.py").write_text('"""Breaks."""\nimport nowhere_to_be_found\ndef run() -> None: ...\n')
    metadata = tmp_path / "greeting-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: greeting\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(
        "[doorstep.commands]\ngreet = greeting:greet\nrefuse = greeting:refuse\nseveral = greeting:group\n"
        "broken = broken:run\nabsent = absent.module:run\nneither = greeting:neither\n"
    )
    return tmp_path


def doorstep(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "COLUMNS": "160"}
    return subprocess.run([DOORSTEP, *arguments], capture_output=True, text=True, check=False, env=environment)


def test_help_lists_every_command_with_its_first_line(site: Path) -> None:
    asked = doorstep(site, "--help")
    assert asked.returncode == 0
    for expected in ("Say hello to NAME. 问好。", "several", "Breaks.", "absent", "Examples:"):
        assert expected in asked.stdout
    assert asked.stderr == ""


def test_help_imports_no_member_so_that_it_is_quick(site: Path) -> None:
    doorstep(site, "--help")
    listed = subprocess.run(
        [sys.executable, "-X", "importtime", DOORSTEP, "--help"], capture_output=True, text=True, check=True
    )
    imported = {line.rpartition("|")[2].strip() for line in listed.stderr.splitlines()}
    assert "doorstep.cli.members" in imported
    assert imported & {"sqlalchemy", "fastapi", "aiokafka", "doorstep.local.stack", "doorstep.kit.db"} == set()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["greet", "李"], "hello 李\n"), (["several", "two"], "two\n"), (["several", "one"], "one\n")],
)
def test_functions_and_groups_are_run(site: Path, arguments: list[str], said: str) -> None:
    done = doorstep(site, *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")


def test_help_of_a_command_is_its_own(site: Path) -> None:
    asked = doorstep(site, "greet", "--help")
    assert "Usage: doorstep greet" in asked.stdout
    assert "doorstep greet Li" in asked.stdout


@pytest.mark.parametrize("name", ["broken", "absent", "neither"])
def test_a_member_that_cannot_be_loaded_is_one_sentence_and_no_traceback(site: Path, name: str) -> None:
    done = doorstep(site, name)
    assert done.returncode == 1
    assert f"The command {name} cannot be loaded" in done.stderr
    assert done.stderr.startswith("错误：")
    assert "Traceback" not in done.stderr


def test_a_refusal_is_told_in_both_languages_with_its_exit_code(site: Path) -> None:
    done = doorstep(site, "refuse")
    assert (done.returncode, done.stderr) == (2, "错误：不行。\nError: No.\n")


def test_an_unknown_command_is_a_usage_error(site: Path) -> None:
    done = doorstep(site, "dance")
    assert done.returncode == 2
    assert "No such command 'dance'" in done.stderr


def test_the_version_is_told(site: Path) -> None:
    assert doorstep(site, "--version").stdout.startswith("doorstep 0.")


def test_of_two_commands_with_one_name_one_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint("up", f"module{number}:up", members.GROUP) for number in (1, 2)]
    monkeypatch.setattr(members, "entry_points", lambda group: points)
    assert members.members() == {"up": points[0]}


def test_what_a_broken_member_raises_is_kept_as_the_cause() -> None:
    with pytest.raises(members.MemberBroken) as caught:
        members.load(EntryPoint("x", "json:nothing", members.GROUP))
    assert isinstance(caught.value, Refusal)
    assert isinstance(caught.value.__cause__, AttributeError)
