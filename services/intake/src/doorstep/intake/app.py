"""The HTTP edge of intake, composed."""

from fastapi import FastAPI

from doorstep.intake.api import router
from doorstep.kit.service import Service, Settings, compose, create_app

NAME = "intake"


def new_service() -> Service:
    """The resources of the service, as its environment describes them."""
    return compose(NAME, Settings())


def new_app(service: Service) -> FastAPI:
    """The HTTP edge of `service`."""
    return create_app(service, router, title="Doorstep intake")
