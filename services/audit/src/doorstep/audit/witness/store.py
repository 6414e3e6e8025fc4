"""What a witness remembers: the newest checkpoint of each log that it cosigned, and the evidence of forks.

Invariants: checking, storing and signing are one transaction, which is on the disk before the cosignature leaves; a
folder belongs to one key. A process may die between any two steps: what was stored and not answered is cosigned again.
Evidence is kept once for each checkpoint: of forks the first hundred of a log, of proofs that failed the last hundred,
since anybody can have a proof fail, and only the log's key can make a fork.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from doorstep.audit.domain.checkpoint import Checkpoint, parse_body
from doorstep.audit.domain.cosignature import WitnessKey, WitnessSigningKey
from doorstep.audit.domain.errors import Malformed, ProofRejected
from doorstep.audit.domain.note import Note, Signature
from doorstep.audit.domain.submission import AddCheckpoint, OldSizeWrong, check_growth, forked

log = logging.getLogger(__name__)

Clock = Callable[[], float]
"""Seconds since 1970."""
FILE = "witness.sqlite"
EVIDENCE_LIMIT = 100
_TABLES = (
    "CREATE TABLE IF NOT EXISTS witness (row INTEGER PRIMARY KEY CHECK (row = 1), vkey TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS cosigned (origin TEXT PRIMARY KEY, note BLOB NOT NULL)",
    """
    CREATE TABLE IF NOT EXISTS evidence (
        number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, origin TEXT NOT NULL, size INTEGER NOT NULL,
        root BLOB NOT NULL, held BLOB NOT NULL, offered BLOB NOT NULL, proof TEXT NOT NULL, kept_at INTEGER NOT NULL,
        UNIQUE (kind, origin, size, root)
    )
    """,
)
_KEEP = """
    INSERT INTO evidence (kind, origin, size, root, held, offered, proof, kept_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO NOTHING
"""
_EVIDENCE = "SELECT number, kind, origin, held, offered, proof, kept_at FROM evidence ORDER BY number"
_AT_ITS_SIZE = "SELECT offered FROM evidence WHERE kind = ? AND origin = ? AND size = ?"
_JUDGED = "DELETE FROM evidence WHERE kind = ? AND origin = ? AND size = ?"
_DROP_OLDEST = """
    DELETE FROM evidence WHERE number = (SELECT min(number) FROM evidence WHERE kind = ? AND origin = ?)
"""


class Kind(StrEnum):
    """What a piece of evidence shows."""

    FORK = "fork"
    """Two roots that the log signed for one size: proof to anybody."""
    UNPROVED = "unproved"
    """A later checkpoint that the log signed, with a proof that failed: a reason to ask, and no proof."""


_TOLD = {
    Kind.FORK: (logging.CRITICAL, "FORK: the log signed two roots for one size"),
    Kind.UNPROVED: (logging.ERROR, "the log signed a checkpoint that came with a proof that fails"),
}


class WitnessStep(StrEnum):
    """A point in the witness's work that has just been passed."""

    CHECKED = "checked"
    WRITTEN = "written"
    SIGNED = "signed"
    COMMITTED = "committed"


class KeyChanged(Exception):
    """The folder is another witness's: what one key cosigned, another does not answer for."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two notes that a log signed: the one that was cosigned (`held`), and `offered`, with the proof that failed."""

    number: int
    kind: Kind
    origin: str
    held: bytes
    offered: bytes
    proof: str
    kept_at: int


class WitnessStore:
    """The state of one witness, in a file of its folder; several threads and processes may use it at once."""

    def __init__(self, folder: Path, *, watch: Callable[[WitnessStep], None] | None = None) -> None:
        """Open or make the state in `folder`; `watch` is told each step. Raises OSError, sqlite3.Error."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._watch = watch or (lambda _: None)
        self._lock = threading.Lock()
        self._file = sqlite3.connect(folder / FILE, isolation_level=None, check_same_thread=False)
        self._file.execute("PRAGMA synchronous = EXTRA")
        with self._transaction():
            for table in _TABLES:
                self._file.execute(table)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def belong_to(self, key: WitnessKey) -> None:
        """Make this the folder of `key`; raises KeyChanged if it is another's."""
        with self._transaction():
            self._file.execute("INSERT INTO witness VALUES (1, ?) ON CONFLICT DO NOTHING", (str(key),))
            if self._file.execute("SELECT vkey FROM witness").fetchone() != (str(key),):
                raise KeyChanged

    def cosign(self, request: AddCheckpoint, offered: Checkpoint, key: WitnessSigningKey, clock: Clock) -> Signature:
        """Cosign `offered`, whose note in `request` was found to be the log's, if it grew from what was cosigned.

        The time is read when nobody else can store a larger one.

        Raises Malformed, OldSizeWrong, ProofRejected, sqlite3.Error.
        """
        with self._transaction():
            now = int(clock())
            found = self._file.execute("SELECT note FROM cosigned WHERE origin = ?", (offered.origin,)).fetchone()
            held = None if found is None else _checkpoint(found[0])
            refused = self._check(held, found and found[0], offered, request, now)
            if refused is None:
                self._watch(WitnessStep.CHECKED)
                if held is None or offered.size > held.size:
                    self._remember(offered, request.note, now)
                signature = key.cosign(offered.body(), now)
                self._watch(WitnessStep.SIGNED)
        if refused is not None:
            raise refused
        self._watch(WitnessStep.COMMITTED)
        return signature

    def cosigned(self) -> list[Checkpoint]:
        """The newest checkpoint of each log that was cosigned."""
        with self._lock:
            return [_checkpoint(row[0]) for row in self._file.execute("SELECT note FROM cosigned ORDER BY origin")]

    def evidence(self) -> list[Evidence]:
        """All that was kept, in the order in which it came."""
        with self._lock:
            rows = self._file.execute(_EVIDENCE).fetchall()
        return [Evidence(row[0], Kind(row[1]), *row[2:]) for row in rows]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """A transaction that nobody else writes in; it is on the disk when the block has ended."""
        with self._lock, self._file:
            self._file.execute("BEGIN IMMEDIATE")
            yield

    def _check(
        self, held: Checkpoint | None, note: bytes, offered: Checkpoint, request: AddCheckpoint, now: int
    ) -> Malformed | OldSizeWrong | ProofRejected | None:
        """Why `offered` is refused, its evidence kept; None if it may be cosigned."""
        fork = forked(held, offered)
        if fork:
            self._keep(Kind.FORK, offered, note, request, now)
        try:
            check_growth(held, offered, request.old_size, request.proof)
        except (Malformed, OldSizeWrong) as wrong:
            return wrong
        except ProofRejected as error:
            if held is not None and offered.size > held.size:
                self._keep(Kind.UNPROVED, offered, note, request, now)
            return error
        return None

    def _remember(self, checkpoint: Checkpoint, note: bytes, now: int) -> None:
        """Take `checkpoint` for the newest one, and judge by it what had no proof at its size."""
        self._file.execute(
            "INSERT INTO cosigned VALUES (?, ?) ON CONFLICT (origin) DO UPDATE SET note = excluded.note",
            (checkpoint.origin, note),
        )
        at_its_size = (Kind.UNPROVED, checkpoint.origin, checkpoint.size)
        for (other,) in self._file.execute(_AT_ITS_SIZE, at_its_size).fetchall():
            if forked(checkpoint, offered := _checkpoint(other)):
                self._keep(Kind.FORK, offered, note, AddCheckpoint(0, (), other), now)
        self._file.execute(_JUDGED, at_its_size)
        self._watch(WitnessStep.WRITTEN)

    def _keep(self, kind: Kind, offered: Checkpoint, held: bytes, request: AddCheckpoint, now: int) -> None:
        """Keep two notes as evidence, unless they are there already, and say so aloud."""
        of_kind = (kind, offered.origin)
        count = self._file.execute("SELECT count(*) FROM evidence WHERE kind = ? AND origin = ?", of_kind).fetchone()[0]
        if count >= EVIDENCE_LIMIT and kind is Kind.FORK:
            log.critical("%s: one more fork, and no room for its evidence", offered.origin)
            return
        proof = request.encode().partition(b"\n\n")[0].decode()
        values = (*of_kind, offered.size, offered.root, held, request.note, proof, now)
        kept = self._file.execute(_KEEP, values).rowcount == 1
        if kept and count >= EVIDENCE_LIMIT:
            self._file.execute(_DROP_OLDEST, of_kind)
        if kept:
            level, said = _TOLD[kind]
            log.log(level, "%s: %s; both notes are kept (size %d)", offered.origin, said, offered.size)


def _checkpoint(note: bytes) -> Checkpoint:
    return parse_body(Note.parse(note).text)
