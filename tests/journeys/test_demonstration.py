"""The command `doorstep demo`, called as anybody would call it."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from doorstep.local.demo import RecordUnreadable, _read
from doorstep.local.records import demonstration

COMMAND = Path(sys.executable).with_name("doorstep")


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command, nothing = [COMMAND, "demo", *arguments], subprocess.DEVNULL
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, stdin=nothing)


def holds_its_form(report: dict[str, Any]) -> None:
    assert set(report) == {"record_id", "departments", "closed", "log", "seconds"}
    for shown in report["departments"].values():
        assert set(shown) == {"visible_ms", "state"}
        assert 0 < shown["visible_ms"] < 60_000
    assert set(report["log"]) == {"entries", "verified"}
    assert isinstance(report["closed"], bool)
    assert isinstance(report["log"]["entries"], int)
    assert report["seconds"] > 0


def two_sentences(done: subprocess.CompletedProcess[str]) -> str:
    """The English sentence of a refusal, which is one in Chinese and one in English, and nothing else."""
    assert done.returncode == 2, done.stdout + done.stderr
    chinese, english = done.stderr.strip().splitlines()
    assert chinese.startswith("错误：")
    assert english.startswith("Error: ")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return english


def test_one_record_goes_its_way_to_four_departments_and_the_log_verifies() -> None:
    done = demo("--json", "--households", "6")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    report = json.loads(done.stdout)
    holds_its_form(report)
    assert set(report["departments"]) == {"civil-affairs", "health", "justice", "fire"}
    assert {shown["state"] for shown in report["departments"].values()} == {"completed"}
    assert report["closed"]
    assert report["log"]["verified"]
    assert report["log"]["entries"] > 50


def test_another_record_reaches_its_own_departments_and_a_log_that_was_edited_does_not_verify(tmp_path: Path) -> None:
    record = demonstration(4711, now=datetime.now(UTC))
    person, dwelling, _ = record["subjects"]
    person["facts"] = [
        {**person["facts"][2], "code": "work.seeking", "fact_id": person["facts"][0]["fact_id"]},
        person["facts"][-1],
    ]
    dwelling["facts"][0].update(code="dwelling.structure", value="danger")
    record["subjects"] = [person, dwelling]
    path = tmp_path / "record.json"
    path.write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
    done = demo("--json", "--households", "0", "--record", str(path), "--tamper")
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    holds_its_form(report)
    assert report["record_id"] == record["record_id"]
    assert set(report["departments"]) == {"labour", "housing"}
    assert report["closed"]
    assert not report["log"]["verified"]


def test_a_file_that_is_no_record_is_told_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(b"record")
    sentence = two_sentences(demo("--record", str(path)))
    assert str(path) in sentence
    assert "it is not JSON" in sentence


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        (b"", "it is not JSON"),
        (b"\xff\xfe", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[]", "it has no record_id"),
        (b"{}", "it has no record_id"),
        (b'{"record_id": 7}', "it has no record_id"),
    ],
)
def test_whatever_is_no_record_is_refused(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "record.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecordUnreadable, match=reason):
        _read(path)


def test_a_folder_is_no_record(tmp_path: Path) -> None:
    with pytest.raises(RecordUnreadable, match="Is a directory"):
        _read(tmp_path)


def test_a_record_that_the_station_refuses_is_told_in_one_sentence_that_names_the_field(tmp_path: Path) -> None:
    record = demonstration(4712, now=datetime.now(UTC))
    record["subjects"][0]["document_number"] = "110101194803070020"
    path = tmp_path / "record.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    sentence = two_sentences(demo("--json", "--households", "0", "--record", str(path)))
    assert str(path) in sentence
    assert "/subjects/0/document_number" in sentence
    assert "110101194803070020" not in sentence
