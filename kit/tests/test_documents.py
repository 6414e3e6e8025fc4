"""The door lets documents in as what they are, where they are sent to, and nowhere else."""

import asyncio
from typing import Any

import orjson
import pytest

from doorstep.contracts.documents import DOCUMENT_BYTES
from doorstep.kit.door import BODY_BYTES, LARGE_IN_FLIGHT, Door

PLACE = "/api/departments/fire/requests/1/documents/2"
PDF = b"application/pdf"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers how many bytes came."""
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(len(body)).encode()})


async def ask(door: Door, method: str, path: str, kind: bytes, *pieces: bytes, until: Any = None) -> tuple[int, str]:
    """Status, and the code of the problem or what was answered; the body comes in pieces, the last when it may."""
    sent: list[Any] = []
    said = [{"type": "http.request", "body": one, "more_body": True} for one in pieces]

    async def receive() -> Any:
        if said:
            return said.pop(0)
        if until is not None:
            await until.wait()
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", kind)] if kind else []
    scope = {"type": "http", "method": method, "path": path, "headers": headers, "query_string": b""}
    await door(scope, receive, send)
    body = sent[1]["body"].decode()
    return sent[0]["status"], orjson.loads(body)["type"].rpartition(":")[2] if body.startswith("{") else body


@pytest.mark.parametrize("kind", [PDF, b"image/png", b"image/jpeg", b"IMAGE/PNG; charset=x"])
async def test_a_document_comes_through_whole_in_every_form_and_is_no_json(kind) -> None:
    door = Door(echo, service="kit")
    assert await ask(door, "PUT", PLACE, kind, b"{" * 99, b"\xff" * BODY_BYTES) == (200, str(99 + BODY_BYTES))


@pytest.mark.parametrize(
    ("method", "path", "kind", "size", "told"),
    [
        ("PUT", PLACE, PDF, DOCUMENT_BYTES, (200, str(DOCUMENT_BYTES))),
        ("PUT", PLACE, PDF, DOCUMENT_BYTES + 1, (413, "too-large")),
        ("PUT", PLACE, b"application/json", 2, (415, "content-type")),
        ("PUT", PLACE, b"text/html", 2, (415, "content-type")),
        ("PUT", PLACE, b"", 2, (415, "content-type")),
        ("POST", PLACE, PDF, 2, (415, "content-type")),
        ("PUT", f"{PLACE}/entered-in-error", PDF, 2, (415, "content-type")),
        ("PUT", "/api/departments/fire/endpoint", PDF, 2, (415, "content-type")),
        ("PUT", "/api/departments/fire/endpoint", b"application/json", BODY_BYTES + 1, (413, "too-large")),
        ("PUT", "/api/records/departments/a/requests/b/documents/c", PDF, 2, (415, "content-type")),
    ],
)
async def test_only_there_and_only_so_large(method, path, kind, size, told) -> None:
    door = Door(echo, service="kit")
    whole = b"x" * size
    pieces = [whole[start : start + 65_536] for start in range(0, size, 65_536)]
    assert await ask(door, method, path, kind, *pieces) == told


async def test_so_many_at_once_and_others_are_let_in_meanwhile() -> None:
    door, whole = Door(echo, service="kit"), asyncio.Event()
    waiting = [asyncio.create_task(ask(door, "PUT", PLACE, PDF, b"%PDF-", until=whole)) for _ in range(LARGE_IN_FLIGHT)]
    await asyncio.sleep(0)
    assert await ask(door, "PUT", PLACE, PDF, b"%PDF-") == (503, "busy")
    assert (await ask(door, "GET", "/api/departments/fire/requests", b""))[0] == 200
    whole.set()
    assert {status for status, _ in await asyncio.gather(*waiting)} == {200}
    assert (await ask(door, "PUT", PLACE, PDF, b"%PDF-"))[0] == 200
