"""Checks the whole log from its rows up, and says what is wrong and where (fsck).

In one snapshot of the database, while the log goes on: bodies against leaf hashes, leaf hashes against tiles, tiles
against the tiles above them, and all of it against every checkpoint, each with what witnesses cosigned of it. What one
edit made wrong is told once, where it shows first: a tile is judged by what lies directly under it, and of the
checkpoints that one edit contradicts the first is told.
"""

import base64
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from doorstep.audit.domain.checkpoint import parse_body
from doorstep.audit.domain.cosignature import WitnessKey
from doorstep.audit.domain.edge import FullTile, RightEdge
from doorstep.audit.domain.entry import UNREADABLE, Entry, opens, parse_entry
from doorstep.audit.domain.errors import LogError, Malformed
from doorstep.audit.domain.findings import Fault, Finding, entries
from doorstep.audit.domain.merkle import HASH_BYTES, leaf_hash
from doorstep.audit.domain.note import Note, VerifierKey, open_note, parse_line
from doorstep.audit.domain.tiles import TILE_WIDTH, Tile
from doorstep.audit.operations.anchoring import Anchor, Anchored
from doorstep.kit.db import Database

CHUNK = 16 * TILE_WIDTH
_GUARDS = text(
    "SELECT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
    "WHERE t.tgname = 'only_grows' AND t.tgenabled NOT IN ('O', 'A') ORDER BY 1"
)
_LAST = text("SELECT coalesce(max(index), -1) FROM entry")
_ENTRIES = text("SELECT index, entry_id, body, leaf FROM entry WHERE index >= :start AND index < :end ORDER BY index")
_TILES = text(
    """
    SELECT tile.level, tile.index, hashes, root FROM generate_series(0, 6) AS above (level)
    JOIN tile ON tile.level = above.level AND tile.index >= CAST(:start AS bigint) >> (8 * (above.level + 1))
        AND tile.index <= CAST(:end AS bigint) >> (8 * (above.level + 1))
    """
)
_SURPLUS = text(
    "SELECT level, index FROM tile WHERE level > 6 OR index >= CAST(:size AS bigint) >> (8 * (level + 1)) ORDER BY 1, 2"
)
_CHECKPOINTS = text("SELECT size, note FROM checkpoint ORDER BY size")
_COSIGNATURES = text("SELECT size, witness, cosigned_at, line FROM cosignature ORDER BY size, witness, cosigned_at")
_PENDING = text("SELECT arrival, entry_id, body FROM pending WHERE arrival > :after ORDER BY arrival LIMIT :most")
_ORPHANS = text(
    """
    SELECT entry_id, position FROM detail
    WHERE NOT EXISTS (SELECT FROM entry WHERE entry.entry_id = detail.entry_id)
    AND NOT EXISTS (SELECT FROM pending WHERE pending.entry_id = detail.entry_id) ORDER BY 1, 2
    """
)
_DETAILS = text("SELECT entry_id, max(position) + 1 FROM detail WHERE entry_id = ANY(:ids) GROUP BY 1")
_MESSAGES = text("SELECT entry_id, nonce, topic, message FROM unreadable WHERE entry_id = ANY(:ids)")

Progress = Callable[[int, int], None]
"""Told how many of how many entries are checked."""


@dataclass
class Report:
    """What was found, and how much was looked at; entries beyond the `signed` ones wait, which is no fault."""

    size: int = 0
    signed: int = 0
    checkpoints: int = 0
    pending: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, fault: Fault, place: object) -> None:
        """Note what is wrong."""
        self.findings.append(Finding(fault, str(place)))


async def check_log(
    database: Database,
    keys: Sequence[VerifierKey],
    *,
    anchor: Anchor | None = None,
    progress: Progress = lambda done, all_of_them: None,
) -> Report:
    """Check every row of the log in `database`: signatures under `keys`, and against the anchor, if they are given.

    The anchor is read before the snapshot is taken: what it lies at is stored by then.
    """
    anchored = None if anchor is None else await anchor.read()
    async with _snapshot(database) as connection:
        report = await _Check(connection, keys, anchored, progress).run()
    if anchor is not None and anchored is None and report.checkpoints:
        report.add(Fault.ANCHOR_MISSING, "anchor")
    return report


@asynccontextmanager
async def _snapshot(database: Database) -> AsyncIterator[AsyncConnection]:
    async with database.engine.connect() as connection:
        yield await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


