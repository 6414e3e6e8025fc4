"""All databases of a stack brought up to date in one process, before any service starts."""

from collections.abc import Callable, Sequence
from importlib.resources import files

from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError

from doorstep.kit.migrations import migrate
from doorstep.local.failures import MigrationFailed

KEYS = "keys"
_KIT = "doorstep.kit:migrations"


async def migrate_all(url: Callable[[str], str], services: Sequence[str]) -> None:
    """Migrate the key store and each service's database, one after the other; raises MigrationFailed."""
    plans = {KEYS: [f"{_KIT}/keys"]}
    for service in services:
        plans[service] = [f"{_KIT}/service", *_own(service)]
    for database, packages in plans.items():
        try:
            await migrate(url(database), *packages)
        except (SQLAlchemyError, CommandError, OSError) as cause:
            raise MigrationFailed(database, cause) from cause


def _own(service: str) -> list[str]:
    package = f"doorstep.{service}"
    return [f"{package}:migrations"] if (files(package) / "migrations").is_dir() else []
