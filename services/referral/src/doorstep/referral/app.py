"""The HTTP edge of referral, composed."""

from fastapi import FastAPI

from doorstep.kit.service import Service, compose, create_app
from doorstep.referral.api import (
    arbiter,
    board,
    complaints,
    conferences,
    deadlines,
    departments,
    directories,
    documents,
    endpoints,
    feeds,
    fhir,
    figures,
    follow,
    looks,
    monthly,
    numbered_notices,
    office,
    orders,
    own_complaints,
    parts,
    residents,
    station,
    templates,
)
from doorstep.referral.api.refusals import answer_refusal
from doorstep.referral.errors import Refusal
from doorstep.referral.operations.waiting import WaitingRoom, announcer
from doorstep.referral.settings import ReferralSettings

NAME = "referral"


def new_service() -> Service:
    """The resources of the service, as its environment describes them."""
    service = compose(NAME, ReferralSettings())
    telling = announcer(service.database)
    service.database.on_commit.append(telling.announce)
    service.closers.append(telling.close)
    return service


def new_app(service: Service) -> FastAPI:
    """The HTTP edge of `service`."""
    routers = (
        departments.router, fhir.router, feeds.router, endpoints.router, station.router, parts.router,
        conferences.router, figures.router, follow.router, residents.router, looks.router, directories.router,
        monthly.router, board.router, office.router, numbered_notices.router, deadlines.router,
        own_complaints.router, complaints.router, documents.router, templates.router, orders.router,
        arbiter.router,
    )  # fmt: skip
    app = create_app(service, *routers, title="Doorstep referral")
    app.add_exception_handler(Refusal, answer_refusal)
    app.state.listeners = board.Listeners()
    app.state.waiting_room = room = WaitingRoom(service.database, service.stopping)
    service.database.on_commit.append(room.heard)
    service.closers.insert(0, room.close)
    return app