class _Check:
    """One run over one snapshot."""

    def __init__(
        self, connection: AsyncConnection, keys: Sequence[VerifierKey], anchored: Anchored | None, progress: Progress
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._anchored = anchored
        self._progress = progress
        self._report = Report()
        self._edge = RightEdge()
        self._whole = True  # so far no entry was missing: tiles and roots can be computed
        self._roots: dict[int, list[tuple[Fault, bytes, str]]] = {}
        self._right = -1
        self._contradicted: set[Fault] = set()
        self._wrong: set[tuple[int, int]] = set()

    async def run(self) -> Report:
        report = self._report
        for (table,) in await self._rows(_GUARDS):
            report.add(Fault.GUARD_OFF, table)
        report.size = (await self._rows(_LAST))[0][0] + 1
        await self._read_checkpoints()
        self._compare_roots()
        for start in range(0, report.size, CHUNK):
            await self._chunk(start, min(start + CHUNK, report.size))
            self._progress(min(start + CHUNK, report.size), report.size)
        for level, index in await self._rows(_SURPLUS, size=report.size):
            report.add(Fault.TILE_SURPLUS, f"tile {index} of level {level}")
        for entry_id, position in await self._rows(_ORPHANS):
            report.add(Fault.DETAIL_ORPHANED, f"detail {position} of {entry_id}")
        await self._check_pending()
        return report

    async def _rows(self, statement: Any, **values: Any) -> Sequence[Any]:
        return (await self._connection.execute(statement, values)).all()

    async def _read_checkpoints(self) -> None:
        """Check the signature of every checkpoint, and note the roots that the tree must have."""
        report = self._report
        bodies: dict[int, str | None] = {}
        for size, note in await self._rows(_CHECKPOINTS):
            report.checkpoints += 1
            place = f"checkpoint {size}"
            bodies[size] = None
            try:
                bodies[size] = body = open_note(note, self._keys) if self._keys else Note.parse(note).text
                signed = parse_body(body)
            except LogError:
                report.add(Fault.CHECKPOINT_FORGED, place)
                continue
            if signed.size != size or (self._keys and signed.origin != self._keys[0].name):
                report.add(Fault.CHECKPOINT_FORGED, place)
            elif size > report.size:
                report.add(Fault.CHECKPOINT_BEYOND, place)
            else:
                report.signed = size
                self._expect(size, Fault.CHECKPOINT_CONTRADICTED, signed.root, place)
        await self._check_cosignatures(bodies)
        if self._anchored is not None:
            place = f"anchor {self._anchored.size}"
            if self._anchored.size > report.size:
                report.add(Fault.ANCHOR_BEYOND, place)
            else:
                self._expect(self._anchored.size, Fault.ANCHOR_CONTRADICTED, self._anchored.root, place)

    async def _check_cosignatures(self, bodies: dict[int, str | None]) -> None:
        """Each is its witness's, of its time, on the checkpoint of its size; of a forged checkpoint none is judged."""
        missing: set[int] = set()
        for size, witness, cosigned_at, line in await self._rows(_COSIGNATURES):
            body = bodies.get(size)
            if size not in bodies:
                missing.add(size)
            elif body is not None and not _cosigned(witness, cosigned_at, line, body):
                name = witness.partition("+")[0]
                self._report.add(Fault.COSIGNATURE_FORGED, f"cosignature of {name} on checkpoint {size}")
        for size in sorted(missing):
            self._report.add(Fault.CHECKPOINT_MISSING, f"checkpoint {size}")

    def _expect(self, size: int, fault: Fault, root: bytes, place: str) -> None:
        self._roots.setdefault(size, []).append((fault, root, place))

    def _compare_roots(self) -> None:
        expected = self._roots.get(self._edge.size, ())
        root = self._edge.root() if expected and self._whole else b""
        for fault, signed, place in expected if root else ():
            if signed == root:
                self._right = self._edge.size
            elif fault not in self._contradicted:
                self._contradicted.add(fault)
                since = f" (at {self._right} it is right)" if 0 <= self._right < self._edge.size else ""
                self._report.add(fault, place + since)

    async def _chunk(self, start: int, end: int) -> None:
        """Check the entries from `start` up to `end`, the tiles that they fill, and the roots signed in between."""
        rows = await self._rows(_ENTRIES, start=start, end=end)
        self._find_gaps(start, end, [row[0] for row in rows])
        read = [self._check_entry(*row) for row in rows]
        await self._check_details([entry for entry in read if entry is not None])
        if not self._whole:
            return
        stored = {
            (level, index): (hashes, root)
            for level, index, hashes, root in await self._rows(_TILES, start=start, end=end)
        }
        leaves = [row[3] for row in rows]
        at = start
        for stop in sorted({size for size in self._roots if start < size <= end} | {end}):
            for tile in self._edge.append(leaves[at - start : stop - start]):
                self._check_tile(tile, stored.get((tile.level, tile.index)))
            at = stop
            self._compare_roots()

    def _find_gaps(self, start: int, end: int, there: Sequence[int]) -> None:
        missing = sorted(set(range(start, end)) - set(there))
        for _, run in groupby(enumerate(missing), key=lambda pair: pair[1] - pair[0]):
            numbers = [index for _, index in run]
            self._report.add(Fault.ENTRY_MISSING, entries(numbers[0], numbers[-1]))
        self._whole = self._whole and not missing

    def _check_entry(self, index: int, entry_id: Any, body: bytes, leaf: bytes) -> tuple[int, Entry] | None:
        place = entries(index, index)
        if leaf_hash(body) != leaf:
            self._report.add(Fault.ENTRY_EDITED, place)
        try:
            entry = parse_entry(body)
        except Malformed:
            self._report.add(Fault.ENTRY_MALFORMED, place)
            return None
        if entry.id != entry_id:
            self._report.add(Fault.ENTRY_MISNAMED, place)
        return index, entry

    def _check_tile(self, made: FullTile, stored: tuple[bytes, bytes] | None) -> None:
        place, below = Tile(made.level, made.index).path, made.index * TILE_WIDTH
        if stored is None:
            self._report.add(Fault.TILE_MISSING, place)
            return
        hashes = [stored[0][at : at + HASH_BYTES] for at in range(0, len(stored[0]), HASH_BYTES)]
        differ = [below + at for at, pair in enumerate(zip(hashes, made.hashes, strict=True)) if pair[0] != pair[1]]
        if not differ and stored[1] == made.root:
            return
        self._wrong.add((made.level, made.index))
        if not differ:
            self._report.add(Fault.TILE_WRONG, f"the root of {place}")
        elif made.level == 0:
            self._report.add(Fault.TILE_WRONG, f"{place} ({', '.join(entries(at, at) for at in differ[:5])})")
        elif not all((made.level - 1, at) in self._wrong for at in differ):
            self._report.add(Fault.TILE_WRONG, place)

    async def _check_details(self, read: Sequence[tuple[int, Entry]]) -> None:
        """Every detail belongs to a commitment, and every `unreadable` entry still opens on its message."""
        kept = {
            row[0]: row[1:] for row in await self._rows(_MESSAGES, ids=[e.id for _, e in read if e.kind == UNREADABLE])
        }
        details = dict(map(tuple, await self._rows(_DETAILS, ids=[e.id for _, e in read])))
        for index, entry in read:
            if details.get(entry.id, 0) > len(entry.commitments):
                self._report.add(Fault.DETAIL_ORPHANED, f"detail {details[entry.id] - 1} of {entry.id}")
            if entry.kind == UNREADABLE:
                self._check_message(entries(index, index), entry, kept.get(entry.id))

    def _check_message(self, place: str, entry: Entry, kept: Any) -> None:
        if kept is None:
            self._report.add(Fault.UNREADABLE_MISSING, place)
            return
        nonce, topic, message = kept
        said = {"topic": topic, "message": base64.b64encode(message).decode()}
        if len(entry.commitments) != 1 or not opens(entry.commitments[0], nonce, said):
            self._report.add(Fault.UNREADABLE_EDITED, place)

    async def _check_pending(self) -> None:
        after = 0
        while rows := await self._rows(_PENDING, after=after, most=CHUNK):
            for arrival, entry_id, body in rows:
                try:
                    sound = parse_entry(body).id == entry_id
                except Malformed:
                    sound = False
                if not sound:
                    self._report.add(Fault.PENDING_MALFORMED, f"arrival {arrival}")
            self._report.pending += len(rows)
            after = rows[-1][0]


def _cosigned(witness: str, cosigned_at: int, line: str, body: str) -> bool:
    """Whether a stored cosignature is what it says it is."""
    try:
        key, signature = WitnessKey.parse(witness), parse_line(line)
        return key.made(signature) and key.verify(body, signature) == cosigned_at
    except LogError:
        return False
