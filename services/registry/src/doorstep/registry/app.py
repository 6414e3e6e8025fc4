"""The HTTP edge of the registry, composed."""

from fastapi import FastAPI

from doorstep.kit.service import Service, Settings, compose, create_app
from doorstep.registry.api import break_glass, erasures, files

NAME = "registry"


def new_service() -> Service:
    """The resources of the service, as its environment describes them."""
    return compose(NAME, Settings())


def new_app(service: Service) -> FastAPI:
    """The HTTP edge of `service`."""
    return create_app(service, files.router, erasures.router, break_glass.router, title="Doorstep registry")
