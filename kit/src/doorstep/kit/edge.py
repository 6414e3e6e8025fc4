"""What endpoints ask for: the service, a transaction, the caller, the purpose."""

from collections.abc import AsyncIterator
from typing import Annotated, cast

from fastapi import Depends, Header, Request
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Purpose
from doorstep.kit.auth import NotAuthenticated, Principal
from doorstep.kit.problems import Problem
from doorstep.kit.resources import Service


def service_of(request: Request) -> Service:
    """The service that answers `request`."""
    return cast("Service", request.app.state.service)


async def _service(request: Request) -> Service:
    return service_of(request)  # async, for FastAPI would run a plain function in a thread


async def _session(request: Request) -> AsyncIterator[AsyncSession]:
    async with service_of(request).database.transaction() as session:
        yield session


async def _principal(request: Request, authorization: Annotated[str, Header()] = "") -> Principal:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise NotAuthenticated("no token")
    return await service_of(request).authenticator.verify(token)


async def _purpose(doorstep_purpose: Annotated[str | None, Header()] = None) -> Purpose:
    known = "、".join(Purpose)
    if doorstep_purpose is None:
        zh, en = (
            f"读取个人信息须在 Doorstep-Purpose 头中写明用途：{known}。",
            f"Say why in the header Doorstep-Purpose: {known}.",
        )
        raise Problem(403, "purpose-missing", zh, en)
    try:
        return Purpose(doorstep_purpose)
    except ValueError:
        zh, en = f"Doorstep-Purpose 须为：{known}。", f"Doorstep-Purpose must be one of: {known}."
        raise Problem(403, "purpose-unknown", zh, en) from None


ServiceDep = Annotated[Service, Depends(_service)]
"""The service that answers."""

SessionDep = Annotated[AsyncSession, Depends(_session, scope="function")]
"""A transaction that is committed before the first byte of the answer leaves."""

PrincipalDep = Annotated[Principal, Depends(_principal)]
"""The authenticated caller."""

PurposeDep = Annotated[Purpose, Depends(_purpose)]
"""Why the caller reads personal data."""
