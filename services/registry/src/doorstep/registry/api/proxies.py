"""HTTP: whom a resident lets follow their matters for them, by the resident's own code."""

from datetime import UTC, datetime

from fastapi import APIRouter

from doorstep.kit.service import ServiceDep, SessionDep, Visibility, visible_to
from doorstep.registry.operations.proxies import name_proxy
from doorstep.registry.schemas import ProxyBody, ProxyKept

router = APIRouter(tags=["residents"])


@router.put("/api/proxies")
@visible_to(Visibility.SUBJECT)
async def put_proxy(body: ProxyBody, service: ServiceDep, session: SessionDep) -> ProxyKept:
    """Name a proxy in the place of the one before, who has a code of their own from now on, or take it back.

    It opens what `scopes` say and nothing on violence, legal aid or health; nobody can read whether there is one.
    """
    until = None if body.proxy is None else body.proxy.ends_at
    scopes = () if body.proxy is None else body.proxy.scopes
    now = datetime.now(UTC)
    code = await name_proxy(session, vault=service.vault, code=body.code, scopes=scopes, until=until, now=now)
    return ProxyKept(proxy_code=code, until=until)
