"""What `doorstep demo` shows on the terminal while the record goes its way."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from doorstep.local.records import demonstration

DOORSTEP = Path(sys.executable).with_name("doorstep")


def test_the_terminal_shows_facts_rules_departments_outcomes_and_the_log(tmp_path: Path) -> None:
    record = demonstration(5, now=datetime.now(UTC))
    for subject in record["subjects"]:
        subject["facts"] = [fact for fact in subject["facts"] if fact["code"] in ("wish.legal-aid", "consent.service")]
    path = tmp_path / "record.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    command = [DOORSTEP, "demo", "--no-stay", "--households", "0", "--record", path]
    result = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert result.returncode == 0, result.stderr + result.stdout
    for said in (
        record["record_id"], "wish-legal-aid", "法律援助 Legal aid", "司法 Justice", "已受理 accepted",
        "已办结 completed", "the log verifies", "/journeys/",
    ):  # fmt: skip
        assert said in result.stdout, said
    assert "消防 Fire safety" not in result.stdout
