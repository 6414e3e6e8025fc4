"""The contracts are a wheel of their own: beside pydantic alone, a partner reads a golden message."""

import subprocess
import sys
import venv
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
READS = """
import importlib, json, pkgutil, sys
import doorstep.contracts as contracts
from doorstep.contracts.topics import EVENTS
from doorstep.contracts.wire import from_message

for module in pkgutil.iter_modules(contracts.__path__, "doorstep.contracts."):
    importlib.import_module(module.name)
golden = json.load(open(sys.argv[1]))
headers = [(name, text.encode()) for name, text in golden["headers"].items()]
envelope, _ = from_message(headers, golden["key"].encode(), b"")
print(EVENTS[envelope.type].model_validate_json(json.dumps(golden["decrypted"])).offer.need_type)
print(*sorted({name.split(".")[0] for name in sys.modules} & {"aiokafka", "joserfc", "sqlalchemy", "fastapi"}))
"""


def closure(name: str) -> Iterator[str]:
    """The distributions that `name` needs, itself first, as they are installed here."""
    waiting, seen = [name], set[str]()
    while waiting:
        one = waiting.pop().lower()
        if one in seen:
            continue
        seen.add(one)
        try:
            needs = map(Requirement, distribution(one).requires or ())
        except PackageNotFoundError:
            continue
        yield one
        waiting += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment that holds pydantic, what pydantic needs, and the wheel; no registry is asked."""
    folder = tmp_path_factory.mktemp("alone")
    build = [Path(sys.executable).with_name("hatchling"), "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT / "contracts", check=True, capture_output=True)
    venv.create(folder / "venv", with_pip=False)
    packages = next((folder / "venv" / "lib").iterdir()) / "site-packages"
    for name in closure("pydantic"):
        for file in distribution(name).files or ():
            if file.parts[0] not in ("..", "__pycache__") and not (packages / file.parts[0]).exists():
                (packages / file.parts[0]).symlink_to(Path(distribution(name).locate_file(file.parts[0])))
    found = folder / "venv" / "bin" / "python"
    (wheel,) = folder.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--python", str(found), "--disable-pip-version-check", "install"]
    subprocess.run([*pip, "--no-index", "--quiet", str(wheel)], check=True, capture_output=True, text=True)
    return found


def test_a_partner_reads_a_golden_message_with_the_wheel_alone(python: Path) -> None:
    golden = ROOT / "contracts" / "examples" / "feed.request-offered.v1.json"
    ran = subprocess.run([python, "-I", "-c", READS, golden], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    need, others = ran.stdout.split("\n")[:2]
    assert need in golden.read_text(encoding="utf-8")
    assert others == ""


def test_nothing_else_of_ours_came_along(python: Path) -> None:
    packages = next((python.parents[1] / "lib").iterdir()) / "site-packages"
    assert [path.name for path in (packages / "doorstep").iterdir()] == ["contracts"]
    assert not (packages / "joserfc").exists()
