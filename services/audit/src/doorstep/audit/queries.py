"""What is read from the log's tables. A partial tile is the beginning of a full one, made from the rows below it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.audit.domain.quorum import attach
from doorstep.audit.domain.tiles import TILE_WIDTH, Tile

_NEWEST = text("SELECT size, note FROM checkpoint ORDER BY size DESC LIMIT 1")
_SIGNED_AT = text("SELECT signed_at FROM checkpoint WHERE size = :size")
_ROWS = text("SELECT index, body, leaf FROM entry WHERE index >= :start AND index < :end ORDER BY index")
_LEAVES = text("SELECT leaf FROM entry WHERE index >= :start AND index < :end ORDER BY index")
_ROOTS = text("SELECT root FROM tile WHERE level = :level AND index >= :start AND index < :end ORDER BY index")
_FULL = text("SELECT hashes FROM tile WHERE level = :level AND index = :index")
_TILES = text(
    """
    SELECT level, index, hashes FROM tile
    JOIN unnest(CAST(:levels AS smallint[]), CAST(:indexes AS bigint[])) AS wanted (level, index) USING (level, index)
    """
)
_CHOSEN = text("SELECT index, body FROM entry WHERE index = ANY(CAST(:indexes AS bigint[]))")
_COVERING = text(
    """
    SELECT coalesce(max(e.index) + 1, 0) FROM detail d JOIN entry e USING (entry_id)
    WHERE d.hour >= :since AND d.hour < :until
    """
)
_SIZE = text("SELECT coalesce(max(index) + 1, 0) FROM entry")
_PLACE = text(
    "SELECT index, leaf FROM entry WHERE entry_id = :id UNION ALL SELECT NULL, NULL FROM pending WHERE entry_id = :id"
)
_COSIGNED = text(
    "SELECT DISTINCT ON (witness) line FROM cosignature WHERE size = :size ORDER BY witness, cosigned_at DESC"
)
_WITNESSED = text(
    """
    SELECT size, note FROM checkpoint WHERE size = (
        SELECT size FROM cosignature WHERE witness = ANY(CAST(:witnesses AS text[]))
        GROUP BY size HAVING count(DISTINCT witness) >= :quorum ORDER BY size DESC LIMIT 1
    )
    """
)
_PROMISES = text(
    """
    SELECT s.service, l.number AS last_number, l.ends AS promised_until,
        (SELECT count(*) FROM manifest m WHERE NOT matched AND m.service = s.service) AS waiting,
        (SELECT count(*) FROM gap g WHERE closed_at IS NULL AND g.service = s.service) AS gaps
    FROM unnest(CAST(:services AS text[])) AS s (service) LEFT JOIN LATERAL (
        SELECT number, ends FROM manifest m WHERE m.service = s.service ORDER BY number DESC LIMIT 1
    ) AS l ON true
    ORDER BY s.service
    """
)
_GAPS = text(
    """
    SELECT service, kind, number, begins, ends, promised, stored, opened_at, closed_at
    FROM gap ORDER BY closed_at IS NOT NULL, id DESC LIMIT :limit
    """
)


@dataclass(frozen=True, slots=True)
class Trusted:
    """The witnesses that the log asks, by their verifier keys, and how many make a checkpoint a witnessed one."""

    witnesses: Sequence[str] = ()
    quorum: int = 1


async def newest_checkpoint(session: AsyncSession) -> tuple[int, bytes] | None:
    """The size and the signed note of the newest checkpoint; None before the first."""
    row = (await session.execute(_NEWEST)).first()
    return None if row is None else (row.size, row.note)


async def signed_at(session: AsyncSession, size: int) -> datetime:
    """When the checkpoint of this size was stored, which is just after it was signed."""
    moment: datetime = (await session.execute(_SIGNED_AT, {"size": size})).scalar_one()
    return moment


async def cosigned(session: AsyncSession, size: int, note: bytes) -> bytes:
    """The checkpoint `note` of this size with the newest cosignature of each witness that is there for it."""
    return attach(note, (await session.execute(_COSIGNED, {"size": size})).scalars())


async def newest_witnessed(session: AsyncSession, trusted: Trusted) -> tuple[int, bytes] | None:
    """The size and the note, cosignatures too, of the newest checkpoint with a quorum; None while there is none."""
    values = {"witnesses": list(trusted.witnesses), "quorum": trusted.quorum}
    row = (await session.execute(_WITNESSED, values)).first()
    return None if row is None else (row.size, await cosigned(session, row.size, row.note))


async def stored_size(session: AsyncSession) -> int:
    """How many entries are stored, signed or not."""
    return int((await session.execute(_SIZE)).scalar_one())


async def anything_pending(session: AsyncSession) -> bool:
    """Whether entries wait for their place."""
    return bool((await session.execute(text("SELECT EXISTS (SELECT FROM pending)"))).scalar_one())


async def rows(session: AsyncSession, start: int, end: int) -> list[tuple[int, bytes, bytes]]:
    """Index, body and leaf hash of the entries from `start` up to `end`, in order; fewer if some are not there."""
    return [(row[0], row[1], row[2]) for row in await session.execute(_ROWS, {"start": start, "end": end})]


async def hashes(session: AsyncSession, level: int, start: int, end: int) -> list[bytes]:
    """The hashes of one level from number `start` up to `end`; fewer if some are not there."""
    statement = _LEAVES if level == 0 else _ROOTS
    parameters = {"start": start, "end": end} | ({} if level == 0 else {"level": level - 1})
    return list((await session.execute(statement, parameters)).scalars())


async def tile(session: AsyncSession, wanted: Tile) -> bytes | None:
    """The bytes of a tile; None if the database has lost some of it."""
    if wanted.full:
        found: bytes | None = (
            await session.execute(_FULL, {"level": wanted.level, "index": wanted.index})
        ).scalar_one_or_none()
        return found
    some = await hashes(session, wanted.level, wanted.start, wanted.start + wanted.width)
    return b"".join(some) if len(some) == wanted.width else None


async def tiles(session: AsyncSession, wanted: Sequence[Tile]) -> dict[Tile, bytes]:
    """The bytes of each of these tiles that the database has."""
    full = [one for one in wanted if one.full]
    values = {"levels": [one.level for one in full], "indexes": [one.index for one in full]}
    found = {Tile(row[0], row[1]): row[2] for row in await session.execute(_TILES, values)}
    for one in wanted:
        if not one.full and (data := await tile(session, one)) is not None:
            found[one] = data
    return found


async def bodies(session: AsyncSession, indexes: Sequence[int]) -> dict[int, bytes]:
    """The bytes of the entries at these places, those that are there."""
    return {row[0]: row[1] for row in await session.execute(_CHOSEN, {"indexes": list(indexes)})}


async def covering(session: AsyncSession, since: datetime, until: datetime) -> int:
    """How many entries a tree has that holds all which have their place and are of an hour from `since` to `until`."""
    return int((await session.execute(_COVERING, {"since": since, "until": until})).scalar_one())


async def edge(session: AsyncSession, size: int) -> list[list[bytes]]:
    """The hashes of the partial tiles of a tree of `size`, level 0 first."""
    levels = []
    level = 0
    while size >> (8 * level):
        end = size >> (8 * level)
        levels.append(await hashes(session, level, end - end % TILE_WIDTH, end))
        level += 1
    return levels


async def place(session: AsyncSession, entry_id: UUID) -> tuple[int | None, bytes | None] | None:
    """Index and leaf hash of an entry; two None while it is pending; None if it was never submitted."""
    row = (await session.execute(_PLACE, {"id": entry_id})).first()
    return None if row is None else (row[0], row[1])


async def promises(session: AsyncSession, services: Sequence[str]) -> Sequence[Row[Any]]:
    """The last manifest of each of `services`, how many of its manifests are unmatched, how many gaps are open."""
    return (await session.execute(_PROMISES, {"services": list(services)})).all()


async def gaps(session: AsyncSession, *, limit: int) -> Sequence[Row[Any]]:
    """Gaps, open ones first and then the latest."""
    return (await session.execute(_GAPS, {"limit": limit})).all()
