"""The command `doorstep demo` as somebody runs it: what it prints, with what it ends."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from doorstep.local.records import demonstration

DOORSTEP = Path(sys.executable).with_name("doorstep")


def demo(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [DOORSTEP, "demo", "--no-stay", "--households", "3", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)


def test_the_demonstration_closes_every_request_and_verifies_the_log() -> None:
    result = demo("--json")
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert set(told) == {"record_id", "departments", "closed", "log", "seconds"}
    assert set(told["departments"]) == {"civil-affairs", "health", "justice", "fire"}
    for department in told["departments"].values():
        assert department["state"] == "completed"
        assert department["visible_ms"] > 0
    assert told["closed"] is True
    assert told["log"]["verified"] is True
    assert told["log"]["entries"] > 20


def test_an_edited_row_of_the_log_is_found() -> None:
    result = demo("--json", "--tamper")
    told = json.loads(result.stdout)
    assert (result.returncode, told["closed"], told["log"]["verified"]) == (1, True, False)


def test_another_record_reaches_its_own_departments_and_is_shown_live(tmp_path: Path) -> None:
    record = demonstration(5, now=datetime.now(UTC))
    for subject in record["subjects"]:
        subject["facts"] = [fact for fact in subject["facts"] if fact["code"] in ("wish.legal-aid", "consent.service")]
    path = tmp_path / "record.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    result = demo("--record", path)
    assert result.returncode == 0, result.stderr + result.stdout
    for said in (
        record["record_id"],
        "法律援助 Legal aid",
        "司法 Justice",
        "已办结 completed",
        "the log verifies",
        "/journeys/",
    ):
        assert said in result.stdout
    assert "消防 Fire safety" not in result.stdout


@pytest.mark.parametrize("text", ["no JSON", "[]", "{}"])
def test_a_file_that_is_no_record_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(text, encoding="utf-8")
    result = demo("--record", path)
    assert result.returncode == 2
    assert "cannot be used" in result.stderr
    assert "Traceback" not in result.stderr
