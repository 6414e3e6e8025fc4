"""Taking what a department attested into the household's file, beside what was said before."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, Purpose
from doorstep.contracts.facts import SubjectKind
from doorstep.contracts.intake import StatedFacts
from doorstep.contracts.referral import FactsAttested
from doorstep.kit import intents
from doorstep.kit.consumer import TryAgain
from doorstep.kit.db import run, write_buffered
from doorstep.kit.intents import Intent
from doorstep.kit.vault import Vault
from doorstep.registry import queries
from doorstep.registry.operations.files import fact_row

# The file in which the subject is; of a place that several files have, the one that the request came from.
_FILE = "SELECT file_id FROM subject WHERE subject_id = :subject_id ORDER BY file_id = :file_id DESC LIMIT 1"
_NEXT_VERSION = "UPDATE file SET version = version + 1 WHERE file_id = :file_id RETURNING version"
_HERE = "SELECT record_id, kind FROM subject WHERE subject_id = :subject_id AND file_id = :file_id"


async def take_attested(session: AsyncSession, *, vault: Vault, attested: FactsAttested) -> None:
    """Keep attested facts with their department; of a subject that was erased nothing. Raises SealBroken."""
    subject_id: UUID = attested.subject_id
    ring = await vault.ring([subject_id])
    if subject_id not in ring:
        return
    await write_buffered(session)
    found = await run(session, _FILE, {"subject_id": subject_id, "file_id": attested.file_id})
    if not found:
        return
    file_id = found[0]["file_id"]
    version = int((await run(session, _NEXT_VERSION, {"file_id": file_id}))[0]["version"])
    here = await run(session, _HERE, {"subject_id": subject_id, "file_id": file_id})
    if not here:  # who left while the file's lock was waited for
        raise TryAgain
    facts = ring.open(attested.facts, StatedFacts).facts
    # Who left a household has its records under other ids, which the mention bears.
    record_id = here[0]["record_id"] if here[0]["kind"] == SubjectKind.PERSON else attested.record_id
    rows = [fact_row(ring, subject_id, fact, record_id, version) for fact in facts]
    queries.insert_facts(session, file_id, rows)
    intent = Intent(
        Action.ASSERT_FACTS,
        [subject_id],
        purpose=Purpose.SERVICE,
        legal_basis=facts[0].legal_basis if facts else None,
        case=attested.request_id,
    )
    intents.record(session, ring, intent)
