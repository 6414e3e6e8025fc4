"""Entries are exported with details and proofs under one checkpoint; the command writes and checks them."""

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event

from doorstep.audit.commands.table import DEEDS
from doorstep.audit.domain.cosignature import WitnessSigningKey
from doorstep.audit.domain.criteria import Criteria
from doorstep.audit.domain.errors import LineRejected
from doorstep.audit.domain.export import check_export
from doorstep.audit.domain.note import SigningKey
from doorstep.audit.domain.receipt import parse_receipt
from doorstep.audit.operations import opening
from doorstep.audit.operations.exporting import begin_export
from doorstep.audit.operations.proving import receipt
from doorstep.audit.queries import Trusted
from doorstep.contracts.codes import Action
from doorstep.kit.vault import NOBODY

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
CASE = UUID("0f2d6c1e-0000-4000-8000-000000000001")
NOBODY_TRUSTED = Trusted()


def path(**query: object) -> str:
    times = {"since": NOON - timedelta(days=1), "until": NOON + timedelta(days=1)}
    return f"entries.jsonl?{urlencode({name: str(value) for name, value in (times | query).items()})}"


@pytest.fixture
async def made(office):
    """Ids of entries with details among others, over several tiles, and one that is not sequenced."""
    made = []
    for hour in range(6):
        await office.log.fill(100)
        made.append(await office.enter("read-file", *(uuid4() for _ in range(1 + hour % 3)), at=NOON, case=CASE))
    await office.log.drain()
    await office.enter("read-file", uuid4(), at=NOON, case=CASE)
    return made


async def test_an_export_holds_each_entry_with_a_proof_that_is_the_one_of_its_receipt(office, made):
    status, data = await office.ask("GET", path())
    assert status == 200
    lines = data.splitlines(keepends=True)
    checked = check_export(lines, office.log.key.verifier)
    assert (checked.ending.lines, checked.ending.waiting, checked.checkpoint.size) == (6, 1, 606)
    told = [json.loads(line) for line in lines[:-1]]
    ids = [UUID(json.loads(one["entry"])["id"]) for one in told]
    assert sorted(ids) == sorted(made)
    for entry_id, one in zip(ids, told, strict=True):
        async with office.log.database.transaction() as session:
            alone = await receipt(session, entry_id=entry_id, trusted=NOBODY_TRUSTED)
        assert parse_receipt(one["receipt"].encode()) == alone
        assert len(one["details"]) == 1 + made.index(entry_id) % 3
        assert {detail["detail"]["case"] for detail in one["details"]} == {str(CASE)}
    [entry] = await office.logged(NOBODY)
    assert (entry.action, entry.asked) == ("export-log", checked.ending.asked)


async def test_proofs_share_their_tiles(office, made):
    statements = []
    event.listen(
        office.log.database.engine.sync_engine,
        "before_cursor_execute",
        lambda *what: statements.append(what[2]),
    )
    await office.ask("GET", path())
    few = len(statements)
    for _ in range(60):
        await office.enter("read-file", uuid4(), at=NOON)
    await office.log.drain()
    statements.clear()
    _, data = await office.ask("GET", path())
    assert len(data.splitlines()) == 6 + 1 + 60 + 1
    assert len(statements) <= few + 2


async def test_what_was_erased_is_left_out_and_the_rest_of_its_entry_still_holds(office):
    erased, other = uuid4(), uuid4()
    await office.enter("read-file", erased, other, at=NOON)
    await office.enter("read-file", erased, at=NOON)
    await office.log.drain()
    await office.vault.destroy(erased)
    _, data = await office.ask("GET", path())
    lines = data.splitlines(keepends=True)
    assert check_export(lines, office.log.key.verifier).ending.lines == 1
    assert [detail["position"] for detail in json.loads(lines[0])["details"]] == [1]


