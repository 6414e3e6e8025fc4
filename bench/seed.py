"""Stores made-up requests in a data folder: python -m bench.seed --requests 1000000.

Part by part, of a thousand requests each: keys from the key store, then the rows of each database by COPY, with a note
of the part in the same transaction. What was begun is gone on with: a database that has the part is passed over. At the
end the tables are analysed. Nothing is announced: what is stored is long over for everybody.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid5

import asyncpg
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bench.households import PART, households
from bench.lifecycle_report import stored_line
from bench.stored import COLUMNS, Rows, Writing
from doorstep.kit.key_store import RemoteKeys, ServiceToken
from doorstep.kit.keyset import Keyset
from doorstep.kit.vault import Vault
from doorstep.local.clients import client_id
from doorstep.local.environment import KEYS
from doorstep.local.failures import StackFailed
from doorstep.local.stack import Stack, StackOptions, running_stack

FOLDER = Path(".cache/bench/stored")
DATABASES = (*COLUMNS, KEYS)
_ASKER = "intake"
_NOBODY = UUID("5c5f3a1e-9f0c-4a53-8f0a-6f0f7a2f8f3d")
_COUNTED = """
    SELECT coalesce(sum(c.reltuples) FILTER (WHERE c.reltuples > 0), 0)::bigint AS rows,
        coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint AS bytes
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname = 'public'
"""

Advance = Callable[[int], None]
"""Told how many requests are stored."""


@dataclass(frozen=True)
class Store:
    """The databases of a stack, and the keys of its subjects."""

    connections: dict[str, asyncpg.Connection]
    writing: Writing

    async def began(self) -> datetime:
        """When the first part was begun: what is made up is drawn from it, so that a part is always the same."""
        await self.connections["referral"].execute(
            "CREATE TABLE IF NOT EXISTS bench_began (one boolean PRIMARY KEY DEFAULT true, at timestamptz NOT NULL)"
        )
        for connection in self._writable().values():
            await connection.execute("CREATE TABLE IF NOT EXISTS bench_part (part integer PRIMARY KEY)")
            await connection.execute("SET synchronous_commit = off")
        statement = "INSERT INTO bench_began (at) VALUES ($1) ON CONFLICT DO NOTHING"
        await self.connections["referral"].execute(statement, datetime.now(UTC).replace(microsecond=0))
        found: datetime = await self.connections["referral"].fetchval("SELECT at FROM bench_began")
        return found

    async def parts(self) -> dict[str, set[int]]:
        """Which parts each database has."""
        return {
            name: {row[0] for row in await connection.fetch("SELECT part FROM bench_part")}
            for name, connection in self._writable().items()
        }

    def _writable(self) -> dict[str, asyncpg.Connection]:
        return {name: connection for name, connection in self.connections.items() if name in COLUMNS}

    async def store(self, part: int, began: datetime, missing: Iterable[str]) -> None:
        """Store a part in those databases that do not have it."""
        drawn = households(part, began)
        ring = await self.writing.vault.ring([each.subject_id for one in drawn for each in one.people], create=True)
        rows = self.writing.rows(drawn, ring)
        async with asyncio.TaskGroup() as group:
            for name in missing:
                group.create_task(_copy(self.connections[name], name, part, rows[name]))

    async def analyse(self) -> None:
        """Let the databases know what they hold."""
        await asyncio.gather(*(one.execute("VACUUM (ANALYZE)") for one in self.connections.values()))

    async def sizes(self) -> dict[str, dict[str, float]]:
        """Rows and megabytes of each database, indexes included, as it knows them since it was analysed."""
        found = {}
        for name, connection in self.connections.items():
            row = await connection.fetchrow(_COUNTED)
            found[name] = {"rows": row["rows"], "megabytes": row["bytes"] / 1_000_000}
        return found

    async def requests(self) -> int:
        """How many requests there are, whoever made them."""
        return int(await self.connections["referral"].fetchval("SELECT count(*) FROM request"))


async def _copy(connection: asyncpg.Connection, database: str, part: int, rows: Rows) -> None:
    async with connection.transaction():
        for table, columns in COLUMNS[database].items():  # what others refer to comes first
            await connection.copy_records_to_table(table, records=rows[table], columns=columns)
        await connection.execute("INSERT INTO bench_part (part) VALUES ($1)", part)


async def seed(stack: Stack, requests: int, advance: Advance) -> dict[str, Any]:
    """Have so many requests made up and stored, in whole thousands; gives what is stored, and the seconds it took."""
    began_at = time.monotonic()
    async with AsyncExitStack() as closing:
        store = await _opened(stack, closing)
        began = await store.began()
        have = await store.parts()
        for part in range(-(-requests // PART)):
            missing = [name for name, parts in have.items() if part not in parts]
            if missing:
                await store.store(part, began, missing)
            advance((part + 1) * PART)
        await store.analyse()
        sizes = await store.sizes()
        return {"requests": await store.requests(), "databases": sizes, "seconds": time.monotonic() - began_at}


async def _opened(stack: Stack, closing: AsyncExitStack) -> Store:
    connections = {}
    for name in DATABASES:
        connections[name] = await asyncpg.connect(stack.database_url(name).replace("+asyncpg", ""))
        closing.push_async_callback(connections[name].close)
    secret = stack.issuer.clients.folder / _ASKER
    token = ServiceToken(url=stack.issuer.service_token_url, client_id=client_id(_ASKER), secret=secret)
    keys = RemoteKeys(stack.key_store, token)
    closing.push_async_callback(keys.close)
    vault = Vault(keys, Keyset(stack.keyset))
    return Store(connections, Writing(vault, uuid5(_NOBODY, "collector"), uuid5(_NOBODY, "officer")))


async def seed_folder(folder: Path, requests: int, advance: Advance) -> dict[str, Any]:
    """The same in a data folder, whose stack runs meanwhile. Raises StackFailed."""
    async with running_stack(StackOptions(port=0, data=folder)) as stack:
        return await seed(stack, requests, advance)


def progress_bar(console: Console) -> Progress:
    """A bar with how many are stored and how long it will take."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def main(
    requests: Annotated[int, typer.Option(min=1, help="How many, rounded up to thousands 请求数.")] = 1_000_000,
    data: Annotated[Path, typer.Option(metavar="FOLDER", help="The data folder, made if new 数据目录.")] = FOLDER,
) -> None:
    """Store made-up requests, so that lifecycles can be measured beside them. 造数。"""
    console = Console()
    with progress_bar(console) as progress:
        task = progress.add_task("requests 请求", total=-(-requests // PART) * PART)
        try:
            stored = asyncio.run(seed_folder(data, requests, lambda count: progress.update(task, completed=count)))
        except StackFailed as failed:
            console.print(str(failed), highlight=False)
            raise typer.Exit(failed.exit_code) from None
    console.print(f"{stored_line(stored)}; {stored['seconds']:.0f} s", highlight=False)


if __name__ == "__main__":
    typer.run(main)
