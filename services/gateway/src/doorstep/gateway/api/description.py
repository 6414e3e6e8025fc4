"""HTTP: one OpenAPI document for the whole front door."""

import asyncio
from typing import Any, cast

import aiohttp
import orjson
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from doorstep.gateway.domain.routes import BEHIND, outside
from doorstep.gateway.settings import GatewaySettings
from doorstep.kit.service import Visibility, visible_to

router = APIRouter(include_in_schema=False)


@router.get("/openapi.json")
@visible_to(Visibility.PUBLIC)
async def openapi(request: Request) -> JSONResponse:
    """The paths of every service that answers now, each schema under its service's name."""
    settings: GatewaySettings = request.app.state.service.settings
    client: aiohttp.ClientSession = request.app.state.client()
    fetched = await asyncio.gather(*(_fetch(client, settings.address_of(service)) for service in BEHIND))
    documents = dict(zip(BEHIND, fetched, strict=True))
    return JSONResponse(merged({"gateway": request.app.openapi(), **documents}))


async def _fetch(client: aiohttp.ClientSession, address: str) -> dict[str, Any] | None:
    try:
        async with client.get(f"{address}/openapi.json") as answer:
            return cast("dict[str, Any]", await answer.json())
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return None


def merged(documents: dict[str, dict[str, Any] | None]) -> dict[str, Any]:
    """One document of many: schemas and operations are renamed to `<service>.<name>`, paths stay."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for service, document in documents.items():
        if document is None:
            continue
        text = orjson.dumps(document)
        for mark in (b"#/components/schemas/", b'"operationId":"'):
            text = text.replace(mark, mark + service.encode() + b".")
        renamed = orjson.loads(text)
        paths |= {outside(service, path): item for path, item in renamed.get("paths", {}).items()}
        found = renamed.get("components", {}).get("schemas", {})
        schemas |= {f"{service}.{name}": schema for name, schema in found.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Doorstep", "version": "1"},
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": dict(sorted(schemas.items()))},
    }
