"""Composes the log's service and its HTTP edge."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from doorstep.audit.api import router
from doorstep.audit.settings import LogSettings, settings_of
from doorstep.kit.service import Service, compose, create_app


def compose_log() -> Service:
    """The log's resources, from the environment."""
    return compose("audit", LogSettings())


def new_app(service: Service) -> FastAPI:
    """The log over HTTP; it does not start without a verifier key."""

    @asynccontextmanager
    async def with_key(app: FastAPI) -> AsyncIterator[None]:
        app.state.verifier_key = settings_of(service).verifier_key()
        yield

    return create_app(service, router, title="Doorstep audit log", lifespan=with_key)
