"""The journal: what the key store did that matters, from where the audit log takes its entries.

Invariants: a line is written in the transaction of what it tells; numbers have no gap and commit in their order, for
the row that counts them stays locked until then; a line stays at least until the log asked for what comes after it, and
for 14 days. It names no subject.
"""

import time
from collections.abc import Sequence

from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action
from doorstep.kit.auth import Principal
from doorstep.kit.db import Database, run
from doorstep.kit.key_store import JournalLine

REFUSED = Counter("doorstep_keys_refused_total", "Calls that no policy permits.")
MOST_LINES = 500

_WRITE = """
    WITH counted AS (UPDATE key_store SET written = written + 1 RETURNING written)
    INSERT INTO journal (number, action, outcome, policies, actor, role, agency)
    SELECT written, CAST(:action AS text), CAST(:outcome AS text), CAST(:policies AS text[]),
        CAST(:actor AS text), CAST(:role AS text), CAST(:agency AS text)
    FROM counted
"""
_TAKEN = "UPDATE key_store SET taken = :taken WHERE taken < :taken AND written >= :taken"
_LINES = """
    SELECT number, id, at, action, outcome, policies, actor, role, agency FROM journal
    WHERE number >= :start ORDER BY number LIMIT :most
"""
_TRIM = "DELETE FROM journal USING key_store WHERE number < taken AND at < now() - interval '14 days'"
_MINUTE = 60.0
_MOST_KNOWN = 10_000


async def write(
    session: AsyncSession,
    action: Action,
    *,
    outcome: str = "done",
    policies: Sequence[str] = (),
    by: Principal | None = None,
) -> None:
    """Write a line with the session's transaction; `by` is None where nobody asked."""
    who = {"actor": by and by.subject, "role": by and by.role, "agency": by and by.agency}
    await run(session, _WRITE, {"action": action, "outcome": outcome, "policies": list(policies), **who})


class Journal:
    """The journal of a key store's database."""

    def __init__(self, database: Database) -> None:
        """Read and write it in `database`."""
        self._database = database
        self._refused: dict[tuple[str, Action], float] = {}

    async def lines(self, start: int) -> list[JournalLine]:
        """The lines from number `start` on, some hundred at most; that there are those before is known by who asks."""
        await self._database.fetch(_TAKEN, {"taken": start})
        rows = await self._database.fetch(_LINES, {"start": start, "most": MOST_LINES})
        return [JournalLine(**{**row, "policies": tuple(row["policies"])}) for row in rows]

    async def refuse(self, principal: Principal, action: Action, policies: Sequence[str]) -> None:
        """Write that `principal` was refused `action`; the same within a minute has one line of an instance."""
        REFUSED.inc()
        known, now = (principal.subject, action), time.monotonic()
        if self._refused.get(known, 0.0) > now:
            return
        async with self._database.transaction() as session:
            await write(session, action, outcome="refused:forbidden", policies=policies, by=principal)
        if len(self._refused) >= _MOST_KNOWN:
            self._refused.clear()
        self._refused[known] = now + _MINUTE

    async def trim(self) -> None:
        """Let go of lines that the log has, after 14 days."""
        await self._database.fetch(_TRIM, {})
