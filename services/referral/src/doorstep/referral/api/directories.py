"""The service directory: everybody reads it, a supervisor or operator publishes it, another supervisor activates it."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query

from doorstep.contracts.codes import Action
from doorstep.contracts.needs import NEED_TYPES
from doorstep.kit.policy import Forbidden, Resource
from doorstep.kit.problems import Fault, Problem
from doorstep.kit.service import PrincipalDep, PurposeDep, ServiceDep, SessionDep, Visibility, attempts, visible_to
from doorstep.referral.api.directory_answers import (
    DirectoryAnswer,
    RouteAnswer,
    TrialAnswer,
    directory_answer,
    route_answer,
    trial_line,
)
from doorstep.referral.domain.choosing import SPOKEN, Asked
from doorstep.referral.domain.figures import FEWEST, STEP
from doorstep.referral.domain.offices import parse_directory
from doorstep.referral.operations import directories
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.in_force import read_document
from doorstep.referral.operations.offices import explain
from doorstep.referral.operations.trying import try_directory

router = APIRouter(prefix="/api/directories", tags=["directories"])

Version = Annotated[str, Path(max_length=40)]
Document = Annotated[dict[str, Any], Body(description="Organizations, services and places as HSDS 3 writes them.")]
Code = Annotated[str, Query(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


@router.get("/{version}")
@visible_to(Visibility.PUBLIC)
async def read_directory(version: Version, session: SessionDep) -> dict[str, Any]:
    """A directory as it was published; `current` is the one in force. It is public."""
    return await read_document(session, version)


@router.put("/{version}")
@attempts(Action.PUBLISH_DIRECTORY)
@visible_to(Visibility.STATION)
async def publish_directory(
    version: Version, body: Document, service: ServiceDep, principal: PrincipalDep, session: SessionDep
) -> DirectoryAnswer:
    """Publish a directory under its version. It does nothing until somebody else activates it."""
    permission = service.policy.authorize(principal, Action.PUBLISH_DIRECTORY, Resource("directory"))
    access = Access(principal, policies=permission.policies)
    published = await directories.publish_directory(
        session, vault=service.vault, access=access, version=version, document=body, now=datetime.now(UTC)
    )
    return directory_answer(published.directory)


@router.post("/trials", response_model_exclude_none=True)
@attempts(Action.TRY_DIRECTORY)
@visible_to(Visibility.STATION)
async def run_trial(
    body: Document, service: ServiceDep, principal: PrincipalDep, purpose: PurposeDep, session: SessionDep
) -> TrialAnswer:
    """Count which of the station's open requests would go elsewhere by this directory; small numbers are not told."""
    thing = Resource("directory", station=principal.station)
    policies = service.policy.authorize(principal, Action.TRY_DIRECTORY, thing, purpose=purpose).policies
    if principal.station is None:
        raise Forbidden(Action.TRY_DIRECTORY)
    directory = parse_directory(body)
    moves = await try_directory(
        session,
        vault=service.vault,
        access=Access(principal, purpose, policies),
        station=principal.station,
        directory=directory,
    )
    await directories.note_trial(session, directory, datetime.now(UTC))
    lines = tuple(trial_line(one) for one in moves)
    return TrialAnswer(version=directory.version, fewest=FEWEST, step=STEP, lines=lines)


@router.post("/{version}/activation")
@attempts(Action.ACTIVATE_DIRECTORY)
@visible_to(Visibility.STATION)
async def activate_directory(
    version: Version, service: ServiceDep, principal: PrincipalDep, session: SessionDep
) -> DirectoryAnswer:
    """Bring a published directory into force; whoever published it does not. Open requests stay where they are.

    Where another is in force it has to have been tried before.
    """
    service.policy.authorize(principal, Action.ACTIVATE_DIRECTORY, Resource("directory"))
    directory = await directories.activate_directory(
        session,
        vault=service.vault,
        policy=service.policy,
        access=Access(principal),
        version=version,
        now=datetime.now(UTC),
    )
    return directory_answer(directory)


@router.get("/current/route", response_model_exclude_none=True)
@attempts(Action.EXPLAIN_ROUTE)
@visible_to(Visibility.STATION)
async def explain_route(
    service: ServiceDep,
    principal: PrincipalDep,
    purpose: PurposeDep,
    session: SessionDep,
    need_type: Code | None = None,
    station: Code | None = None,
    language: Code | None = None,
) -> RouteAnswer:
    """Where a need of this type from the station would go now, and why nowhere else; it is about nobody.

    `language` is a value of access.language.
    """
    station = station or principal.station or ""
    thing = Resource("route", station=station)
    service.policy.authorize(principal, Action.EXPLAIN_ROUTE, thing, purpose=purpose)
    if need_type is None:
        zh, en = "请指定 need_type。", "Name a need_type."
        raise Problem(422, "invalid", zh, en, faults=[Fault("/query/need_type", zh, en)])
    if language is not None and language not in SPOKEN:
        zh, en = f"language 应为 {'、'.join(SPOKEN)} 之一。", f"A language is one of {', '.join(SPOKEN)}."
        raise Problem(422, "invalid", zh, en, faults=[Fault("/query/language", zh, en)])
    need = NEED_TYPES.get(need_type)
    urgent = need is not None and need.respond_hours == 1
    asking = Asked(need_type, station, datetime.now(UTC), urgent, language=language)
    return route_answer(asking, await explain(session, service.vault, asking))
