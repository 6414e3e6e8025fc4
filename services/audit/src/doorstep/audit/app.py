"""Composes the log's service and its HTTP edge."""

from fastapi import FastAPI

from doorstep.audit.api import router
from doorstep.audit.settings import LogSettings, settings_of
from doorstep.kit.service import Service, compose, create_app


def compose_log() -> Service:
    """The log's resources, from the environment."""
    return compose("audit", LogSettings())


def build_app(service: Service) -> FastAPI:
    """The log over HTTP."""
    app = create_app(service, router, title="Doorstep audit log")
    app.state.verifier_key = settings_of(service).verifier_key()
    return app
