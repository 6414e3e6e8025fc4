"""The key store's API: services ask for keys and have them destroyed, operators turn epochs.

Answers are JSON; what went wrong is an RFC 9457 problem. Nothing is answered without a token of the station's issuer,
and nothing but what a policy permits its holder; a refusal is in the journal before it is answered.
"""

import base64
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, Counter, generate_latest
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from doorstep.contracts.codes import Action
from doorstep.keystore.domain.night import due
from doorstep.keystore.epochs import Epochs
from doorstep.keystore.errors import NoSuchPlace
from doorstep.keystore.journal import Journal
from doorstep.keystore.places import Place, place_of
from doorstep.keystore.table import KeyTable
from doorstep.keystore.turning import Turning
from doorstep.kit.auth import Authenticator, NotAuthenticated, Principal
from doorstep.kit.db import DATABASE_ERRORS, is_away, is_conflict
from doorstep.kit.key_store import BATCH, MOST_SUBJECTS, packed_keys, unpacked_wanted
from doorstep.kit.keyset import NOBODY, SealBroken
from doorstep.kit.policy import Forbidden, Policy, Resource
from doorstep.kit.telemetry import REQUESTS, describe, places

log = logging.getLogger(__name__)

MOST_BYTES = 128 * 1024
KEYS_GIVEN = Counter("doorstep_keys_given_total", "Data keys given to services.")
TABLE = web.AppKey("table", KeyTable)
EPOCHS = web.AppKey("epochs", Epochs)
TURNING = web.AppKey("turning", Turning)
JOURNAL = web.AppKey("journal", Journal)
AUTHENTICATOR = web.AppKey("authenticator", Authenticator)
POLICY = web.AppKey("policy", Policy)
CALLER = web.RequestKey("caller", Principal)

