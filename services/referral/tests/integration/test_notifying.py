"""Notices: one for each change that a resident wants to know of, sent once, wherever a process died."""

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from doorstep.contracts.codes import BusinessStatus, NoticeChannel, Outcome, Reason, SafeChannel, TaskState
from doorstep.contracts.intake import SafeContact
from doorstep.kit.db import Database
from doorstep.kit.testing import KIT_TABLES
from doorstep.referral.domain.noticing import ATTEMPTS, STALE
from doorstep.referral.operations.by_code import choose_notices, withdraw_request
from doorstep.referral.operations.erasing import erase_subject
from doorstep.referral.operations.notifying import Notifier
from doorstep.referral.operations.senders import TAKEN, FolderSender, NotSent

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
PHONE = "13800138000"
SAFE = SafeContact(
    channel=SafeChannel.MESSAGE, number="16900009876", hours_from="22:00", hours_to="06:30", cover="图书馆还书"
)


@pytest.fixture(scope="module")
async def database(own_databases):
    """A database in which nobody else's changes wait."""
    found = Database(await own_databases.new(KIT_TABLES, "doorstep.referral:migrations"), service="referral")
    yield found
    await found.close()


@pytest.fixture
def desk(desk_over, database, vault):
    return desk_over(database, vault, NOON)


class Memory:
    """Takes notices, fails as often as it is told to, and dies after taking one if it is told to."""

    def __init__(self, *, fails: int = 0, dies: bool = False) -> None:
        self.taken = []
        self.fails = fails
        self.dies = dies

    async def send(self, outgoing):
        if self.fails:
            self.fails -= 1
            raise NotSent
        self.taken.append(outgoing)
        if self.dies:
            raise asyncio.CancelledError


async def work(desk, sender, *, at=None) -> None:
    """Take turns until nothing is left to do at that time, as a process that has just started."""
    notifier = Notifier(desk.database, desk.vault, sender)
    for _ in range(20):
        if not await notifier.turn(at or desk.now):
            return


async def notices(desk, task):
    return await desk.rows("SELECT * FROM notice WHERE subject_id = :id ORDER BY made_at, version", id=task.subject_id)


def of(sender, found):
    ids = {one.notice_id for one in found}
    return [one for one in sender.taken if one.notice_id in ids]


async def test_each_change_is_told_once_and_the_log_first(desk) -> None:
    task, sender = await desk.opened("wage-help", follow_code=uuid4().hex), Memory()
    await work(desk, sender)
    assert await notices(desk, task) == []
    await desk.step(task, TaskState.ACCEPTED)
    await desk.step(task, TaskState.ACCEPTED, business_status=BusinessStatus.APPOINTMENT_SCHEDULED)
    await desk.step(task, TaskState.ON_HOLD, reason=Reason.PAPERS_MISSING)
    await desk.step(task, TaskState.IN_PROGRESS)
    await desk.step(task, TaskState.COMPLETED, outcome=Outcome.SERVICE_PROVIDED)
    for _ in range(2):
        await work(desk, sender)
    found = await notices(desk, task)
    assert [(one.version, one.state) for one in found] == [(2, "sent"), (3, "sent"), (4, "sent"), (6, "sent")]
    assert [(one.reach.channel, one.reach.to) for one in of(sender, found)] == [(NoticeChannel.SMS, PHONE)] * 4
    logged = [entry for entry in await desk.logged(task.subject_id) if entry["action"] == "send-notice"]
    assert len(logged) == 4
    assert PHONE not in str(logged)


async def test_what_nobody_answered_in_time_is_told_once(desk) -> None:
    task, sender = await desk.opened("wage-help"), Memory()
    await work(desk, sender, at=desk.now + timedelta(hours=23))
    assert await notices(desk, task) == []
    for hours in (25, 26, 50):
        await work(desk, sender, at=desk.now + timedelta(hours=hours))
    assert [one.version for one in await notices(desk, task)] == [0]
    assert len(of(sender, await notices(desk, task))) == 1


async def test_their_own_withdrawal_takes_effect_at_once_and_is_told_to_nobody(desk) -> None:
    code = uuid4().hex
    task, sender = await desk.opened("wage-help", follow_code=code), Memory()
    async with desk.database.transaction() as session:
        index = desk.vault.follow_index(code)
        moved = await withdraw_request(session, vault=desk.vault, follow_index=index, ref=task.follow_ref, now=desk.now)
    assert moved.state is TaskState.CANCELLED
    assert (await desk.published("feed.labour", task.subject_id))[-1]["type"] == "feed.request-withdrawn.v1"
    await work(desk, sender)
    assert await notices(desk, task) == []


