"""Commands that may be sent twice: the client makes the id, the first one counts, the same one is answered again."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.kit.auth import Principal
from doorstep.kit.db import run
from doorstep.kit.vault import Vault

_CLAIM = """
    INSERT INTO command (id, principal, digest, answer)
    VALUES (:id, :principal, :digest, CAST(CAST(:answer AS text) AS jsonb))
    ON CONFLICT (id) DO NOTHING RETURNING id
"""
_LOOK = text("SELECT principal, digest, answer, erased_at FROM command WHERE id = :id")
_ERASE = "UPDATE command SET answer = NULL, digest = '', erased_at = coalesce(erased_at, now())"
_THAT_NAME = """
    WHERE CASE WHEN jsonb_typeof(answer) = 'object' THEN EXISTS (
        SELECT FROM jsonb_each_text(answer) AS a (name, value) WHERE a.value = ANY(CAST(:ids AS text[]))
    ) END
"""
_KEEP = "UPDATE command SET answer = CAST(CAST(:answer AS text) AS jsonb) WHERE id = :id"


class IdReused(Exception):
    """The id belongs to a command with another body, or of somebody else."""


class IdOfAnother(IdReused):
    """The id belongs to a command of somebody else."""


class Erased(Exception):
    """The command is known, and what it made was erased."""


@dataclass(frozen=True)
class Replay:
    """The command was carried out before; `answer` is what was kept of its answer: ids and versions, nothing else."""

    answer: Any


def digest_of(vault: Vault, body: BaseModel, *about: UUID) -> bytes:
    """By which a command is known again: what it asks, and of what."""
    return vault.digest(" ".join([*map(str, about), body.model_dump_json()]).encode())


async def claim(
    session: AsyncSession, principal: Principal, command_id: UUID, digest: bytes, *, answer: Any = None
) -> Replay | None:
    """Claim `command_id` for this transaction; a Replay if the same principal sent the same body before.

    `digest` is what `digest_of` gives. `answer` is kept if it is known already; else see `keep`. Raises IdReused, or
    Erased. A second sender waits for the first.
    """
    kept = None if answer is None else orjson.dumps(answer).decode()
    values = {"id": command_id, "principal": principal.subject, "digest": digest, "answer": kept}
    if await run(session, _CLAIM, values):
        return None
    owner, known, answer, erased_at = (await session.execute(_LOOK, {"id": command_id})).one()
    if owner != principal.subject:
        raise IdOfAnother
    if erased_at is not None:
        raise Erased
    if bytes(known) != digest:
        raise IdReused
    return Replay(answer)


async def keep(session: AsyncSession, command_id: UUID, answer: Any) -> None:
    """Keep `answer`, which names nothing personal, for a command that comes again."""
    await run(session, _KEEP, {"id": command_id, "answer": orjson.dumps(answer).decode()})


async def erase(session: AsyncSession, command_ids: Iterable[UUID]) -> None:
    """From now on these commands are answered as erased; nothing is kept of what they said."""
    await run(session, f"{_ERASE} WHERE id = ANY(CAST(:ids AS uuid[]))", {"ids": list(command_ids)})


async def erase_about(session: AsyncSession, ids: Iterable[UUID]) -> None:
    """The same for all commands whose answer names one of `ids`, such as a request's."""
    values = {"ids": [str(one) for one in ids]}
    if values["ids"]:
        await run(session, f"{_ERASE} {_THAT_NAME}", values)


async def forget(session: AsyncSession, principal: str) -> None:
    """Delete the commands of somebody who is named by a key to a subject; sent again they are new."""
    await run(session, "DELETE FROM command WHERE principal = :principal", {"principal": principal})
