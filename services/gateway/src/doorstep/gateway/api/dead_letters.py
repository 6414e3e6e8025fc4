"""HTTP: the dead letters of the gateway itself, where those of the services behind it are: under its name."""

from fastapi import APIRouter
from fastapi.routing import APIRoute

from doorstep.kit import operators

_ALL, _OWN = "/api/dead-letters", "/api/dead-letters/gateway"


def _under_its_name() -> APIRouter:
    own = APIRouter(tags=["operators"])
    for route in operators.router.routes:
        if isinstance(route, APIRoute):
            path = route.path.replace(_ALL, _OWN, 1)
            own.add_api_route(path, route.endpoint, methods=sorted(route.methods or ()), status_code=route.status_code)
    return own


router = _under_its_name()