async def test_who_dies_after_sending_sends_the_same_notice_again_and_the_folder_has_it_once(desk, tmp_path) -> None:
    task = await desk.opened("wage-help")
    await desk.step(task, TaskState.ACCEPTED)
    dying = Memory(dies=True)
    with pytest.raises(asyncio.CancelledError):
        await work(desk, dying)
    [sent] = of(dying, await notices(desk, task))
    folder = FolderSender(tmp_path / "notices")
    await folder.send(sent)  # as if the one that died had written it
    await work(desk, folder)
    assert [one.state for one in await notices(desk, task)] == ["waiting"]  # another may be sending it still
    await work(desk, folder, at=desk.now + timedelta(minutes=2))
    assert [one.state for one in await notices(desk, task)] == ["sent"]
    [file] = [
        one for one in (tmp_path / "notices").iterdir() if json.loads(one.read_text())["id"] == str(sent.notice_id)
    ]
    assert file.stat().st_mode & 0o077 == 0
    assert json.loads(file.read_text())["to"] == PHONE
    logged = [entry for entry in await desk.logged(task.subject_id) if entry["action"] == "send-notice"]
    assert len(logged) == 1


async def test_who_dies_before_a_change_is_noted_leaves_it_to_the_next(desk, monkeypatch) -> None:
    task, sender = await desk.opened("wage-help"), Memory()
    await desk.step(task, TaskState.ACCEPTED)

    async def dies(*_, **__):
        raise asyncio.CancelledError

    with monkeypatch.context() as patched, pytest.raises(asyncio.CancelledError):
        patched.setattr("doorstep.referral.operations.notifying.make_notices", dies)
        await work(desk, sender)
    assert await notices(desk, task) == []
    await work(desk, sender)
    assert [one.state for one in await notices(desk, task)] == ["sent"]


async def test_two_processes_side_by_side_send_it_once(desk) -> None:
    tasks = [await desk.opened("wage-help") for _ in range(6)]
    for task in tasks:
        await desk.step(task, TaskState.ACCEPTED)
    one, two = Memory(), Memory()
    await asyncio.gather(work(desk, one), work(desk, two))
    await work(desk, one)
    taken = [outgoing.notice_id for outgoing in one.taken + two.taken]
    assert len(taken) == len(set(taken))
    for task in tasks:
        assert [found.state for found in await notices(desk, task)] == ["sent"]


async def test_a_file_that_was_taken_is_not_written_again(desk, tmp_path) -> None:
    task, sender = await desk.opened("wage-help"), Memory()
    await desk.step(task, TaskState.ACCEPTED)
    await work(desk, sender)
    [outgoing] = of(sender, await notices(desk, task))
    folder = FolderSender(tmp_path)
    await folder.send(outgoing)
    (tmp_path / TAKEN).mkdir()
    (tmp_path / f"{outgoing.notice_id}.json").rename(tmp_path / TAKEN / f"{outgoing.notice_id}.json")
    await folder.send(outgoing)
    assert [one.name for one in tmp_path.iterdir()] == [TAKEN]


async def test_it_is_tried_again_later_each_time_and_is_a_dead_letter_at_last(desk, caplog) -> None:
    task, sender, at = await desk.opened("wage-help"), Memory(fails=100), desk.now
    await desk.step(task, TaskState.ACCEPTED)
    with caplog.at_level(logging.INFO):
        for _ in range(ATTEMPTS + 2):
            await work(desk, sender, at=at)
            at += timedelta(hours=1)
    [found] = await notices(desk, task)
    assert (found.state, found.attempts) == ("dead", ATTEMPTS)
    assert PHONE not in caplog.text
    assert "notice dead" in caplog.text
    logged = [entry for entry in await desk.logged(task.subject_id) if entry["action"] == "send-notice"]
    assert len(logged) == 1