_API = "/v1/"
_KEY = Resource("key")
_ACTIONS = {
    ("POST", "/v1/keys"): "give-keys",
    ("POST", "/v1/erased"): "tell-erased",
    ("GET", "/v1/erasures"): "tell-erased",
    ("POST", "/v1/erasures"): "destroy-key",
    ("POST", "/v1/journal"): "read-key-journal",
    ("GET", "/v1/epochs"): "see-key-epochs",
    ("POST", "/v1/epochs"): "begin-key-epoch",
}
_LOGGED = {"destroy-key": Action.DESTROY_DATA_KEY, "begin-key-epoch": Action.BEGIN_KEY_EPOCH}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Body = TypeVar("Body", bound=BaseModel)
Subjects = Annotated[list[UUID], Field(max_length=MOST_SUBJECTS)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class WantedKeys(_Asked):
    """Whose keys are wanted, and whether those without one get one."""

    subjects: Subjects
    create: bool = False


class WantedErased(_Asked):
    """Of whom it is asked whether they were erased."""

    subjects: Subjects


class WantedErasure(_Asked):
    """Whose key is to be destroyed."""

    subject: UUID


class WantedSince(_Asked):
    """Since when erasures are wanted."""

    since: AwareDatetime | None = None


class WantedEpoch(_Asked):
    """Where the key of the epoch is to lie; where the newest does if that is not said."""

    to: Place | None = None


class WantedLines(_Asked):
    """From which number on lines of the journal are wanted."""

    start: Annotated[int, Field(ge=0, lt=2**63)]


class Wrong(Exception):
    """What was sent cannot be read, or may not be asked."""

    def __init__(self, status: int, code: str, zh: str, en: str, at: str | None = None) -> None:
        """Answer `status` with the problem type `code` and a sentence in both languages; `at` is a JSON pointer."""
        super().__init__(code)
        self.status, self.code, self.sentence, self.at = status, code, f"{zh} {en}", at


def new_app(table: KeyTable, epochs: Epochs, turning: Turning, authenticator: Authenticator) -> web.Application:
    """The API, health and metrics. Raises PoliciesInvalid."""
    app = web.Application(middlewares=[_answered], client_max_size=MOST_BYTES)
    app[TABLE], app[EPOCHS], app[TURNING], app[AUTHENTICATOR] = table, epochs, turning, authenticator
    app[POLICY], app[JOURNAL] = Policy(), Journal(table.database)
    app.add_routes(
        [
            web.post("/v1/keys", give_keys),
            web.post("/v1/erased", tell_erased),
            web.post("/v1/erasures", erase),
            web.get("/v1/erasures", tell_erased_since, allow_head=False),
            web.post("/v1/journal", show_journal),
            web.get("/v1/epochs", show_epochs, allow_head=False),
            web.post("/v1/epochs", begin_epoch),
            web.get("/healthz", healthz),
            web.get("/readyz", readyz),
            web.get("/metrics", metrics),
        ]
    )
    return app


async def give_keys(request: web.Request) -> web.Response:
    """The data keys of many subjects, in one call: packed if they were asked for so, else in JSON."""
    packed = request.content_type == BATCH
    wanted = _unpacked(await request.read()) if packed else await _body(request, WantedKeys)
    found = await request.app[TABLE].keys(wanted.subjects, create=wanted.create)
    KEYS_GIVEN.inc(len(found))
    if packed:
        return web.Response(body=packed_keys(map(found.get, wanted.subjects)), content_type=BATCH)
    keys = [
        {"subject": str(one), "version": version, "algorithm": algorithm, "key": base64.b64encode(key).decode()}
        for one, (version, algorithm, key) in found.items()
    ]
    return _json({"keys": keys})


async def tell_erased(request: web.Request) -> web.Response:
    """Who of many subjects was erased."""
    wanted = await _body(request, WantedErased)
    return _json({"erased": [str(one) for one in await request.app[TABLE].erased(wanted.subjects)]})


async def tell_erased_since(request: web.Request) -> web.Response:
    """Who was erased since some moment."""
    wanted = _read(WantedSince, json.dumps(dict(request.query)).encode())
    until, subjects = await request.app[TABLE].erased_since(wanted.since)
    return _json({"until": until.isoformat(), "erased": [str(one) for one in subjects]})


async def erase(request: web.Request) -> web.Response:
    """Destroy a subject's key; again, and nothing changes."""
    subject = (await _body(request, WantedErasure)).subject
    if subject == NOBODY:
        raise Wrong(422, "nobody", "不能删除“无人”。", "Nobody cannot be erased.", "/subject")
    await request.app[TABLE].destroy(subject, by=request[CALLER])
    return _json({})


async def show_journal(request: web.Request) -> web.Response:
    """The lines of the journal from some number on."""
    lines = await request.app[JOURNAL].lines((await _body(request, WantedLines)).start)
    told = [{**one._asdict(), "id": str(one.id), "at": one.at.isoformat()} for one in lines]
    return _json({"lines": told})


async def show_epochs(request: web.Request) -> web.Response:
    """The epochs that have not ended, the newest first, and when the next is due."""
    return _json(await _epochs(request))


async def begin_epoch(request: web.Request) -> web.Response:
    """Begin an epoch now; keys are wrapped anew after the answer."""
    wanted = await _body(request, WantedEpoch)
    try:
        await request.app[TURNING].ask(to=wanted.to, by=request[CALLER])
    except NoSuchPlace:
        sentences = ("密钥库没有配置这个存放处。", "The key store is told of no such place.")
        raise Wrong(409, "no-such-place", *sentences, "/to") from None
    return _json(await _epochs(request), 202)


async def healthz(_: web.Request) -> web.Response:
    """That it runs."""
    return _json({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """Whether its database answers and its key-encryption keys are there."""
    try:
        await request.app[EPOCHS].check()
    except DATABASE_ERRORS as error:
        log.warning("not ready", extra={"error": describe(error)})
        return web.Response(text="key store away", status=503)
    return web.Response(text="ready")


async def metrics(_: web.Request) -> web.Response:
    """What is counted."""
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _epochs(request: web.Request) -> dict[str, Any]:
    epochs = await request.app[EPOCHS].all()
    counts = await request.app[TABLE].counts()
    told = [
        {"name": one.name, "place": place_of(one.name), "made_at": _time(one.made_at), "keys": counts.get(one.name, 0)}
        for one in epochs
    ]
    return {"epochs": told, "due_at": _time(due(epochs[0].made_at)) if epochs else None}


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


@web.middleware
async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        if request.path.startswith(_API):
            request[CALLER] = await _caller(request)
            await _permit(request, request[CALLER])
        answer = await handler(request)
    except Wrong as wrong:
        answer = _problem(wrong.status, wrong.code, wrong.sentence, wrong.at)
    except web.HTTPException as error:
        sentence = "没有这个地址，或内容过大。 There is no such address, or it is too much."
        answer = _problem(error.status, "http", sentence)
    except (SealBroken, *DATABASE_ERRORS) as error:
        answer = _failed(error)
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "none"
    REQUESTS.labels("keystore", route, str(answer.status)).inc()
    return answer


def _failed(error: Exception) -> web.Response:
    if isinstance(error, SealBroken):
        log.error("a wrapped key is broken")
        return _problem(500, "key-broken", "有一个密钥已损坏。 A key is broken.")
    if is_away(error) or is_conflict(error):
        log.warning("key store away", extra={"error": describe(error)})
        answer = _problem(503, "database-away", "密钥库暂时无法服务。 The key store can do nothing now.")
        answer.headers["Retry-After"] = "1"
        return answer
    log.error("request failed", extra={"error": describe(error), "at": places(error)})
    return _problem(500, "internal", "内部错误，已记录。 Something failed here; it was noted.")


async def _caller(request: web.Request) -> Principal:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    try:
        if scheme.lower() != "bearer":
            raise NotAuthenticated("no token")
        return await request.app[AUTHENTICATOR].verify(token)
    except NotAuthenticated:
        raise Wrong(401, "not-authenticated", "请带上有效的访问令牌。", "Send a valid access token.") from None


async def _permit(request: web.Request, principal: Principal) -> None:
    action = _ACTIONS.get((request.method, request.path))
    if action is None:
        return  # there is nothing of this address
    try:
        request.app[POLICY].authorize(principal, action, _KEY)
    except Forbidden as error:
        log.warning("refused", extra={"role": principal.role})
        await request.app[JOURNAL].refuse(principal, _LOGGED.get(action, Action.REFUSE), error.policies)
        raise Wrong(403, "forbidden", "您的角色不允许这样做。", "Your role does not allow this.") from None


async def _body(request: web.Request, model: type[Body]) -> Body:
    return _read(model, await request.read() or b"{}")


def _unpacked(body: bytes) -> WantedKeys:
    try:
        subjects, create = unpacked_wanted(body)
    except ValueError:
        raise _invalid() from None
    if len(subjects) > MOST_SUBJECTS:
        raise _invalid("/subjects")
    return WantedKeys.model_construct(subjects=subjects, create=create)


def _invalid(at: str = "") -> Wrong:
    return Wrong(422, "invalid", "内容无效。", "What was sent is not valid.", at)


def _read(model: type[Body], body: bytes) -> Body:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        known = [str(part) for part in first["loc"] if isinstance(part, int) or part in model.model_fields]
        raise _invalid("".join(f"/{part}" for part in known)) from None


def _json(document: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(body=json.dumps(document).encode(), status=status, content_type="application/json")


def _problem(status: int, code: str, sentence: str, at: str | None = None) -> web.Response:
    document: dict[str, Any] = {"type": f"urn:doorstep:problem:{code}", "status": status, "detail": sentence}
    if at is not None:
        document["errors"] = [{"pointer": at}]
    body = json.dumps(document, ensure_ascii=False).encode()
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return web.Response(body=body, status=status, content_type="application/problem+json", headers=headers)
