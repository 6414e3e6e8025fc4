"""Whoever deletes a row looks through no whole table for what refers to it: foreign keys have an index of their own."""

from typing import Any

import asyncpg
import pytest

from doorstep.contracts.topics import SERVICES
from doorstep.kit.testing import KIT_TABLES

NEVER_DELETED = ["file", "service_directory"]
_WITHOUT = """
    SELECT c.conrelid::regclass || '.' || c.conname FROM pg_constraint c
    WHERE c.contype = 'f' AND CAST(c.confrelid::regclass AS text) <> ALL(CAST($1 AS text[])) AND NOT EXISTS (
        SELECT FROM pg_index i
        WHERE i.indrelid = c.conrelid
            AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) LIKE '(% IS NOT NULL)')
            AND (CAST(i.indkey AS smallint[]))[0:cardinality(c.conkey) - 1] @> c.conkey
    )
"""


@pytest.mark.parametrize("service", SERVICES)
async def test_every_foreign_key_has_an_index(databases: Any, service: str) -> None:
    url = await databases.new(KIT_TABLES, f"doorstep.{service}:migrations")
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        found = [str(row[0]) for row in await connection.fetch(_WITHOUT, NEVER_DELETED)]
    finally:
        await connection.close()
    assert found == []