async def test_a_folder_that_cannot_be_written_is_a_failure_like_others(desk, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    task = await desk.opened("wage-help")
    await desk.step(task, TaskState.ACCEPTED)
    await work(desk, FolderSender(tmp_path / "file" / "notices"))
    assert [(one.state, one.attempts) for one in await notices(desk, task)] == [("waiting", 1)]
    await work(desk, Memory(), at=desk.now + timedelta(minutes=5))
    assert [one.state for one in await notices(desk, task)] == ["sent"]


async def test_a_process_without_a_sender_makes_notices_and_leaves_them_to_one_that_has_it(desk) -> None:
    task = await desk.opened("wage-help")
    await desk.step(task, TaskState.ACCEPTED)
    for at in (desk.now, desk.now + timedelta(days=2)):
        await work(desk, None, at=at)
        assert [(one.state, one.attempts, one.withheld) for one in await notices(desk, task)] == [("waiting", 0, None)]
    assert "send-notice" not in [entry["action"] for entry in await desk.logged(task.subject_id)]
    await work(desk, sender := Memory(), at=desk.now + timedelta(days=2))
    found = await notices(desk, task)
    assert [one.state for one in found] == ["sent"]
    assert len(of(sender, found)) == 1


async def test_where_nobody_is_named_who_sends_the_log_says_once_which_notices_wait(desk, caplog) -> None:
    choosing, task = uuid4().hex, await desk.opened("wage-help")
    chose = await desk.opened("wage-help", follow_code=choosing)
    async with desk.database.transaction() as session:
        index = desk.vault.follow_index(choosing)
        await choose_notices(session, vault=desk.vault, follow_index=index, channel=NoticeChannel.VOICE)
    for one in (task, chose):
        await desk.step(one, TaskState.ACCEPTED)
    notifier, told = Notifier(desk.database, desk.vault, None), []
    with caplog.at_level(logging.DEBUG):
        for minutes in (0, 3, 4):
            caplog.clear()
            await notifier.look_at_changes(desk.now)
            await notifier.say_what_waits(desk.now + timedelta(minutes=minutes))
            told.append({one.notice: one for one in caplog.records if one.name.endswith("senders")})
    waiting = {str(one.notice_id): one for of_one in (task, chose) for one in await notices(desk, of_one)}
    lines = told[1]
    assert set(waiting) <= set(lines)
    assert not set(waiting) & {*told[0], *told[2]}  # one that has a sender might send it still; and once is enough
    assert {(lines[notice].station, lines[notice].channel) for notice in waiting} == {
        (task.station, None), (task.station, "voice"),
    }  # fmt: skip
    assert all(PHONE not in str(vars(one)) for one in lines.values())
    assert {(one.state, one.attempts) for one in waiting.values()} == {("waiting", 0)}
    for one in (task, chose):
        assert "send-notice" not in [entry["action"] for entry in await desk.logged(one.subject_id)]


@pytest.mark.parametrize("with_sender", [False, True])
async def test_what_nobody_could_send_for_days_is_withheld_for_good_and_not_sent_all_at_once(desk, with_sender) -> None:
    task = await desk.opened("wage-help")
    await desk.step(task, TaskState.ACCEPTED)
    await work(desk, None)
    sender, late = Memory(), desk.now + STALE + timedelta(minutes=1)
    if with_sender:  # also before it was withheld, when thousands are
        await Notifier(desk.database, desk.vault, sender).claim(late)
        assert [(one.state, one.attempts) for one in await notices(desk, task)] == [("waiting", 0)]
    await work(desk, sender if with_sender else None, at=late)
    found = await notices(desk, task)
    assert [(one.state, one.withheld) for one in found] == [("withheld", "no-sender")]
    await work(desk, sender, at=desk.now + STALE + timedelta(minutes=2))
    assert of(sender, found) == []
    assert "send-notice" not in [entry["action"] for entry in await desk.logged(task.subject_id)]


async def test_what_was_tried_and_what_an_operator_sets_back_is_not_too_old(desk) -> None:
    tried, dead = await desk.opened("wage-help"), await desk.opened("wage-help")
    for task in (tried, dead):
        await desk.step(task, TaskState.ACCEPTED)
    await work(desk, Memory(fails=2))
    later = desk.now + 2 * STALE
    async with desk.database.transaction() as session:
        from_driver = (await session.connection()).exec_driver_sql
        await from_driver(
            "UPDATE notice SET attempts = 0, next_at = $1 WHERE subject_id = $2", (later, dead.subject_id)
        )
    await work(desk, None, at=later)
    sender = Memory()
    await work(desk, sender, at=later)
    for task in (tried, dead):
        found = await notices(desk, task)
        assert [one.state for one in found] == ["sent"]
        assert len(of(sender, found)) == 1


async def test_nobody_is_told_of_what_is_confidential_without_a_safe_contact(desk, caplog) -> None:
    for need_type in ("legal-aid", "protection-from-violence"):
        task, sender = await desk.opened(need_type), Memory()
        await desk.step(task, TaskState.ACCEPTED)
        with caplog.at_level(logging.INFO):
            await work(desk, sender)
        found = await notices(desk, task)
        assert [(one.state, one.withheld) for one in found] == [("withheld", "no-safe-channel")]
        assert of(sender, found) == []
        assert "send-notice" not in [entry["action"] for entry in await desk.logged(task.subject_id)]
    assert str(task.request_id) not in caplog.text


async def test_a_safe_contact_is_used_in_its_hours_with_its_cover(desk) -> None:
    task, sender = await desk.opened("protection-from-violence", safe_contact=SAFE), Memory()
    await desk.step(task, TaskState.ACCEPTED)
    await work(desk, sender)
    assert of(sender, await notices(desk, task)) == []
    await work(desk, sender, at=desk.now + timedelta(hours=9))  # nine in the evening
    assert of(sender, await notices(desk, task)) == []
    await work(desk, sender, at=desk.now + timedelta(hours=11))
    [sent] = of(sender, await notices(desk, task))
    assert (sent.reach.to, sent.reach.zh, sent.reach.en) == ("16900009876", "图书馆还书", "图书馆还书")


async def test_a_number_of_two_of_a_household_is_not_used(desk) -> None:
    task, sender = await desk.opened("wage-help"), Memory()
    ring = await desk.vault.ring([other := uuid4()], create=True)
    need = await desk.need("work-training", subject=other)
    await desk.open(need)
    row = await desk.task(need.need_id)
    plain = json.loads(ring.decrypt(other, f"request.content:{row.request_id}", row.content))
    plain["card"] |= {"name": "张伟", "document_number": "110101198003070029"}
    changed = ring.encrypt(other, f"request.content:{row.request_id}", json.dumps(plain).encode())
    async with desk.database.transaction() as session:
        await session.connection(execution_options={})
        from_driver = (await session.connection()).exec_driver_sql
        await from_driver("UPDATE request SET content = $1 WHERE request_id = $2", (changed, row.request_id))
    await desk.step(task, TaskState.ACCEPTED)
    await work(desk, sender)
    assert [(one.state, one.withheld) for one in await notices(desk, task)] == [("withheld", "shared-number")]


async def test_a_choice_made_by_the_code_holds_for_what_comes(desk) -> None:
    code = uuid4().hex
    task, sender = await desk.opened("wage-help", follow_code=code), Memory()
    for channel in (NoticeChannel.VOICE, NoticeChannel.NONE):
        async with desk.database.transaction() as session:
            index = desk.vault.follow_index(code)
            await choose_notices(session, vault=desk.vault, follow_index=index, channel=channel)
            await choose_notices(session, vault=desk.vault, follow_index=b"0" * 16, channel=channel)
        version = len(await notices(desk, task))
        await desk.step(task, TaskState.ACCEPTED if not version else TaskState.COMPLETED, outcome="advice-given")
        await work(desk, sender)
    found = await notices(desk, task)
    assert [(one.state, one.withheld) for one in found] == [("sent", None), ("withheld", "declined")]
    assert [one.reach.channel for one in of(sender, found)] == [NoticeChannel.VOICE]


async def test_who_is_erased_is_told_nothing_and_nothing_is_kept(desk) -> None:
    code = uuid4().hex
    task, sender = await desk.opened("wage-help", follow_code=code), Memory()
    await desk.step(task, TaskState.ACCEPTED)
    async with desk.database.transaction() as session:
        index = desk.vault.follow_index(code)
        await choose_notices(session, vault=desk.vault, follow_index=index, channel=NoticeChannel.VOICE)
    notifier = Notifier(desk.database, desk.vault, sender)
    await notifier.look_at_changes(desk.now)
    await desk.vault.destroy(task.subject_id)
    await work(desk, sender)
    assert [one.state for one in await notices(desk, task)] == ["withheld"]
    async with desk.database.transaction() as session:
        await erase_subject(session, vault=desk.vault, subject_id=task.subject_id, now=desk.now)
    assert await notices(desk, task) == []
    assert await desk.rows("SELECT 1 FROM notice_choice WHERE subject_id = :id", id=task.subject_id) == []
    assert sender.taken == []


async def test_a_step_that_this_version_cannot_read_stops_no_other(desk) -> None:
    broken, task, sender = await desk.opened("wage-help"), await desk.opened("wage-help"), Memory()
    for one in (broken, task):
        await desk.step(one, TaskState.ACCEPTED)
    async with desk.database.transaction() as session:
        statement = "UPDATE task_transition SET detail = '\\x00000001aabb' WHERE task_id = $1"
        await (await session.connection()).exec_driver_sql(statement, (broken.task_id,))
    await work(desk, sender)
    assert await notices(desk, broken) == []
    assert [one.state for one in await notices(desk, task)] == ["sent"]
