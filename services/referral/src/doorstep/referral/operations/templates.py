"""The templates of a department: published version by version, offered while they are in force, used by steps.

Invariants: what a version says never changes, and each comes after the one before; of a code the newest version is in
force, until it is ended or followed; what a step said stays said, whatever becomes of the template.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, Department, Outcome, Reason
from doorstep.kit import intents
from doorstep.kit.db import run
from doorstep.kit.vault import Vault
from doorstep.referral.columns import Wording
from doorstep.referral.domain.content import Content
from doorstep.referral.domain.deadlines import SHANGHAI
from doorstep.referral.domain.states import Step
from doorstep.referral.domain.template_errors import TemplateTaken, TemplateUnfit, TemplateUnknown
from doorstep.referral.domain.templates import Template, Words, fill_in
from doorstep.referral.operations.access import STAFF, Access

_COLUMNS = "code, version, need_type, outcome, reason, zh, en"
_NEWEST = f"""
    SELECT * FROM (
        SELECT DISTINCT ON (code) {_COLUMNS}, ended_at FROM outcome_template
        WHERE department = :department ORDER BY code, version DESC
    ) newest WHERE ended_at IS NULL
"""  # noqa: S608
_IN_FORCE = f"{_NEWEST} ORDER BY code"
_NAMED = f"{_NEWEST} AND code = :code AND version = :version"
_PUBLISH = """
    INSERT INTO outcome_template (
        department, code, version, need_type, outcome, reason, zh, en, published_by, published_at
    )
    SELECT :department, :code, :version, :need_type, :outcome, :reason, :zh, :en, :published_by, :published_at
    WHERE CAST(:version AS integer) = CAST(:next AS integer) ON CONFLICT DO NOTHING RETURNING version
"""
_VERSIONS = f"""
    SELECT {_COLUMNS} FROM outcome_template WHERE department = :department AND code = :code ORDER BY version
"""  # noqa: S608
_END = """
    UPDATE outcome_template SET ended_at = :now
    WHERE department = :department AND code = :code AND ended_at IS NULL RETURNING version
"""


async def list_templates(session: AsyncSession, department: Department) -> list[Template]:
    """The department's templates in force, by code."""
    return _templates(await run(session, _IN_FORCE, {"department": department}))


async def publish_template(
    session: AsyncSession, *, vault: Vault, access: Access, department: Department, template: Template, now: datetime
) -> bool:
    """Publish the next version of a template; the same again is the same, and False. Raises TemplateTaken.

    Of two who publish the same version at once the second finds the first one's, and is told by what that says.
    """
    named = {"department": department, "code": template.code}
    known = _templates(await run(session, _VERSIONS, named))
    following = known[-1].version + 1 if known else 1
    said = {name: value for name, value in asdict(template).items() if name != "words"} | asdict(template.words)
    by = {"published_by": vault.pairwise(STAFF, access.principal.subject), "published_at": now, "next": following}
    if not await run(session, _PUBLISH, {**named, **said, **by}):
        known = _templates(await run(session, _VERSIONS, named))
        if template not in known:
            raise TemplateTaken(next=known[-1].version + 1 if known else 1)
        return False
    await _log(session, vault, access, template.name, "done")
    return True


async def end_template(
    session: AsyncSession, *, vault: Vault, access: Access, department: Department, code: str, now: datetime
) -> None:
    """No version of a template is used any more, until a new one is published. Raises TemplateUnknown."""
    if not await run(session, _END, {"department": department, "code": code, "now": now}):
        raise TemplateUnknown
    await _log(session, vault, access, code, "ended")


async def wording_of(
    session: AsyncSession, department: str | None, content: Content, name: str, step: Step, now: datetime
) -> Wording:
    """What the department's template `name` says of a step. Raises TemplateUnknown or TemplateUnfit."""
    code, _, version = name.partition("@")
    values = {"department": department, "code": code, "version": int(version)}
    found = _templates(await run(session, _NAMED, values))
    if not found:
        raise TemplateUnknown
    need_type = content.need.need_type
    if not found[0].fits(need_type, step.outcome, step.reason):
        raise TemplateUnfit
    day = now.astimezone(SHANGHAI).date()
    said = fill_in(found[0].words, need_type, Department(str(department)), day)
    return Wording(zh=said.zh, en=said.en)


def _templates(rows: Sequence[Any]) -> list[Template]:
    return [
        Template(
            row["code"],
            row["version"],
            row["need_type"],
            None if row["outcome"] is None else Outcome(row["outcome"]),
            None if row["reason"] is None else Reason(row["reason"]),
            Words(row["zh"], row["en"]),
        )
        for row in rows
    ]


async def _log(session: AsyncSession, vault: Vault, access: Access, name: str, outcome: str) -> None:
    ring, concerned = await intents.concerned(vault, (), access.principal)
    policies = (*access.policies, name)
    intent = intents.Intent(Action.PUBLISH_TEMPLATE, concerned, outcome=outcome, policies=policies)
    intents.record(session, ring, intent, principal=access.principal)
