"""The HTTP edge of the gateway, composed."""

from collections.abc import Callable
from typing import cast

import aiohttp
from fastapi import FastAPI

from doorstep.gateway.api import (
    dead_letters,
    description,
    forward,
    journeys,
    own_sessions,
    pages,
    residents,
    sign_in,
)
from doorstep.gateway.api.front import Front, Sessions
from doorstep.gateway.api.issuer import Issuer
from doorstep.gateway.domain.pace import Pace
from doorstep.gateway.settings import GatewaySettings
from doorstep.kit.service import Service, compose, create_app

NAME = "gateway"
_CONNECTIONS = 1024  # most of them wait for a feed's next message; who works is counted by the door
_KEPT_OPEN = 4  # seconds; less than the five after which a service closes, so that no request meets a closing one


def new_service() -> Service:
    """The resources of the service, as its environment describes them."""
    return compose(NAME, GatewaySettings())


def new_app(service: Service) -> FastAPI:
    """The HTTP edge of `service`."""
    routers = (
        journeys.router, residents.router, sign_in.router, own_sessions.router, pages.router, description.router,
        dead_letters.router, forward.router,
    )  # fmt: skip
    app = create_app(service, *routers, title="Doorstep", metrics=False, openapi_url=None)
    app.state.client = _client(service)
    settings = cast("GatewaySettings", service.settings)
    issuer = Issuer(settings, app.state.client, lambda: service.authenticator)
    app.state.sessions = Sessions(service, settings, issuer)
    app.state.code_pace = residents.CodePace(settings.limit_codes_per_address)
    app.state.guesses = Pace(settings.limit_guesses_per_address)
    app.add_middleware(Front, service=service, settings=settings, sessions=app.state.sessions)
    return app


def _client(service: Service) -> Callable[[], aiohttp.ClientSession]:
    """Gives the one HTTP client, made when it is first asked for and closed with the service."""
    made: list[aiohttp.ClientSession] = []

    def client() -> aiohttp.ClientSession:
        if not made:
            made.append(
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(limit=_CONNECTIONS, keepalive_timeout=_KEPT_OPEN),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    timeout=aiohttp.ClientTimeout(total=20, connect=3),
                    auto_decompress=False,
                )
            )
        return made[0]

    async def close() -> None:
        for one in made:
            await one.close()

    service.closers.insert(0, close)
    return client
