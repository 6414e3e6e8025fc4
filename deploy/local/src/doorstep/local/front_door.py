"""A client of the front door: what a collector, a reviewer, a resident and a department ask of it."""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from random import SystemRandom
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import aiohttp
import orjson

from doorstep.local.records import new_id

Body = dict[str, Any]
_RANDOM = SystemRandom()
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_WAIT = aiohttp.ClientTimeout(total=30)


class Refused(Exception):
    """The front door answered with a problem; `status` and `problem` are what it said."""

    def __init__(self, status: int, problem: Body) -> None:
        super().__init__(f"{status} {problem.get('type', '')} {problem.get('detail', '')} {problem.get('errors', '')}")
        self.status = status
        self.problem = problem


def fresh_id() -> UUID:
    """A UUIDv7 of now, for a command."""
    return new_id(_RANDOM, datetime.now(UTC))


def why(path: str, purpose: str, case: str | None = None) -> dict[str, str]:
    """The headers that say why something is read: by itself the last id in its address is the case."""
    ids = _ID.findall(path)
    case = case or (ids[-1] if ids else None)
    return {"Doorstep-Purpose": purpose} | ({"Doorstep-Case": case} if case else {})


class FrontDoor:
    """Calls as one person or system, whose token is asked for anew at each call."""

    def __init__(self, address: str, token: Callable[[], str] | None = None, *, language: str = "zh") -> None:
        """Call `address`, with what `token` gives, or without a token."""
        self._token = token
        self._language = language
        self._client = aiohttp.ClientSession(address, timeout=_WAIT, connector=aiohttp.TCPConnector(limit=64))

    async def __aenter__(self) -> Self:
        """Nothing is connected before the first call."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self._client.close()

    async def call(
        self, method: str, path: str, body: Body | None = None, *, headers: Mapping[str, str] | None = None
    ) -> tuple[Body, str | None]:
        """The answer's body and ETag. Raises Refused for every answer but success."""
        sent = {"Accept-Language": self._language, **(headers or {})}
        if self._token is not None:
            sent["Authorization"] = f"Bearer {self._token()}"
        if body is not None:
            sent["Content-Type"] = "application/json"
        data = None if body is None else orjson.dumps(body)
        async with self._client.request(method, path, data=data, headers=sent) as answer:
            content: Body = orjson.loads(await answer.read() or b"{}")
            if answer.status >= 400:
                raise Refused(answer.status, content)
            return content, answer.headers.get("ETag")

    async def read(self, path: str, purpose: str, case: str | None = None) -> Body:
        """What lies at `path`, read for `purpose` and for `case`: for itself if no other is named."""
        return (await self.call("GET", path, headers=why(path, purpose, case)))[0]

    async def hand_in(self, record: Body) -> Body:
        """Hand in a record; gives the receipts."""
        return (await self.call("POST", "/api/records", record))[0]

    async def decide(self, need_id: str, decision: str, reason: str) -> Body:
        """Confirm or reject a suggested need."""
        body = {"id": str(fresh_id()), "decision": decision, "reason": reason}
        return (await self.call("POST", f"/api/needs/{need_id}/decision", body))[0]

    async def publish_key(self, department: str, public_key: Body) -> None:
        """Publish the key that the department's feed is to be encrypted for."""
        await self.call("PUT", f"/api/departments/{department}/keys/{public_key['kid']}", public_key)

    async def look_up(self, department: str, ref: str) -> tuple[Body, str]:
        """A department's request, and its version as an ETag."""
        path = f"/api/departments/{department}/requests/{ref}"
        found, etag = await self.call("GET", path, headers=why(path, "service"))
        return found, etag or ""

    async def move(self, department: str, ref: str, etag: str, to: str, **said: str) -> str:
        """A department's step on the version `etag`; gives the new version's."""
        path = f"/api/departments/{department}/requests/{ref}/transitions"
        body = {"id": str(fresh_id()), "to": to, **said}
        return (await self.call("POST", path, body, headers={"If-Match": etag}))[1] or ""

    async def follow(self, code: str) -> list[Body]:
        """The requests behind a follow code."""
        found: list[Body] = (await self.call("GET", f"/api/follow/{code}"))[0]["requests"]
        return found

    async def rate(self, code: str, ref: str, *, solved: bool, stars: int) -> Body:
        """Rate a closed request."""
        body = {"id": str(fresh_id()), "ref": ref, "solved": solved, "stars": stars}
        return (await self.call("POST", f"/api/follow/{code}/ratings", body))[0]

    async def journey(self, record_id: str) -> AsyncIterator[Body]:
        """The steps of a record's journey from its beginning, live, until the server ends the stream."""
        path = f"/api/journeys/{record_id}/events"
        headers = {**why(path, "follow-up"), "Authorization": f"Bearer {self._token() if self._token else ''}"}
        timeout = aiohttp.ClientTimeout(total=None, sock_read=60)
        async with self._client.get(path, headers=headers, timeout=timeout) as answer:
            if answer.status != 200:
                raise Refused(answer.status, orjson.loads(await answer.read() or b"{}"))
            async for line in answer.content:
                if line.startswith(b"data: "):
                    yield orjson.loads(line[6:])

    async def part(self, path: str) -> bytes | None:
        """A part of the audit log, such as `checkpoint`; None if it is not there."""
        async with self._client.get(f"/api/log/{path}") as answer:
            if answer.status == 404:
                return None
            answer.raise_for_status()
            return await answer.read()
