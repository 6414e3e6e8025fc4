"""The peer's front door: hands requests on."""

import aiohttp
from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

router = APIRouter()
_PREFIXES = {"records": "intake", "departments": "referral"}
_ON = ("authorization", "content-type", "if-match", "doorstep-purpose", "doorstep-case")


@router.api_route("/api/{path:path}", methods=["GET", "POST", "PUT"])
async def forward(path: str, request: Request) -> Response:
    """Hand a request on to the service that answers it."""
    service = _PREFIXES.get(path.partition("/")[0])
    if service is None:
        raise HTTPException(404)
    state = request.app.state
    if not hasattr(state, "client"):
        state.client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=128))
    url = f"{state.peer.settings.services[service]}/api/{path}"
    headers = {name: request.headers[name] for name in _ON if name in request.headers}
    async with state.client.request(request.method, url, data=await request.body() or None, headers=headers) as answer:
        content = await answer.read()
        back = {name: answer.headers[name] for name in ("content-type", "etag") if name in answer.headers}
        return Response(content, answer.status, headers=back)
