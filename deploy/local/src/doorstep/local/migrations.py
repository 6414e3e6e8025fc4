"""All databases of a stack brought up to date in one process, before any service starts."""

from collections.abc import Sequence
from importlib.resources import files

from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError

from doorstep.audit.operations.granting import grant
from doorstep.kit.db import Database
from doorstep.kit.migrations import migrate
from doorstep.local.environment import KEYS
from doorstep.local.failures import MigrationFailed
from doorstep.local.postgres import Postgres

_KIT = "doorstep.kit:migrations"
_ANCHORS = ["doorstep.audit:migrations/anchor"]


async def migrate_all(postgres: Postgres, services: Sequence[str]) -> None:
    """Migrate the key store and each service's database, one after the other; raises MigrationFailed.

    The log's anchor lies beside the key store. The log's service gets its rights, if it has a role of its own.
    """
    plans = {KEYS: [f"{_KIT}/keys", *_ANCHORS]}
    for service in services:
        plans[service] = [f"{_KIT}/service", *_own(service)]
    for database, packages in plans.items():
        try:
            await migrate(postgres.url(database), *packages)
            if database == "audit" and postgres.log_role is not None:
                await _grant(postgres.url(database), postgres.log_role)
        except (SQLAlchemyError, CommandError, OSError) as cause:
            raise MigrationFailed(database, cause) from cause


async def _grant(url: str, role: str) -> None:
    database = Database(url, service="audit", pool_size=1)
    try:
        await grant(database, role)
    finally:
        await database.close()


def _own(service: str) -> list[str]:
    package = f"doorstep.{service}"
    return [f"{package}:migrations"] if (files(package) / "migrations").is_dir() else []
