"""`doorstep office drop`: requests come as files, answers go as files, whatever ends the program in between."""

import asyncio
import io
import json
import os
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from pypdf import PdfReader
from sqlalchemy import text
from typer.testing import CliRunner

from doorstep.contracts.codes import Department, Reason, TaskState
from doorstep.kit.delivery import new_private_key
from doorstep.kit.testing import KIT_TABLES
from doorstep.referral.app import new_app
from doorstep.referral.commands import dropping
from doorstep.referral.commands.dropping import Drop, read_answer
from doorstep.referral.commands.office import application

LABOUR = "/api/departments/labour"


@pytest.fixture(scope="module")
async def front(new_desk):
    """The service's edge over a database of its own."""
    return await new_desk("referral", new_app, None, KIT_TABLES, "doorstep.referral:migrations")


@pytest.fixture(scope="module")
async def address(front):
    """Where the service listens."""
    server = uvicorn.Server(uvicorn.Config(front.call.app, lifespan="off", log_config=None))
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    listening = socket.create_server(("127.0.0.1", 0))
    running = asyncio.create_task(server._serve([listening]))
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    await running


@pytest.fixture(scope="module")
async def keys(front, tmp_path_factory) -> Path:
    """The department's private key, whose public half is published."""
    key = new_private_key("labour-1")
    file = tmp_path_factory.mktemp("keys") / "keys.json"
    file.write_text(json.dumps({"keys": [key.as_dict(private=True)]}))
    assert (await front.call("PUT", f"{LABOUR}/keys/labour-1", "labour", key.as_dict(private=False))).status == 200
    return file


@pytest.fixture
async def desk(front, desk_over):
    """A desk whose department's feed is empty."""
    async with front.database.transaction() as session:
        await session.execute(text("TRUNCATE outbox, feed, feed_message, owed_erasure"))
    found = desk_over(front.database, front.vault)
    found.now = dropping.now()
    return found


@pytest.fixture
def drop(address, keys, tmp_path):
    """Runs the command once, as a program; gives its exit code and what it said."""

    async def run(**more: str) -> tuple[int, str]:
        options = {"to": tmp_path, "keys": keys, "token": "labour", "url": address, **more}
        arguments = [f"--{name}={value}" for name, value in options.items()]
        answer = await asyncio.to_thread(CliRunner().invoke, application, ["drop", "labour", *arguments])
        assert "Traceback" not in answer.output
        if answer.exception is not None and not isinstance(answer.exception, SystemExit):
            raise answer.exception
        return answer.exit_code, answer.output

    return run


def put(folder: Path, name: str, said: Any) -> Path:
    """An answer that the office wrote a minute ago."""
    file = folder / "answers" / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(said if isinstance(said, bytes) else json.dumps(said).encode())
    old = file.stat().st_mtime - 60
    os.utime(file, (old, old))
    return file


def names(folder: Path, kind: str) -> list[str]:
    return sorted(one.name for one in (folder / kind).iterdir())


async def test_requests_come_as_files_and_answers_take_effect(front, desk, drop, tmp_path) -> None:
    tasks = [await desk.opened("wage-help") for _ in range(2)]
    code, said = await drop()
    assert code == 0, said
    assert names(tmp_path, "requests") == sorted(f"{one.ref}.{end}" for one in tasks for end in ("json", "pdf"))
    document = json.loads((tmp_path / "requests" / f"{tasks[0].ref}.json").read_text("utf-8"))
    assert document["offer"]["name"] == "王秀英"
    file = tmp_path / "requests" / f"{tasks[0].ref}.pdf"
    page = PdfReader(io.BytesIO(file.read_bytes())).pages[0].extract_text()
    assert "讨薪帮助" in page
    assert "13800138000" in page
    assert file.stat().st_mode & 0o077 == 0
    put(tmp_path, "a.json", {"ref": str(tasks[0].ref), "version": 1, "to": "accepted"})
    put(tmp_path, "b.json", [
        {"ref": str(tasks[1].ref), "version": 1, "to": "accepted"},
        {"ref": str(tasks[1].ref), "version": 2, "to": "completed", "outcome": "advice-given", "note": "已告知"},
    ])  # fmt: skip
    assert (await drop())[0] == 0
    assert (names(tmp_path, "answers"), names(tmp_path, "done")) == ([], ["a.json", "b.json"])
    assert [(await desk.task(one.need_id)).state for one in tasks] == ["accepted", "completed"]
    assert "王秀英" not in said


