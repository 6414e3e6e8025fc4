"""The words in which a department tells outcomes: its officers use them, the head of an office publishes them."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import UUID7, AfterValidator, Field, model_validator

from doorstep.contracts.codes import Action, Department, Outcome, Reason
from doorstep.contracts.needs import NEED_TYPES
from doorstep.kit import idempotency
from doorstep.kit.policy import Resource
from doorstep.kit.service import PrincipalDep, ServiceDep, SessionDep, Visibility, attempts, visible_to
from doorstep.referral.api.commands import digest
from doorstep.referral.domain.templates import CODE, LONGEST, Template, Words, flaw_of
from doorstep.referral.operations import templates
from doorstep.referral.operations.access import Access
from doorstep.referral.schemas import Answer, Body

router = APIRouter(prefix="/api/departments/{department}/templates", tags=["office"])

Code = Annotated[str, Path(pattern=CODE)]
Version = Annotated[int, Path(ge=1, le=9_999)]


def _fit_to_say(text: str) -> str:
    flaw = flaw_of(text)
    if flaw is not None:
        raise ValueError(*flaw)
    return text


def _known(need_type: str) -> str:
    if need_type not in NEED_TYPES:
        raise ValueError("没有此需求类型", "there is no such need type")
    return need_type


NeedType = Annotated[str, Field(max_length=64, json_schema_extra={"enum": sorted(NEED_TYPES)}), AfterValidator(_known)]
Sentence = Annotated[str, Field(min_length=1, max_length=LONGEST), AfterValidator(_fit_to_say)]


class TemplateBody(Body):
    """What a template says of an outcome, or of a reason, in both languages; it holds nothing of anybody."""

    need_type: NeedType
    outcome: Outcome | None = None
    reason: Reason | None = None
    zh: Sentence
    en: Sentence

    @model_validator(mode="after")
    def _of_one(self) -> "TemplateBody":
        if (self.outcome is None) == (self.reason is None):
            raise ValueError("须指定结果或原因其中之一", "is for an outcome or for a reason")
        return self


class EndedBody(Body):
    """A template is used no more."""

    id: UUID7


class TemplateView(Answer):
    """A template; `template` is what a step names."""

    template: str
    need_type: str
    outcome: Outcome | None = None
    reason: Reason | None = None
    zh: str
    en: str


class Templates(Answer):
    """The department's templates in force."""

    templates: tuple[TemplateView, ...]


class Ended(Answer):
    """No version of this template is in force."""

    code: str


@router.get("", response_model_exclude_none=True)
@attempts(Action.PUBLISH_TEMPLATE)
@visible_to(Visibility.DEPARTMENT)
async def list_templates(
    department: Department,
    service: ServiceDep,
    principal: PrincipalDep,
    session: SessionDep,
) -> Templates:
    """The department's templates in force. They are about nobody."""
    service.policy.authorize(principal, "transition-task", Resource("request", department=department))
    found = await templates.list_templates(session, department)
    return Templates(templates=tuple(_view(one) for one in found))


@router.put("/{template}/{version}", response_model_exclude_none=True)
@attempts(Action.PUBLISH_TEMPLATE)
@visible_to(Visibility.DEPARTMENT)
async def publish(
    department: Department,
    template: Code,
    version: Version,
    body: TemplateBody,
    service: ServiceDep,
    principal: PrincipalDep,
    session: SessionDep,
) -> TemplateView:
    """Publish the next version of a template: it is in force at once, and the one before no more."""
    words = Words(body.zh, body.en)
    published = Template(template, version, body.need_type, body.outcome, body.reason, words)
    await templates.publish_template(
        session,
        vault=service.vault,
        access=_access(service, principal, department),
        department=department,
        template=published,
        now=datetime.now(UTC),
    )
    return _view(published)


@router.post("/{template}/end")
@attempts(Action.PUBLISH_TEMPLATE)
@visible_to(Visibility.DEPARTMENT)
async def end(
    department: Department,
    template: Code,
    body: EndedBody,
    service: ServiceDep,
    principal: PrincipalDep,
    session: SessionDep,
) -> Ended:
    """Have a template used no more. What was said by it stays said."""
    access = _access(service, principal, department)
    sent = digest(service.vault, body, "template", department, template)
    if await idempotency.claim(session, principal, body.id, sent, answer={}) is None:
        await templates.end_template(
            session, vault=service.vault, access=access, department=department, code=template, now=datetime.now(UTC)
        )
    return Ended(code=template)


def _access(service: ServiceDep, principal: PrincipalDep, department: Department) -> Access:
    """The head of an office of the department. Raises Forbidden for everybody else."""
    thing = Resource("template", department=department)
    allowed = service.policy.authorize(principal, "publish-template", thing)
    return Access(principal, policies=allowed.policies)


def _view(template: Template) -> TemplateView:
    return TemplateView(
        template=template.name,
        need_type=template.need_type,
        outcome=template.outcome,
        reason=template.reason,
        zh=template.words.zh,
        en=template.words.en,
    )
