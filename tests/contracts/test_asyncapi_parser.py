"""The AsyncAPI Initiative's own parser reads the document, where Node.js is there and the parser can be installed."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from doorstep.contracts.generate import FOLDER
from doorstep.contracts.topics import TOPICS

ROOT = Path(__file__).parents[2]
PARSER = "@asyncapi/parser@3.6.3"
INSTALLED = ROOT / ".cache" / "asyncapi-parser"
ERROR, WARNING = 0, 1


@pytest.fixture(scope="module")
def parser() -> Path:
    """The script beside an installed parser; skipped where there is none and none can be had."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node.js is not here: the document was checked by its schema alone")
    if not (INSTALLED / "node_modules" / "@asyncapi" / "parser").is_dir():
        INSTALLED.mkdir(parents=True, exist_ok=True)
        (INSTALLED / "package.json").write_text('{"private": true}\n')
        options = ["--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", "--loglevel=error"]
        try:
            subprocess.run(
                [npm, "install", *options, PARSER], cwd=INSTALLED, check=True, capture_output=True, timeout=180
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            shutil.rmtree(INSTALLED / "node_modules", ignore_errors=True)
            pytest.skip(f"{PARSER} could not be installed: the document was checked by its schema alone")
    script = INSTALLED / "asyncapi_parser.mjs"
    shutil.copy(Path(__file__).with_name("asyncapi_parser.mjs"), script)
    return script


def parse(script: Path, document: Path) -> dict:
    ran = subprocess.run(["node", str(script), str(document)], capture_output=True, text=True, check=True, timeout=120)
    return json.loads(ran.stdout)


def test_the_parser_finds_no_error_and_no_warning(parser: Path) -> None:
    read = parse(parser, ROOT / FOLDER / "asyncapi.yaml")
    assert [one for one in read["said"] if one["severity"] in (ERROR, WARNING)] == []
    assert read["channels"] > len(TOPICS)


def test_the_parser_refuses_a_dead_reference(parser: Path, tmp_path: Path) -> None:
    text = (ROOT / FOLDER / "asyncapi.yaml").read_text(encoding="utf-8")
    broken = tmp_path / "asyncapi.yaml"
    broken.write_text(text.replace("#/components/schemas/VisitRecorded", "#/components/schemas/Nothing"))
    assert any(one["severity"] == ERROR for one in parse(parser, broken)["said"])
