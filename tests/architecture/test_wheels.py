"""A wheel of a member is complete: rules, pages and migrations travel with the code."""

import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

MEMBERS = (
    "contracts", "kit", "keystore", "cli", "deploy/local", "services/audit", "services/gateway", "services/intake",
    "services/referral", "services/registry", "services/risk",
)  # fmt: skip


@pytest.mark.parametrize("member", MEMBERS)
def test_a_wheel_holds_every_file_of_its_package(root: Path, files, tmp_path: Path, member: str) -> None:
    wheel = next(WheelBuilder(str(root / member)).build(directory=str(tmp_path), versions=["standard"]))
    source = Path(member) / "src"
    expected = {str(path.relative_to(source)) for path in files if path.is_relative_to(source)}
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    assert expected
    assert expected - held == set()


@pytest.mark.parametrize("member", [member for member in MEMBERS if member.startswith("services/")])
def test_images_have_one_shape(root: Path, member: str) -> None:
    name = member.removeprefix("services/")
    image = (root / member / "Dockerfile").read_text(encoding="utf-8")
    shape = (root / "services" / "intake" / "Dockerfile").read_text(encoding="utf-8")
    own = " && install -d -o doorstep -m 700 /notices" if name == "referral" else ""  # a new volume is whose it was
    assert image == shape.replace("intake", name).replace("/keys\nUSER", f"/keys{own}\nUSER")