async def test_whatever_a_step_says_by_api_an_answer_says_too(front, desk, drop, tmp_path) -> None:
    task = await desk.opened("wage-help")
    assert (await drop())[0] == 0
    starts = desk.now + timedelta(days=2)
    window = {"starts_at": starts.isoformat(), "ends_at": (starts + timedelta(hours=1)).isoformat(), "place": "office"}
    about = {"ref": str(task.ref), "to": "in-progress"}
    put(tmp_path, "a.json", [
        about | {"version": 1, "to": "accepted"}, about | {"version": 2},
        about | {"version": 3, "progress": "work-begun"},
        about | {"version": 4, "business_status": "appointment-scheduled", "appointment": window},
    ])  # fmt: skip
    put(tmp_path, "b.json", about | {
        "version": 5, "to": "completed", "outcome": "granted",
        "attests": [{"code": "petition.count", "value": 1, "since": desk.now.isoformat()}],
    })  # fmt: skip
    assert (await drop())[0] == 1
    assert (names(tmp_path, "done"), (await desk.task(task.need_id)).version) == (["a.json"], 5)
    assert "/attests/0/code" in (tmp_path / "refused" / "b.json.reason.txt").read_text("utf-8")


async def test_a_bad_answer_is_refused_with_its_reason_and_stops_no_other(front, desk, drop, tmp_path) -> None:
    task = await desk.opened("wage-help")
    ref = str(task.ref)
    bad = {
        "half.json": b'{"ref": ', "list.json": [], "words.json": "accepted", "big.json": b" " * 70_000,
        "field.json": {"ref": ref, "version": 1, "to": "accepted", "who": "x"}, "deep.json": b"[" * 60_000,
        "version.json": {"ref": ref, "version": "1", "to": "accepted"}, "ref.json": {"version": 1, "to": "accepted"},
        "stale.json": {"ref": ref, "version": 9, "to": "accepted"}, "to.json": {"ref": ref, "version": 1, "to": "lost"},
        "reason.json": {"ref": ref, "version": 1, "to": "rejected"},
        "nobodys.json": {"ref": "0" * 32, "version": 1, "to": "accepted"},
    }  # fmt: skip
    for name, content in bad.items():
        put(tmp_path, name, content)
    put(tmp_path, "z-good.json", {"ref": ref, "version": 1, "to": "accepted"})
    code, _ = await drop()
    assert code == 1
    assert names(tmp_path, "done") == ["z-good.json"]
    assert names(tmp_path, "refused") == sorted([*bad, *(f"{name}.reason.txt" for name in bad)])
    told = {name: (tmp_path / "refused" / f"{name}.reason.txt").read_text("utf-8") for name in bad}
    assert "version-stale" in told["stale.json"]
    assert "reason-missing" in told["reason.json"]
    assert "/to" in told["to.json"]
    assert all(len(one) > 10 for one in told.values())
    put(tmp_path, "stale.json", {"ref": ref, "version": 9, "to": "completed"})
    await drop()
    assert "stale-2.json" in names(tmp_path, "refused")


class Died(Exception):
    """The program was ended here."""


async def test_ended_between_any_two_lines_it_goes_on_and_nothing_is_twice(
    front, desk, drop, tmp_path, monkeypatch
) -> None:
    def die(*_: Any) -> None:
        raise Died

    for part in ("put", "keep_cursor", "done"):
        other = await desk.opened("wage-help")
        put(tmp_path, f"{part}.json", {"ref": str(other.ref), "version": 1, "to": "accepted"})
        with monkeypatch.context() as dying:
            dying.setattr(Drop, part, die)
            with pytest.raises(Died):
                await drop()
        assert (await drop())[0] == 0
        assert f"{other.ref}.json" in names(tmp_path, "requests")
        assert f"{part}.json" in names(tmp_path, "done")
        assert (await desk.task(other.need_id)).version == 2
    with monkeypatch.context() as dying:
        dying.setattr(dropping, "_sync", die)
        last = await desk.opened("wage-help")
        with pytest.raises(Died):
            await drop()
    assert (await drop())[0] == 0
    assert f"{last.ref}.pdf" in names(tmp_path, "requests")
    assert not [one for one in tmp_path.rglob("*.partial")]


