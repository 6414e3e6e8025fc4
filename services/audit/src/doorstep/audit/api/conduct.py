"""What the rules of conduct find, for auditors; and what staff declare that they must not handle."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime

from doorstep.audit.domain.conduct import Finding, Watch
from doorstep.audit.domain.conduct_rules import CompiledConduct
from doorstep.audit.operations.declaring import declare_ties
from doorstep.audit.operations.watching import watch_conduct
from doorstep.audit.schemas import (
    Conduct,
    ConductFinding,
    ConductOfRule,
    DeclaredTies,
    EntryCited,
    InWords,
    TiesKept,
)
from doorstep.contracts.codes import Action
from doorstep.kit.intents import Intent, staff_subject
from doorstep.kit.policy import Resource
from doorstep.kit.problems import Fault, Problem
from doorstep.kit.service import PrincipalDep, PurposeDep, ServiceDep, SessionDep, Visibility, attempts, visible_to
from doorstep.kit.vault import NOBODY

router = APIRouter(prefix="/api/log", tags=["conduct"])

SPAN = timedelta(days=31)
_USUAL = timedelta(days=7)
_BEFORE_ANY_LOG = datetime(2000, 1, 1, tzinfo=UTC)


@router.get("/conduct")
@attempts(Action.READ_CONDUCT)
@visible_to(Visibility.AUDITOR)
async def read_conduct(
    request: Request,
    service: ServiceDep,
    session: SessionDep,
    principal: PrincipalDep,
    purpose: PurposeDep,
    since: Annotated[AwareDatetime | None, Query()] = None,
    until: Annotated[AwareDatetime | None, Query()] = None,
) -> Conduct:
    """What is to be asked about in what staff and systems did, by rule: the last seven days, or at most 31 of them.

    A finding cites entries of the log and names an actor by a random id, never a subject. The look is logged.
    """
    decision = service.policy.authorize(principal, Action.READ_CONDUCT, Resource("conduct"), purpose=purpose)
    begins, ends = _span(since, until, datetime.now(UTC))
    conduct: CompiledConduct = request.app.state.conduct
    watch = await watch_conduct(session, vault=service.vault, conduct=conduct, since=begins, until=ends)
    intent = Intent(
        Action.READ_CONDUCT,
        [NOBODY],
        purpose=purpose,
        policies=decision.policies,
        asked=f"since={begins.isoformat()} until={ends.isoformat()}",
    )
    service.record(session, await service.vault.ring([NOBODY], create=True), intent, principal=principal)
    return Conduct(pack=conduct.name, since=begins, until=ends, rules=_by_rule(conduct, watch))


@router.put("/ties")
@attempts(Action.DECLARE_TIES)
@visible_to(Visibility.CALLER)
async def put_ties(ties: DeclaredTies, service: ServiceDep, session: SessionDep, principal: PrincipalDep) -> TiesKept:
    """Declare all cases that you must not handle, in the place of what you declared before. Nobody can read them."""
    decision = service.policy.authorize(principal, Action.DECLARE_TIES, Resource("tie"))
    cases = set(ties.cases)
    await declare_ties(session, vault=service.vault, actor=principal.subject, cases=cases, now=datetime.now(UTC))
    subject = staff_subject(service.vault, principal)
    ring = await service.vault.ring([subject, NOBODY], create=True)
    about = subject if subject in ring else NOBODY
    intent = Intent(Action.DECLARE_TIES, [about], policies=decision.policies)
    service.record(session, ring, intent, principal=principal)
    return TiesKept(declared=len(cases))


def _span(since: datetime | None, until: datetime | None, now: datetime) -> tuple[datetime, datetime]:
    """From when until when is asked for, in UTC and not beyond `now`; raises Problem."""
    ends = min(until or now, now)
    begins = since or max(ends, _BEFORE_ANY_LOG) - _USUAL
    if begins >= ends:
        zh, en = "since 须早于 until，也不能在将来。", "since must be before until, and not in the future."
        raise Problem(422, "invalid", zh, en, faults=[Fault("/query/since", zh, en)])
    if ends - begins > SPAN:
        zh, en = f"一次最多查看 {SPAN.days} 天。", f"At most {SPAN.days} days can be asked for at once."
        raise Problem(422, "invalid", zh, en, faults=[Fault("/query/since", zh, en)])
    if begins < _BEFORE_ANY_LOG:
        zh, en = "那时还没有日志。", "There was no log then."
        raise Problem(422, "invalid", zh, en, faults=[Fault("/query/since", zh, en)])
    return begins.astimezone(UTC), ends.astimezone(UTC)


def _by_rule(conduct: CompiledConduct, watch: Watch) -> list[ConductOfRule]:
    return [
        ConductOfRule(
            id=compiled.rule.id,
            title=InWords.model_validate(compiled.rule.title),
            looks_at=InWords.model_validate(compiled.looks_at),
            findings=[_shown(finding) for finding in watch.findings(compiled.rule.id)],
        )
        for compiled in conduct.rules
    ]


def _shown(finding: Finding) -> ConductFinding:
    who = finding.who
    return ConductFinding(
        actor=who.actor,
        role=who.role,
        agency=who.agency,
        station=who.station,
        first=finding.first,
        last=finding.last,
        count=len(finding.cited),
        reached=finding.reached,
        entries=[EntryCited.model_validate(one) for one in finding.cited],
    )
