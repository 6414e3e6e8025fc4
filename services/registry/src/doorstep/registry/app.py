"""The HTTP edge of the registry, composed."""

from fastapi import FastAPI

from doorstep.kit.service import Service, Settings, compose, create_app
from doorstep.registry.api import (
    break_glass,
    departures,
    erasures,
    exclusions,
    files,
    guardians,
    plans,
    proxies,
)
from doorstep.registry.api.roster import Roster

NAME = "registry"


def new_service() -> Service:
    """The resources of the service, as its environment describes them."""
    return compose(NAME, Settings())


def new_app(service: Service) -> FastAPI:
    """The HTTP edge of `service`."""
    routers = (
        files.router,
        erasures.router,
        exclusions.router,
        proxies.router,
        guardians.router,
        departures.router,
        break_glass.router,
        plans.router,
        plans.own,
    )
    app = create_app(service, *routers, title="Doorstep registry")
    app.state.roster = Roster(service)
    return app