async def test_what_was_withdrawn_goes_and_that_it_went_is_told(front, desk, drop, tmp_path) -> None:
    task = await desk.opened("wage-help")
    await drop()
    put(tmp_path, "good.json", {"ref": str(task.ref), "version": 1, "to": "accepted", "note": "已电话联系"})
    put(tmp_path, "stale.json", {"ref": str(task.ref), "version": 1, "to": "completed", "note": "已办"})
    await drop()
    assert len(names(tmp_path, "refused")) == 2
    await desk.station_step(task, TaskState.CANCELLED, reason=Reason.RESIDENT_WITHDREW)
    assert (await drop())[0] == 0
    assert [names(tmp_path, one) for one in ("requests", "done", "refused")] == [[], [], []]
    [owed] = await desk.rows("SELECT acknowledged_at FROM owed_erasure WHERE ref = :ref", ref=task.ref)
    assert owed.acknowledged_at is not None


async def test_what_is_over_goes_by_itself_and_strange_files_are_left_alone(front, desk, drop, tmp_path) -> None:
    task = await desk.opened("wage-help")
    await drop()
    (tmp_path / "requests" / "notes.json").write_text("not ours")
    place = Drop(tmp_path, Department.LABOUR)
    assert place.sweep(dropping.now()) == 0
    later = json.loads((tmp_path / "requests" / f"{task.ref}.json").read_text("utf-8"))["delete_by"]
    assert place.sweep(dropping.datetime.fromisoformat(later) + timedelta(seconds=1)) == 1
    assert names(tmp_path, "requests") == ["notes.json"]
    (tmp_path / "refused" / "unreadable.json").write_text("{")
    place.sweep(dropping.now())
    assert names(tmp_path, "refused") == ["unreadable.json"]
    place.sweep(dropping.now() + timedelta(days=15))
    assert names(tmp_path, "refused") == []


async def test_what_no_key_opens_is_set_aside_and_the_rest_goes_on(front, desk, drop, tmp_path) -> None:
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"keys": [new_private_key("labour-1").as_dict(private=True)]}))
    await desk.opened("wage-help")
    code, _ = await drop(keys=str(other))
    assert (code, len(names(tmp_path, "set-aside")), names(tmp_path, "requests")) == (1, 1, [])
    task = await desk.opened("wage-help")
    assert (await drop())[0] == 0
    assert f"{task.ref}.json" in names(tmp_path, "requests")


async def test_a_cursor_that_is_no_longer_known_begins_anew(front, desk, drop, tmp_path) -> None:
    task = await desk.opened("wage-help")
    await drop()
    for wrong in ("00000000-0000-4000-8000-000000000000", "nonsense"):
        (tmp_path / ".cursor").write_text(wrong)
        assert (await drop())[0] == 0
        assert names(tmp_path, "requests") == [f"{task.ref}.json", f"{task.ref}.pdf"]


async def test_without_a_station_a_key_a_token_or_the_folder_it_says_so_once(front, drop, tmp_path) -> None:
    code, said = await drop(url="http://127.0.0.1:9")
    assert (code, "下次继续" in said) == (1, True)
    assert (await drop(token=" "))[0] == 2
    code, said = await drop(token="nobody")
    assert (code, "401" in said) == (1, True)
    assert (await drop(keys=str(tmp_path / "none.json")))[0] == 2
    (tmp_path / "no.json").write_text("{}")
    assert (await drop(keys=str(tmp_path / "no.json")))[0] == 2
    (tmp_path / "file").write_text("")
    assert (await drop(to=str(tmp_path / "file")))[0] == 1
    with Drop(tmp_path, Department.LABOUR).held():
        assert (await drop())[0] == 1


def test_a_file_that_is_being_written_waits_and_its_steps_have_ids_of_their_own(tmp_path) -> None:
    place = Drop(tmp_path, Department.LABOUR)
    with place.held():
        step = {"ref": "0" * 32, "version": 1, "to": "accepted"}
        file = put(tmp_path, "a.json", [step, step])
        (tmp_path / "answers" / "new.json").write_text("[")
        (tmp_path / "answers" / "link.json").symlink_to(file)
        (tmp_path / "answers" / "dir.json").mkdir()
        assert place.answers() == [file]
        first, second = read_answer(file)
        assert first.id != second.id
        assert {first.id.version, second.id.version} == {7}
        assert [one.id for one in read_answer(file)] == [first.id, second.id]