async def test_a_detail_that_was_changed_in_the_database_does_not_open_its_commitment(office, made):
    subject = uuid4()
    changed = await office.enter("read-file", subject, at=NOON + timedelta(hours=1))
    await office.enter("read-record", subject, at=NOON + timedelta(hours=2))
    await office.log.drain()
    later = "(SELECT sealed FROM detail ORDER BY hour DESC LIMIT 1)"
    await office.log.run(f"UPDATE detail SET sealed = {later} WHERE entry_id = '{changed}'")  # noqa: S608
    _, data = await office.ask("GET", path())
    with pytest.raises(LineRejected, match="line 8: detail 0 does not open its commitment"):
        check_export(data.splitlines(keepends=True), office.log.key.verifier)


async def test_an_export_of_one_matter_is_logged_under_those_whom_it_is_about(office, monkeypatch):
    monkeypatch.setattr(opening, "PAGE", 3)
    subjects = [uuid4() for _ in range(6)]
    for at in range(0, 6, 2):
        await office.enter("read-file", *subjects[at : at + 2], at=NOON + timedelta(hours=at), case=CASE)
    await office.log.drain()
    status, data = await office.ask("GET", path(case=CASE))
    assert (status, len(data.splitlines())) == (200, 4)
    for subject in subjects:
        assert [one.action for one in await office.logged(subject)] == ["export-log"]


async def test_the_checkpoint_is_the_witnessed_one_if_it_covers_what_is_of_that_time(office):
    await office.enter("read-file", uuid4(), at=NOON)
    await office.log.drain()
    await office.log.run("INSERT INTO cosignature VALUES (1, 'w', 7, '— w AAAAAAAA')")
    await office.enter("read-file", uuid4(), at=NOON + timedelta(hours=3))
    await office.log.drain()
    sizes = []
    for hours in (1, 4):
        criteria = Criteria(NOON, NOON + timedelta(hours=hours))
        async with office.log.database.transaction() as session:
            sizes.append((await begin_export(session, criteria=criteria, trusted=Trusted(("w",), 1))).proofs.size)
    assert sizes == [1, 2]


async def test_before_the_first_checkpoint_there_is_nothing_to_export(office):
    status, told = await office.ask("GET", path())
    assert (status, told["type"]) == (503, "urn:doorstep:problem:log-not-begun")


async def test_what_cannot_be_logged_is_not_answered(office, made):
    await office.log.run("ALTER TABLE pending ADD CHECK (false) NOT VALID")
    for what in ("entries", path(), f"life/{CASE}"):
        status, told = await office.ask("GET", what)
        assert (status, told["type"]) == (500, "urn:doorstep:problem:internal")


@pytest.fixture
def arguments(office, tmp_path):
    """What the exporting command is told, beside the file."""
    token = tmp_path / "auditor.token"
    token.write_text("first\n")
    times = ("--since", "2026-11-19T00:00:00+08:00", "--until", "2026-11-22T00:00:00+08:00")
    return ("--url", office.url, "--token-file", token, *times)


async def test_the_command_writes_an_export_that_checks_offline(office, made, arguments, doorstep, tmp_path):
    file, key = tmp_path / "week.jsonl", str(office.log.key.verifier)
    status, out, _ = await doorstep("export-entries", file, *arguments, "--where", "action=read-file", "--json")
    assert (status, json.loads(out)["lines"], json.loads(out)["waiting"]) == (0, 6, 1)
    status, out, _ = await doorstep("check-entries", file, "--vkey", key, "--json")
    assert (status, json.loads(out)["verified"], json.loads(out)["lines"]) == (0, True, 6)
    assert "Verified: 6 entries, all in the log of 606" in (await doorstep("check-entries", file, "--vkey", key))[2]
    stranger = str(SigningKey.generate("doorstep.example/log").verifier)
    witness = WitnessSigningKey.generate("witness.example/w").verifier
    assert (await doorstep("check-entries", file, "--vkey", stranger))[0] == 1
    assert (await doorstep("check-entries", file, "--vkey", "none"))[0] == 2
    assert (await doorstep("check-entries", tmp_path / "none", "--vkey", key))[0] == 2
    status, _, out = await doorstep("check-entries", file, "--vkey", key, "--witness", witness)
    assert (status, "0 of 1 witnesses count" in out) == (1, True)
    lines = file.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b"read-file", b"read-life")
    file.write_bytes(b"".join(lines))
    status, out, _ = await doorstep("check-entries", file, "--vkey", key, "--json")
    assert (status, json.loads(out)["line"], json.loads(out)["error"]) == (1, 4, "LineRejected")
    file.write_bytes(b"".join(lines[:3])[:-20])
    assert "line 3: not JSON, or cut off" in (await doorstep("check-entries", file, "--vkey", key))[2]


