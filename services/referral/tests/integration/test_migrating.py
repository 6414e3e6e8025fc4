"""The version before with requests in it becomes this one, and instances of both work side by side."""

from importlib.resources import files
from uuid import uuid4

import asyncpg
import pytest
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from doorstep.kit.migrations import migrate
from doorstep.kit.testing import KIT_TABLES

PACKAGE = "doorstep.referral:migrations"
REQUEST = """
    INSERT INTO request (request_id, need_id, record_id, file_id, subject_id, station, opened_at, follow_ref,
        confidential, legal_basis, content)
    VALUES ($1, $2, $2, $2, $2, 'station-7', now(), $1, false, 'consent', '\\x00')
"""
TASK = """
    INSERT INTO task (task_id, request_id, sequence, department, ref, state, version, opened_at, respond_by,
        complete_by, provisional)
    VALUES ($1, $2, $3, 'labour', $1, 'rejected', $3, now(), now(), now(), false)
"""


def up_to(connection: Connection, revision: str) -> None:
    """Bring a database to `revision` of referral, as its migrations of then did."""
    module, _, folder = PACKAGE.partition(":")
    scripts = ScriptDirectory(str(files(module) / folder))
    steps = {"fn": lambda found, _: scripts._upgrade_revs(revision, found)}
    with EnvironmentContext(Config(), scripts, **steps) as environment:
        environment.configure(connection=connection, version_table="version_referral")
        with environment.begin_transaction():
            environment.run_migrations()


@pytest.mark.parametrize("revision", ["referral_0009", "referral_0017"])
async def test_what_there_was_is_the_leads_part_and_the_version_before_goes_on_writing(own_databases, revision) -> None:
    url = await own_databases.new(KIT_TABLES)
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(up_to, revision)
    await engine.dispose()
    old = await asyncpg.connect(url.replace("+asyncpg", ""))
    request, first, second = uuid4(), uuid4(), uuid4()
    await old.execute(REQUEST, request, uuid4())
    await old.execute(TASK, first, request, 1)
    await migrate(url, KIT_TABLES, PACKAGE)
    await old.execute(TASK, second, request, 2)
    rows = await old.fetch("SELECT part, sequence, part_need, part_basis FROM task ORDER BY sequence")
    assert [tuple(row) for row in rows] == [(1, 1, None, None), (1, 2, None, None)]
    assert await old.fetchval("SELECT parts FROM request") == 1
    for wrong in ("INSERT INTO task SELECT * FROM task", "UPDATE task SET part = 2", "UPDATE task SET sequence = 1"):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await old.execute(wrong)
    await old.close()
