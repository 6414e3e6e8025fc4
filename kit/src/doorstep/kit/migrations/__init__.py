"""Brings databases to their newest version. Apart from the rest, for whoever only runs a service needs no Alembic."""

from importlib.resources import files

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

_MIGRATION_LOCK = 7_266_370  # one migrator at a time on a database


async def migrate(url: str, *packages: str) -> None:
    """Bring the database at `url` to the newest version of each of `packages`.

    A package, like `doorstep.kit:migrations/service` or `doorstep.intake:migrations`, names a folder of Alembic
    revisions; each has a version table of its own. Concurrent callers wait for one another.
    """
    engine = create_async_engine(url, poolclass=pool.NullPool)
    try:
        async with engine.begin() as connection:
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
            for package in packages:
                await connection.run_sync(_upgrade, package)
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, package: str) -> None:
    module, _, folder = package.partition(":")
    scripts = ScriptDirectory(str(files(module) / folder))
    name = module.rpartition(".")[2] + folder.removeprefix("migrations").replace("/", "_")
    with EnvironmentContext(
        Config(),
        scripts,
        fn=lambda revision, _: scripts._upgrade_revs("head", revision),  # noqa: SLF001
    ) as environment:
        environment.configure(connection=connection, version_table=f"version_{name}")
        with environment.begin_transaction():
            environment.run_migrations()
