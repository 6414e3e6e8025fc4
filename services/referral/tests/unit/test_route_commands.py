"""What `doorstep route` says without a server: faults line by line, routes by a file, wrong requests."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from doorstep.referral.commands.routes import application

MANUAL = Path(__file__).parents[4] / "docs" / "directory.md"
EXAMPLE = re.search(r"```json\n(.*?)```", MANUAL.read_text("utf-8"), re.DOTALL)[1]
NOWHERE = "http://127.0.0.1:9"


def run(*arguments):
    answer = CliRunner().invoke(application, [str(one) for one in arguments], env={"DOORSTEP_TOKEN": ""})
    assert "Traceback" not in answer.output
    return answer.exit_code, answer.output


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "offices.json"
    path.write_text(EXAMPLE, "utf-8")
    return path


def test_a_directory_is_checked(file) -> None:
    code, said = run("check", file)
    assert code == 0
    assert said.startswith("2026-1: 1 offices")


@pytest.mark.parametrize("command", [("check",), ("import", "--token", "t"), ("try", "--token", "t")], ids=str)
def test_each_fault_is_one_line(file, command) -> None:
    document = json.loads(EXAMPLE)
    document["services"][0] |= {"status": "open", "contacts": []}
    document["services"][0]["attributes"][0]["taxonomy_term"]["code"] = "petitions"
    file.write_text(json.dumps(document), "utf-8")
    code, said = run(command[0], file, *command[1:])
    assert code == 1
    assert [line.split()[0] for line in said.splitlines()] == ["/services/0/contacts"]
    del document["services"][0]["contacts"]
    file.write_text(json.dumps(document), "utf-8")
    code, said = run(command[0], file, *command[1:])
    assert [line.split()[0] for line in said.splitlines()] == [
        "/services/0/status", "/services/0/attributes/0/taxonomy_term/code",
    ]  # fmt: skip


def test_a_route_is_explained_by_a_file_in_both_languages(file) -> None:
    code, said = run("explain", "--need", "wiring-repair", "--station", "station-7", "--file", file)
    assert code == 0
    assert "由 幸福街道消防站 受理。" in said
    assert "幸福街道消防站 takes it." in said
    code, said = run("explain", "--need", "wiring-repair", "--station", "station-9", "--file", file)
    assert "✗ 幸福街道消防站（fire）  不服务此站点  does not serve this station" in said
    code, said = run("explain", "--need", "wiring-repair", "--station", "station-9", "--file", file, "--json")
    assert json.loads(said)["queue"] == "unrouted"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("explain", "--need", "petitions", "--station", "station-7"), "There is no such need type"),
        (("explain", "--need", "legal-aid", "--station", "station-7"), "Give --token"),
        (("check", "nowhere.json"), "cannot be read"),
        (("export", "--version", "../x"), "There is no such version"),
        (("activate", "2026-1", "--token", "两"), "Give --token"),
    ],
    ids=["need", "no-token", "no-file", "version", "token"],
)
def test_a_wrong_request_is_one_sentence_in_each_language(arguments, told) -> None:
    code, said = run(*arguments)
    assert code == 2
    assert told in said
    assert len(said.splitlines()) == 2


def test_a_server_that_is_away_is_said_so() -> None:
    code, said = run("export", "--url", NOWHERE)
    assert code == 1
    assert "No answer from http://127.0.0.1:9" in said
