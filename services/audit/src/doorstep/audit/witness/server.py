"""A witness over HTTP: `POST /add-checkpoint` as C2SP tlog-witness describes it, `GET /vkey`, `GET /healthz`."""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from doorstep.audit.domain.checkpoint import Checkpoint, parse_body
from doorstep.audit.domain.cosignature import WitnessSigningKey
from doorstep.audit.domain.errors import Malformed, ProofRejected, SignatureRejected
from doorstep.audit.domain.note import Note, Signature, VerifierKey, open_note
from doorstep.audit.domain.submission import REQUEST_LIMIT, SIZE_TYPE, AddCheckpoint, OldSizeWrong
from doorstep.audit.witness.store import WitnessStore

log = logging.getLogger(__name__)

READ_WITHIN = 10.0


class LogUnknown(Exception):
    """The checkpoint is of a log that this witness does not watch."""


class WitnessServer:
    """Answers for one witness; `logs` are the verifier keys of the logs it watches, several of one name for one log."""

    def __init__(
        self,
        store: WitnessStore,
        key: WitnessSigningKey,
        logs: Sequence[VerifierKey],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Cosign with `key` and remember in `store`."""
        self._store = store
        self._key = key
        self._logs = list(logs)
        self._clock = clock

    def application(self) -> web.Application:
        """The routes."""
        made = web.Application(client_max_size=REQUEST_LIMIT)
        made.router.add_post("/add-checkpoint", self._add_checkpoint)
        made.router.add_get("/vkey", self._vkey)
        made.router.add_get("/healthz", self._healthz)
        return made

    async def _vkey(self, _: web.Request) -> web.Response:
        return web.Response(text=f"{self._key.verifier}\n")

    async def _healthz(self, _: web.Request) -> web.Response:
        try:
            await asyncio.to_thread(self._store.cosigned)
        except sqlite3.Error as error:
            return _away(error)
        return web.Response(text="ok\n")

    async def _add_checkpoint(self, request: web.Request) -> web.Response:
        try:
            data = await _read(request)
            # One after the other in the store, each to its end: an answer that nobody waits for changes nothing.
            signature = await asyncio.shield(asyncio.to_thread(self._cosign, data))
        except Malformed as error:
            return _answer(400, f"请求有误：{error}", f"Malformed: {error}")
        except LogUnknown:
            return _answer(404, "本见证方不见证该日志。", "This witness does not watch that log.")
        except SignatureRejected as error:
            return _answer(403, f"签名无效：{error}", f"Not signed by the log: {error}")
        except OldSizeWrong as wrong:
            return web.Response(status=409, body=f"{wrong.size}\n".encode(), headers={"Content-Type": SIZE_TYPE})
        except ProofRejected as error:
            return _answer(422, f"与已见证的检查点不一致：{error}", f"Not what was cosigned grew into: {error}")
        except sqlite3.Error as error:
            return _away(error)
        return web.Response(text=f"{signature.line()}\n")

    def _cosign(self, data: bytes) -> Signature:
        asked = AddCheckpoint.parse(data)
        offered, note = self._open(asked.note)
        return self._store.cosign(replace(asked, note=note), offered, self._key, self._clock)

    def _open(self, data: bytes) -> tuple[Checkpoint, bytes]:
        """The checkpoint of a log that is watched, and its note with the signatures of trusted keys alone."""
        note = Note.parse(data)
        checkpoint = parse_body(note.text)
        keys = {(key.name, key.key_id): key for key in self._logs if key.name == checkpoint.origin}
        if not keys:
            raise LogUnknown
        open_note(data, keys.values())
        trusted = tuple(one for one in note.signatures if (one.name, one.key_id) in keys)
        return checkpoint, Note(note.text, trusted).encode()


async def _read(request: web.Request) -> bytes:
    """The body, whole; raises Malformed."""
    try:
        async with asyncio.timeout(READ_WITHIN):
            return await request.read()
    except TimeoutError as error:
        raise Malformed("request: it did not come in time") from error
    except (web.RequestPayloadError, ConnectionResetError) as error:
        raise Malformed("request: it did not come whole") from error


def is_worth_a_line(record: logging.LogRecord) -> bool:
    """Whether a log line of the HTTP server tells more than that somebody does not speak HTTP."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError | web.RequestPayloadError))


def _away(error: sqlite3.Error) -> web.Response:
    log.error("the store fails: %s", type(error).__name__)
    return _answer(503, "暂时无法存储，请稍后再试。", "Nothing can be stored now; try again later.")


def _answer(status: int, chinese: str, english: str) -> web.Response:
    return web.Response(status=status, text=f"{chinese}\n{english}\n")
