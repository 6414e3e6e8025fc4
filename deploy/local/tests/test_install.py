"""Installing from nothing but Python and make: what is missing is told in one clear sentence, without a traceback."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).resolve().parents[1]
ROOT = HERE.parents[1]


@pytest.fixture
def install() -> ModuleType:
    spec = importlib.util.spec_from_file_location("install", HERE / "install.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A project of one library, installed by our own scripts."""
    (tmp_path / "deploy" / "local").mkdir(parents=True)
    for script in ("install.sh", "install.py"):
        shutil.copy(HERE / script, tmp_path / "deploy" / "local" / script)
    (tmp_path / "requirements.lock").write_text(f"no-such-library==1.0 --hash=sha256:{'0' * 64}\n")
    return tmp_path


def environment(**changed: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    return {**kept, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1", **changed}


def run(checkout: Path, **changed: str) -> subprocess.CompletedProcess[str]:
    command = ["/bin/sh", checkout / "deploy" / "local" / "install.sh"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment(**changed))


def test_without_a_network_it_says_so_and_keeps_the_log(checkout: Path) -> None:
    done = run(checkout, PYTHON=sys.executable, PIP_INDEX_URL="http://127.0.0.1:9/simple")
    assert done.returncode == 1
    assert "Error: the package index cannot be reached; check the network and try again" in done.stderr
    assert "错误：无法连接软件包仓库" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "[1/3]" in done.stdout
    assert "[2/3]" in done.stdout
    assert "127.0.0.1" in (checkout / ".venv" / "install.log").read_text()


def test_without_a_python_it_says_so(checkout: Path) -> None:
    tools = checkout / "tools"
    tools.mkdir()
    (tools / "dirname").symlink_to(shutil.which("dirname") or "/usr/bin/dirname")
    done = run(checkout, PATH=str(tools))
    assert done.returncode == 2
    assert done.stderr.splitlines()[1].startswith("Error: no Python 3.11 or later was found")


def test_an_old_python_is_passed_over_and_refused_by_name(checkout: Path) -> None:
    old = checkout / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = run(checkout, PYTHON=str(old))
    assert done.returncode == 2
    assert f"Error: {old} is no usable Python 3.11 or later." in done.stderr


def test_a_python_without_venv_names_the_package_to_install(
    install: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "The virtual environment was not created successfully because ensurepip is not available."
    monkeypatch.setattr(install, "PYTHON", tmp_path / ".venv" / "bin" / "python")
    monkeypatch.setattr(install, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(install, "run", lambda _: subprocess.CompletedProcess([], 1, said, ""))
    assert install.main() == 1
    told = capsys.readouterr().err
    assert f"apt install python3.{sys.version_info.minor}-venv" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "does not match its hash"),
        ("ERROR: No matching distribution found for uvloop==0.23.0", "no build of uvloop==0.23.0 for this system"),
        (
            "WARNING: Retrying ... Temporary failure in name resolution\nERROR: No matching distribution",
            "check the net",
        ),
        ("ERROR: something else", "installing failed: ERROR: something else"),
    ],
)
def test_what_pip_says_becomes_a_sentence(install: ModuleType, output: str, sentence: str) -> None:
    chinese, english = str(install._failure(output)).splitlines()
    assert chinese.startswith("错误：")
    assert sentence in english


def test_every_member_of_the_workspace_is_installed(install: ModuleType) -> None:
    found = {str(member.relative_to(ROOT)) for member in install.members()}
    services = {f"services/{name}" for name in ("gateway", "intake", "registry", "risk", "referral", "audit")}
    assert found == {"contracts", "kit", "keystore", "cli", "deploy/local"} | services
