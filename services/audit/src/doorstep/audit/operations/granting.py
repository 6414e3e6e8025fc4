"""What the log's service may do in its database: a role that adds to the log, and cannot change it.

The service runs under this role; the tables belong to another one, under which migrations run. A table with the trigger
`only_grows` is the log's; the triggers refuse to change it whoever asks, and only an owner can switch them off.
"""

from sqlalchemy import text

from doorstep.kit.db import Database

_ROLE = text("SELECT quote_ident(rolname) FROM pg_roles WHERE rolname = :role")
_TABLES = text(
    r"""
    SELECT format('%I.%I', nspname, relname), CASE
        WHEN EXISTS (SELECT FROM pg_trigger WHERE tgrelid = pg_class.oid AND tgname = 'only_grows')
            THEN 'SELECT, INSERT'
        WHEN relname LIKE 'version\_%' THEN 'SELECT'
        ELSE 'SELECT, INSERT, UPDATE, DELETE'
    END
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = current_schema() AND relkind IN ('r', 'p') ORDER BY 1
    """
)


class NoSuchRole(LookupError):
    """The database server has no role of this name."""


async def grant(database: Database, role: str) -> None:
    """Give `role` what the log's service needs, and take from it what it had beyond; run by the tables' owner.

    Raises NoSuchRole.
    """
    async with database.transaction() as session:
        name = (await session.execute(_ROLE, {"role": role})).scalar_one_or_none()
        if name is None:
            raise NoSuchRole(role)
        await session.execute(text(f"GRANT USAGE ON SCHEMA public TO {name}"))
        for table, rights in (await session.execute(_TABLES)).all():
            await session.execute(text(f"REVOKE ALL ON {table} FROM {name}"))
            await session.execute(text(f"GRANT {rights} ON {table} TO {name}"))
