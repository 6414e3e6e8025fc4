"""Runs one process of the peer: python -m bench.peer gateway | intake | registry | risk | referral."""

import sys

from fastapi import FastAPI

from bench.peer import gateway, intake, referral
from bench.peer.intake import VISITS
from bench.peer.referral import on_needs
from bench.peer.registry import FACTS, on_visit
from bench.peer.risk import NEEDS, on_facts
from bench.peer.running import Peer, new_app, serve
from bench.peer.settings import PeerSettings


def compose(name: str, peer: Peer) -> FastAPI:
    """The process called `name`; raises KeyError."""
    consumed = {"registry": (VISITS, on_visit), "risk": (FACTS, on_facts), "referral": (NEEDS, on_needs)}
    app = new_app(peer, *consumed.get(name, ()))
    routers = {"gateway": gateway.router, "intake": intake.router, "referral": referral.router}
    if name in routers:
        app.include_router(routers[name])
    return app


if __name__ == "__main__":
    settings = PeerSettings()
    serve(compose(sys.argv[1], Peer(sys.argv[1], settings)), settings.port)
