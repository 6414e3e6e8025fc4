"""Every endpoint says who sees what it answers, in the OpenAPI documents, and the code beside it agrees."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute

from doorstep.contracts.generate import FOLDER
from doorstep.contracts.topics import SERVICES
from doorstep.gateway.api import dead_letters, description, forward, journeys, pages
from doorstep.kit.edge import Visibility, VisibilityMissing, visibility_of, visible_to
from doorstep.kit.service import OPENAPI_VISIBILITY, Service, create_app

ROOT = Path(__file__).parents[2]
WITHOUT_A_TOKEN = {Visibility.PUBLIC, Visibility.SUBJECT}
BY_PORTAL = "/api/dumonitor/"
NOBODY = cast("Service", SimpleNamespace(name="nobody"))


def operations() -> list[tuple[str, str, dict]]:
    """Every operation that any service publishes, with its method and path."""
    found = []
    for service in SERVICES:
        document = json.loads((ROOT / FOLDER / "openapi" / f"{service}.json").read_text(encoding="utf-8"))
        for path, methods in document["paths"].items():
            found += [(path, method, operation) for method, operation in methods.items()]
    return found


def test_every_operation_names_one_visibility_of_the_closed_list() -> None:
    assert len(operations()) > 40
    assert {operation.get(OPENAPI_VISIBILITY) for _, _, operation in operations()} <= set(Visibility)


def test_who_sees_it_has_to_say_who_they_are_unless_it_is_public_or_by_code() -> None:
    wrong = [
        f"{method} {path}"
        for path, method, operation in operations()
        if (Visibility(operation[OPENAPI_VISIBILITY]) in WITHOUT_A_TOKEN and not path.startswith(BY_PORTAL))
        == ("authorization" in {one["name"] for one in operation.get("parameters", ()) if one["in"] == "header"})
        and not path.endswith("/heartbeat")
    ]
    assert wrong == []


def test_what_the_gateway_answers_besides_is_declared_and_one_route_alone_hands_on() -> None:
    routers = (dead_letters.router, description.router, journeys.router, pages.router, forward.router)
    routes = [route for router in routers for route in router.routes]
    plain = [route for route in routes if not isinstance(route, APIRoute)]
    assert [route.endpoint for route in plain] == [forward.forward]
    assert all(visibility_of(route.endpoint) in Visibility for route in routes if isinstance(route, APIRoute))


def test_an_endpoint_that_does_not_declare_its_visibility_is_refused_by_name() -> None:
    router = APIRouter()

    @router.get("/told")
    @visible_to(Visibility.STATION)
    async def told() -> None: ...

    shown = create_app(NOBODY, router, title="Told").openapi()["paths"]["/told"]["get"]
    assert shown[OPENAPI_VISIBILITY] == "station"

    @router.get("/untold")
    async def untold() -> None: ...

    with pytest.raises(VisibilityMissing, match="untold"):
        create_app(NOBODY, router, title="Untold")
