"""Nothing is lost unseen: each way to lose a request is found, and said in both languages with what to do."""

import asyncio
import json
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from doorstep.contracts.codes import TaskState
from doorstep.kit.db import Database
from doorstep.kit.migrations import migrate
from doorstep.kit.telemetry import LOST
from doorstep.kit.testing import KIT_TABLES
from doorstep.referral.app import new_app
from doorstep.referral.commands.requests import application
from doorstep.referral.domain.losses import REMEDIES, Loss
from doorstep.referral.operations.announcing import Announcing
from doorstep.referral.operations.checking import Completeness, find_lost, hear_needs

UNDO = (
    "DROP TRIGGER mark_orders ON task",
    "DROP FUNCTION mark_orders",
    "DROP TABLE complaint, document, outcome_template",
    "DROP TABLE order_request, order_news, order_counter, order_extension, order_call_back, hotline_order",
    "DROP INDEX minute_task",
    "DROP TABLE declined_need, directory_trial",
    "ALTER TABLE request DROP COLUMN hotline_due_by",
    "DROP TRIGGER look_at_task ON task",
    "DROP FUNCTION look_at_task",
    "ALTER TABLE task DROP COLUMN look_at, DROP COLUMN missing_papers, DROP COLUMN paused_at, DROP COLUMN paused_until",
    "ALTER TABLE task DROP COLUMN complete_by_unpaused",
    "DROP INDEX request_station",
    "DROP TABLE announcement, duty_call, duty_call_attempt, reminder, heard_need",
    "UPDATE version_referral SET version_num = 'referral_0016'",
)
"""From this version of the tables to the one before."""
CLEAN = "TRUNCATE request, task, task_transition, rating, outbox, heard_need, dead_letter, parked CASCADE"


@pytest.fixture(scope="module")
async def front(new_desk):
    """The service's edge over a database of its own."""
    return await new_desk("referral", new_app, None, KIT_TABLES, "doorstep.referral:migrations")


@pytest.fixture
async def desk(front, desk_over):
    """A desk whose station has no requests yet."""
    async with front.database.transaction() as session:
        await session.execute(text(CLEAN))
    return desk_over(front.database, front.vault)


async def lost(desk) -> dict[Loss, int]:
    async with desk.database.transaction() as session:
        return {one.loss: one.count for one in await find_lost(session) if one.count}


async def heard(desk, need) -> None:
    async with desk.database.transaction() as session:
        await hear_needs(session, "station-7", [need])


async def test_whatever_its_state_a_request_that_was_opened_is_not_lost(desk) -> None:
    needs = [await desk.need(name) for name in ("fire-check", "something-new", "gas-leak", "mediation")]
    for need in needs:
        await heard(desk, need)
        await heard(desk, need)
    await desk.open(*needs)
    await desk.step(await desk.task(needs[0].need_id), TaskState.REJECTED, reason="not-ours")
    await desk.station_step(await desk.task(needs[3].need_id), TaskState.CANCELLED)
    assert await lost(desk) == {}


async def test_each_way_to_lose_a_request_is_found(desk) -> None:
    need = await desk.need("fire-check")
    await heard(desk, need)
    task, other = await desk.opened("fire-check"), await desk.opened("gas-leak")
    async with desk.database.transaction() as session:
        for table in ("task_transition", "task"):
            await session.execute(text(f"DELETE FROM {table} WHERE task_id = :id"), {"id": task.task_id})  # noqa: S608
        await session.execute(text("UPDATE task SET look_at = NULL WHERE task_id = :id"), {"id": other.task_id})
        await session.execute(
            text(
                "INSERT INTO dead_letter (id, topic, partition, kafka_offset, headers, body, error)"
                " VALUES (:id, 'risk.needs', 0, 1, '{}', '', 'x')"
            ),
            {"id": uuid4()},
        )
    assert await lost(desk) == dict.fromkeys(Loss, 1)
    await Completeness(desk.database).look()
    assert {loss: LOST.labels(loss)._value.get() for loss in Loss} == dict.fromkeys(Loss, 1)


async def test_the_erased_are_no_loss_and_leave_no_row(desk) -> None:
    need = await desk.need("fire-check")
    await heard(desk, need)
    assert await lost(desk) == {Loss.NEED_WITHOUT_REQUEST: 1}
    async with desk.database.transaction() as session:
        await session.execute(text("INSERT INTO erased_subject VALUES (:id)"), {"id": need.subject_id})
    assert await lost(desk) == {}
    other = await desk.need("fire-check", subject=need.subject_id)
    await heard(desk, other)
    assert len(await desk.rows("SELECT 1 FROM heard_need")) == 1


async def test_the_command_says_what_is_lost_and_what_to_do_in_both_languages(desk) -> None:
    url = desk.database.engine.url.render_as_string(hide_password=False)
    environment = {"DOORSTEP_DATABASE_URL": url}

    def run(*arguments):
        answer = CliRunner().invoke(application, ["check", *arguments], env=environment)
        return answer.exit_code, answer.output

    assert await asyncio.to_thread(run) == (0, "没有遗失 Nothing is lost.\n")
    need = await desk.need("fire-check")
    await heard(desk, need)
    code, said = await asyncio.to_thread(run)
    assert code == 1
    assert all(word in said for word in (*REMEDIES[Loss.NEED_WITHOUT_REQUEST], str(need.need_id)))
    code, said = await asyncio.to_thread(run, "--json")
    assert (code, json.loads(said)["need-without-request"]["ids"]) == (1, [str(need.need_id)])


def test_every_loss_has_its_remedy_in_both_languages() -> None:
    assert set(REMEDIES) == set(Loss)
    for zh, en in REMEDIES.values():
        assert any("\u4e00" <= letter <= "\u9fff" for letter in zh)
        assert en.isascii()


async def test_requests_of_before_are_looked_at_after_the_upgrade(own_databases, vault, desk_over) -> None:
    """Rows of the version before are given when to be looked at; what is closed is not."""
    url = await own_databases.new(KIT_TABLES, "doorstep.referral:migrations")
    database = Database(url, service="referral")
    try:
        desk = desk_over(database, vault)
        waits, done = await desk.opened("fire-check"), await desk.opened("fire-check")
        await desk.station_step(done, TaskState.CANCELLED)
        async with database.transaction() as session:
            for statement in UNDO:
                await session.execute(text(statement))
        await migrate(url, "doorstep.referral:migrations")
        rows = await desk.rows("SELECT task_id FROM task WHERE look_at IS NOT NULL")
        assert [row.task_id for row in rows] == [waits.task_id]
        desk.now += timedelta(hours=25)
        assert await Announcing(database, vault).look(desk.now) == 1
        rows = await desk.rows("SELECT late FROM announcement WHERE task_id = :id", id=waits.task_id)
        assert [row.late for row in rows] == [True, True]
        assert await lost(desk) == {}
    finally:
        await database.close()