async def test_an_export_that_breaks_off_leaves_what_was_there(
    office, made, arguments, doorstep, tmp_path, monkeypatch
):
    file = tmp_path / "week.jsonl"
    file.write_text("before")
    monkeypatch.setattr(opening, "PAGE", 5)
    last = max([row.index for row in await office.rows("SELECT index FROM entry JOIN detail USING (entry_id)")])
    await office.log.tamper(f"DELETE FROM entry WHERE index = {last - 1}")  # noqa: S608
    status, _, out = await doorstep("export-entries", file, *arguments)
    assert (status, "The log cannot be read" in out) == (1, True)
    assert file.read_text() == "before"
    assert sorted(one.name for one in tmp_path.glob("*week*")) == ["week.jsonl"]


async def test_the_command_says_what_is_wrong(office, arguments, doorstep, tmp_path):
    file = tmp_path / "week.jsonl"
    for more, expected, said in (
        (("--where", "action"), 2, "--where takes NAME=VALUE"),
        (("--where", "until=now"), 2, "--where takes NAME=VALUE"),
        (("--since", "yesterday"), 2, "a time is written as"),
        (("--since", "2026-11-20T00:00:00"), 2, "its offset from UTC"),
        (("--where", "action=read-minds"), 2, "/query/action is not a known code; known are: "),
        (("--url", "http://127.0.0.1:9/api/log"), 1, "does not answer"),
        (("--token-file", str(tmp_path / "none")), 2, "Wrong request"),
    ):
        status, _, out = await doorstep("export-entries", file, *arguments, *more)
        assert (status, said in out, file.exists()) == (expected, True, False), out
    (tmp_path / "auditor.token").write_text("police")
    status, _, out = await doorstep("export-entries", file, *arguments)
    assert (status, "Not done: 403" in out) == (1, True)
    (tmp_path / "auditor.token").write_text("张三")
    assert (await doorstep("export-entries", file, *arguments))[0] == 2


async def test_the_commands_search_and_show_a_life(office, arguments, doorstep):
    record, subject = UUID("019a0000-0000-7000-8000-000000000001"), uuid4()
    await office.enter("record-visit", subject, at=NOON, service="intake", case=record)
    await office.enter("read-file", subject, at=NOON + timedelta(minutes=1), case=uuid4())
    await office.log.drain()
    status, out, _ = await doorstep("search", *arguments, "--where", "action=record-visit", "--json")
    assert (status, [one["case"] for one in json.loads(out)["entries"]]) == (0, [str(record)])
    life = ("life", record, *arguments[:4])
    status, out, _ = await doorstep(*life, "--json")
    assert (status, [one["action"] for one in json.loads(out)["entries"]]) == (0, ["search-log", "record-visit"][1:])
    status, out, _ = await doorstep(*life)
    assert (status, out.splitlines()[0].split("  ")[0]) == (0, "时间 time")
    assert "2026-11-20 20:00:00  采集 record-visit" in out
    assert "查看全程 read-life" in out
    assert "A file is a case of its own" in out
    assert str(subject) not in out


def test_every_action_has_its_chinese():
    assert set(DEEDS) == set(Action)
