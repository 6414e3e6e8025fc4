"""The HTTP edge of triage, composed."""

from fastapi import FastAPI

from doorstep.contracts.facts import CATALOGUE
from doorstep.contracts.needs import NEED_TYPES
from doorstep.kit.service import Service, create_app
from doorstep.risk.api import pack_router, router
from doorstep.risk.domain.compiler import compile_pack
from doorstep.risk.domain.pack import published_pack


def make_app(service: Service) -> FastAPI:
    """The reviewer's API and the public rule pack. Raises InvalidPack."""
    pack = compile_pack(published_pack(), CATALOGUE, NEED_TYPES)
    return create_app(service, router, pack_router(pack), title="Triage 研判")
