"""Composes the log's service and its HTTP edge."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI

from doorstep.audit.api import conduct, deferrals, entries, log, portal, usages
from doorstep.audit.api.inquiries import inquiry_router
from doorstep.audit.operations.pacing import Pace
from doorstep.audit.operations.submitting import submit_own
from doorstep.audit.queries import Trusted
from doorstep.audit.settings import LogSettings, settings_of
from doorstep.kit.service import Service, compose, create_app


def compose_log() -> Service:
    """The log's resources, from the environment; what its operators read is logged here, without the broker."""
    service = compose("audit", LogSettings())
    service.record = partial(submit_own, vault=service.vault)
    return service


def new_app(service: Service) -> FastAPI:
    """The log over HTTP; it does not start without a verifier key, or with wrong rules of conduct."""

    @asynccontextmanager
    async def with_key(app: FastAPI) -> AsyncIterator[None]:
        settings = settings_of(service)
        app.state.conduct = settings.conduct()
        app.state.verifier_keys = settings.verifier_keys()
        keys = tuple(str(witness.key) for witness in settings.witnesses())
        app.state.trusted = Trusted(keys, settings.log_quorum)
        yield

    routers = (
        log.router,
        entries.router,
        conduct.router,
        inquiry_router(service),
        usages.router,
        portal.router,
        deferrals.router,
    )
    app = create_app(service, *routers, title="Doorstep audit log", lifespan=with_key)
    app.state.pace = Pace()
    return app
