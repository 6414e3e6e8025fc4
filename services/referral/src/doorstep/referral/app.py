"""The HTTP edge of referral, composed."""

from fastapi import FastAPI

from doorstep.kit.service import Service, Settings, compose, create_app
from doorstep.referral.api import departments, follow, station
from doorstep.referral.api.refusals import answer_refusal
from doorstep.referral.errors import Refusal

NAME = "referral"


def new_service() -> Service:
    """The resources of the service, as its environment describes them."""
    return compose(NAME, Settings())


def new_app(service: Service) -> FastAPI:
    """The HTTP edge of `service`."""
    routers = (departments.router, station.router, follow.router)
    app = create_app(service, *routers, title="Doorstep referral")
    app.add_exception_handler(Refusal, answer_refusal)
    return app
