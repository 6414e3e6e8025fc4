"""Attesting: a department that completes a request states facts about its subject, for the household's file."""

from collections.abc import Sequence
from datetime import datetime
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Department, LegalBasis, SaidBy, TaskState
from doorstep.contracts.facts import Fact
from doorstep.contracts.intake import StatedFacts
from doorstep.contracts.referral import FactsAttested
from doorstep.kit import outbox
from doorstep.kit.vault import KeyRing
from doorstep.referral.domain.attesting import Attested, flaws
from doorstep.referral.domain.content import Content
from doorstep.referral.errors import AttestationRefused
from doorstep.referral.queries import TaskRow


def attest(
    session: AsyncSession,
    ring: KeyRing,
    task: TaskRow,
    content: Content,
    to: TaskState,
    attested: Sequence[Attested],
    now: datetime,
) -> None:
    """Tell the registry what the task's department attests with its step. Raises AttestationRefused."""
    if not attested:
        return
    department = Department(task.department or "")
    if found := tuple(flaws(department, content.need.need_type, to, attested, now)):
        raise AttestationRefused(found)
    facts = tuple(
        Fact(
            fact_id=uuid4(),
            code=one.code,
            value=one.value,
            said_by=SaidBy.DEPARTMENT,
            legal_basis=LegalBasis(task.legal_basis),
            since=one.since,
            until=one.until,
            attested_by=department,
        )
        for one in attested
    )
    event = FactsAttested(
        request_id=task.request_id,
        record_id=task.record_id,
        file_id=task.file_id,
        subject_id=task.subject_id,
        attested_at=now,
        facts=ring.seal(task.subject_id, StatedFacts(facts=facts)),
    )
    outbox.add(session, event, key=task.file_id, subject=task.subject_id)
