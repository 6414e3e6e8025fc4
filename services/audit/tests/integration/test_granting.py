"""The role of the log's service: it can do its work, and cannot change the log even if it wants to."""

import pytest
from sqlalchemy.exc import DBAPIError

from doorstep.audit.operations.granting import NoSuchRole, grant
from doorstep.kit.db import Database
from doorstep.local.postgres import LOG_ROLE, ROLE

REFUSED = (
    "DELETE FROM {}",
    "TRUNCATE {}",
    "DROP TABLE {}",
    "ALTER TABLE {} DISABLE TRIGGER only_grows",
    "DROP TRIGGER only_grows ON {}",
    "CREATE OR REPLACE FUNCTION refuse_to_change_the_log() RETURNS trigger LANGUAGE sql AS ''",
    "CREATE RULE nothing AS ON UPDATE TO {} DO INSTEAD NOTHING",
)


@pytest.fixture
async def limited(log):
    """The log as its service has it."""
    await log.submit(300)
    await log.drain()
    await grant(log.database, LOG_ROLE)
    owner, log.database = log.database, Database(log.url.replace(f"{ROLE}@", f"{LOG_ROLE}@", 1), service="audit")
    yield log
    await log.database.close()
    log.database = owner


async def test_the_service_works_under_its_role(limited):
    ids = await limited.submit(300)
    await limited.drain()
    verified = await limited.verify()
    assert verified.size == 600
    assert {entry.id for entry in verified.entries} >= set(ids)


async def test_the_role_cannot_change_the_log(limited):
    for table in ("entry", "tile", "checkpoint", "cosignature"):
        for statement in REFUSED:
            with pytest.raises(DBAPIError, match=r"must be owner|permission denied"):
                await limited.run(statement.format(table))
    for change in ("entry SET body = body", "tile SET hashes = hashes", "checkpoint SET note = note"):
        with pytest.raises(DBAPIError, match="permission denied"):
            await limited.run(f"UPDATE {change}")
    assert (await limited.verify()).size == 300


async def test_what_the_role_had_beyond_is_taken_from_it(log):
    await log.run(f"GRANT ALL ON entry TO {LOG_ROLE}")
    await grant(log.database, LOG_ROLE)
    await grant(log.database, LOG_ROLE)
    async with log.database.engine.connect() as connection:
        held = await connection.exec_driver_sql(
            "SELECT privilege_type FROM information_schema.role_table_grants "
            "WHERE table_name = 'entry' AND grantee = 'doorstep_log'"
        )
        assert {row[0] for row in held} == {"SELECT", "INSERT"}


async def test_a_role_that_is_not_there_is_told(log):
    with pytest.raises(NoSuchRole, match="nobody"):
        await grant(log.database, "nobody")
