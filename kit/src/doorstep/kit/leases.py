"""Leases: of several instances one does the work that only one may do."""

from uuid import UUID, uuid4

from sqlalchemy import text

from doorstep.kit.db import Database

_TAKE = text(
    """
    INSERT INTO lease (name, holder, expires_at) VALUES (:name, :holder, now() + make_interval(secs => :seconds))
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
    WHERE lease.holder = excluded.holder OR lease.expires_at < now()
        OR lease.expires_at > now() + make_interval(secs => :seconds + 60)
    RETURNING holder
    """
)


class LeaseLost(Exception):
    """Another instance holds the lease now."""


class Lease:
    """A named lease in the database, held for `seconds` at a time by the database's clock.

    One that would hold for over a minute longer was taken before the clock was put back, and holds nobody up.
    """

    def __init__(self, database: Database, name: str, *, seconds: float = 5.0) -> None:
        """A lease that this instance may take under a random holder's id."""
        self.name = name
        self.seconds = seconds
        self.holder: UUID = uuid4()
        self._database = database

    async def take(self) -> bool:
        """Take or renew the lease; False while somebody else holds it."""
        async with self._database.transaction() as session:
            found = await session.execute(_TAKE, {"name": self.name, "holder": self.holder, "seconds": self.seconds})
            return found.first() is not None

    async def give_back(self) -> None:
        """Let another instance take over at once."""
        async with self._database.transaction() as session:
            await session.execute(
                text("DELETE FROM lease WHERE name = :name AND holder = :holder"),
                {"name": self.name, "holder": self.holder},
            )
