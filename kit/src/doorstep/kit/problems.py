"""Answers to what went wrong: RFC 9457 problems in Chinese or English, saying what, where, and what to do.

At an address that speaks FHIR (R4) the same is said by an OperationOutcome, which holds our code, sentence and places.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from doorstep.kit.auth import NotAuthenticated
from doorstep.kit.db import DATABASE_ERRORS, DatabaseAway, is_away, is_conflict
from doorstep.kit.idempotency import Erased, IdOfAnother, IdReused
from doorstep.kit.outbox import EventTooLarge
from doorstep.kit.policy import Forbidden
from doorstep.kit.telemetry import describe, places
from doorstep.kit.vault import SubjectErased

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
FHIR_TYPE = "application/fhir+json"
FHIR_PROBLEMS = "urn:doorstep:problem"
"""The coding system of problem codes in an OperationOutcome."""
_QUALITY = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?")


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong in a request: a JSON pointer into it, and why, in both languages."""

    pointer: str
    zh: str
    en: str


class Problem(Exception):
    """An answer other than success. Neither text may quote what the caller sent."""

    def __init__(
        self,
        status: int,
        code: str,
        zh: str,
        en: str,
        *,
        faults: Sequence[Fault] = (),
        headers: dict[str, str] | None = None,
        refusal: bool | None = None,
        about: UUID | None = None,
        policies: tuple[str, ...] = (),
    ) -> None:
        """Answer `status` with the problem type `code` and a sentence in both languages.

        A `refusal` is logged: 401, 403 and 404 are unless it says otherwise, and what a rule of conduct forbids if it
        says so. `about` is the id of what was asked for where no parameter names it, `policies` those that forbid it.
        """
        super().__init__(code)
        self.status = status
        self.code = code
        self.zh = zh
        self.en = en
        self.faults = tuple(faults)
        self.headers = headers
        self.refusal = status in (401, 403, 404) if refusal is None else refusal
        self.about = about
        self.policies = policies


_TITLES: dict[int, tuple[str, str]] = {
    400: ("请求格式有误", "Malformed request"),
    401: ("需要登录", "Sign in"),
    403: ("无权访问", "Not allowed"),
    404: ("没有找到", "Not found"),
    405: ("不支持的方法", "Method not allowed"),
    408: ("请求超时", "Request timeout"),
    409: ("冲突", "Conflict"),
    410: ("已删除", "Gone"),
    412: ("版本已过期", "Version is stale"),
    413: ("内容过大", "Too large"),
    415: ("内容类型不支持", "Unsupported content type"),
    422: ("内容无效", "Invalid content"),
    428: ("缺少版本", "Version required"),
    429: ("请求过多", "Too many requests"),
    431: ("请求头过大", "Headers too large"),
    500: ("内部错误", "Internal error"),
    503: ("暂时无法服务", "Temporarily unavailable"),
}

_ISSUES = {
    400: "structure", 401: "login", 403: "forbidden", 404: "not-found", 405: "not-supported", 408: "timeout",
    409: "conflict", 410: "deleted", 412: "conflict", 413: "too-long", 415: "not-supported", 422: "invalid",
    428: "required", 429: "throttled", 431: "too-long", 500: "exception", 503: "transient",
}  # fmt: skip
"""The kind of issue (http://hl7.org/fhir/issue-type) by status."""

_REASONS: dict[str, tuple[str, str]] = {
    "missing": ("缺少此项", "is missing"),
    "extra_forbidden": ("没有这个字段", "is not a known field"),
    "enum": ("不是已知代码", "is not a known code"),
    "literal_error": ("不是已知代码", "is not a known code"),
    "uuid_parsing": ("不是有效的编号", "is not a UUID"),
    "uuid_type": ("不是有效的编号", "is not a UUID"),
    "uuid_version": ("编号须为 UUIDv7", "must be a UUIDv7"),
    "string_too_long": ("太长", "is too long"),
    "string_too_short": ("太短", "is too short"),
    "string_unicode": ("含无效字符", "has characters that are not text"),
    "too_long": ("数量过多", "has too many items"),
    "too_short": ("数量过少", "has too few items"),
    "datetime_from_date_parsing": ("不是有效时间", "is not a time"),
    "datetime_parsing": ("不是有效时间", "is not a time"),
    "timezone_aware": ("时间须带时区", "must name its offset from UTC"),
    "json_invalid": ("不是有效的 JSON", "is not JSON"),
}


_MOST_FAULTS = 100
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_ELEMENT = re.compile(r"[A-Za-z]{1,64}|[0-9]{1,4}")


def pointer(path: Sequence[Any]) -> str:
    """The RFC 6901 pointer for a path of names and indexes."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def install(app: FastAPI) -> None:
    """Have `app` answer every failure as a problem."""
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(NotAuthenticated, _answer_unauthenticated)
    app.add_exception_handler(Forbidden, _answer_forbidden)
    app.add_exception_handler(IdReused, _answer_reused)
    app.add_exception_handler(Erased, _answer_erased)
    app.add_exception_handler(SubjectErased, _answer_erased)
    app.add_exception_handler(EventTooLarge, _answer_too_large)
    for kind in (DatabaseAway, PoolTimeout, DBAPIError, Exception):
        app.add_exception_handler(kind, _answer_failed)


async def respond(request: Request, problem: Problem) -> JSONResponse:
    """The response for `problem`: a refusal is in the log before it is given, or it is not given."""
    try:
        await request.app.state.refusals.log(request, problem)
    except DATABASE_ERRORS as error:
        return await _answer_failed(request, error)
    return answer(request, problem)


def answer(request: Request, problem: Problem) -> JSONResponse:
    """The response for `problem` in the language that the caller prefers; Chinese if none is named."""
    language = preferred_language(request.headers.get("accept-language", ""))
    place = 0 if language == "zh" else 1
    titles = _TITLES.get(problem.status, _TITLES[400 if problem.status < 500 else 500])
    content: dict[str, Any] = {
        "type": f"urn:doorstep:problem:{problem.code}",
        "title": titles[place],
        "status": problem.status,
        "detail": (problem.zh, problem.en)[place],
    }
    if problem.faults:
        content["errors"] = [
            {"pointer": fault.pointer, "detail": (fault.zh, fault.en)[place]} for fault in problem.faults
        ]
    headers = {"Content-Language": language, **(problem.headers or {})}
    if speaks_fhir(request.scope["path"]):
        outcome = _operation_outcome(problem, content)
        return JSONResponse(outcome, problem.status, headers=headers, media_type=FHIR_TYPE)
    return JSONResponse(content, problem.status, headers=headers, media_type=MEDIA_TYPE)


def speaks_fhir(path: str) -> bool:
    """Whether what is at `path` takes and answers FHIR, problems too."""
    return path.endswith("/fhir")


def _operation_outcome(problem: Problem, content: dict[str, Any]) -> dict[str, Any]:
    """The OperationOutcome (FHIR R4) that says what the problem `content` does: an issue for each place, or one."""
    details = {"coding": [{"system": FHIR_PROBLEMS, "code": problem.code}]}
    kind = _ISSUES.get(problem.status, "processing")
    issues = [
        {"severity": "error", "code": kind, "details": details | {"text": fault["detail"]}, **_where(fault["pointer"])}
        for fault in content.get("errors", ())
    ]
    whole = {"severity": "error", "code": kind, "details": details | {"text": content["detail"]}}
    return {"resourceType": "OperationOutcome", "issue": issues or [whole]}


def _where(place: str) -> dict[str, Any]:
    """A pointer into the body as the FHIRPath of an element; one into address or headers as it is."""
    parts = place.split("/")[1:]
    if not all(_ELEMENT.fullmatch(part) for part in parts) or parts[:1] in (["path"], ["query"], ["header"]):
        return {"diagnostics": place}
    path = "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in parts).lstrip(".")
    return {"expression": [path]} if path else {}


def preferred_language(header: str) -> str:
    """`zh` or `en`, whichever `header` (Accept-Language, RFC 9110 section 12.5.4) ranks first; `zh` for neither."""
    ranked: list[tuple[float, int, str]] = []
    for place, part in enumerate(header.lower().split(",")):
        tag, *parameters = (piece.strip() for piece in part.split(";"))
        language, weight = tag.partition("-")[0], _weight(parameters)
        if language in ("zh", "en") and weight > 0:
            ranked.append((-weight, place, language))
    return min(ranked)[2] if ranked else "zh"


def _weight(parameters: Sequence[str]) -> float:
    """The quality value among `parameters`: 1 if there is none, 0 if it is not a number from 0 to 1."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "q":
            return float(value) if _QUALITY.fullmatch(value) else 0.0
    return 1.0


async def _answer_problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)  # noqa: S101
    return await respond(request, error)


async def _answer_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    details = error.errors()
    if any(detail["type"] == "json_invalid" for detail in details):
        return answer(request, Problem(400, "malformed", "请求体不是有效的 JSON。", "The body is not JSON."))
    first: dict[str, Fault] = {}
    for detail in details[:_MOST_FAULTS]:
        fault = fault_of(detail, error.body)
        first.setdefault(fault.pointer, fault)
    faults = list(first.values())
    zh, en = (
        f"有 {len(faults)} 处内容无效，请改正后重发。",
        f"{len(faults)} places are not valid; correct them and send again.",
    )
    return answer(request, Problem(422, "invalid", zh, en, faults=faults))


def fault_of(detail: Any, body: Any) -> Fault:
    """The fault that a validation error of pydantic names, as a place in `body` and without what was sent."""
    kind, loc = detail["type"], list(detail["loc"])
    path = _path_in(body, loc[1:], kind) if loc[:1] == ["body"] else loc
    said: tuple[Any, ...] = getattr(detail.get("ctx", {}).get("error"), "args", ()) if kind == "value_error" else ()
    zh, en = said if len(said) == 2 else _REASONS.get(kind, ("无效", "is not valid"))
    return Fault(pointer(path), str(zh), str(en))


def _path_in(body: Any, loc: Sequence[Any], kind: str) -> list[Any]:
    """The part of `loc` that leads through `body`: pydantic adds the names of a union's members.

    A name that the sender made up is left out unless it looks like a field's, for it may be anything.
    """
    path: list[Any] = []
    for place, part in enumerate(loc):
        inside = isinstance(part, int) and isinstance(body, list) and part < len(body)
        if inside or (isinstance(body, dict) and part in body):
            body = body[part]
        elif kind != "missing" or place < len(loc) - 1:
            continue
        path.append(part)
    if kind == "extra_forbidden" and path and not _FIELD.fullmatch(str(path[-1])):
        path.pop()
    return path


async def _answer_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    zh, en = _TITLES.get(error.status_code, _TITLES[400])
    headers = dict(error.headers) if error.headers else None
    return await respond(request, Problem(error.status_code, "http", zh + "。", en + ".", headers=headers))


async def _answer_unauthenticated(request: Request, _: Exception) -> JSONResponse:
    challenge = {"WWW-Authenticate": "Bearer"}
    zh, en = "请带上有效的访问令牌。", "Send a valid access token."
    return await respond(request, Problem(401, "not-authenticated", zh, en, headers=challenge))


async def _answer_forbidden(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Forbidden)  # noqa: S101
    zh, en = "您的角色或用途不允许这样做。", "Your role or purpose does not allow this."
    return await respond(request, Problem(403, "forbidden", zh, en, policies=error.policies))


async def _answer_too_large(request: Request, _: Exception) -> JSONResponse:
    zh, en = "内容过多，请分成几份发送。", "This is too much for one record; send it in parts."
    return answer(request, Problem(413, "too-large", zh, en))


async def _answer_failed(request: Request, error: Exception) -> JSONResponse:
    """503 where the same request may succeed soon; 500, and the error in the log, where it is our mistake."""
    if is_away(error) or is_conflict(error):
        zh, en = "数据库暂时没有回应，请稍后再试。", "The database does not answer now; try again in a moment."
        return answer(request, Problem(503, "database-away", zh, en, headers={"Retry-After": "1"}))
    if isinstance(error, DBAPIError):
        log.error("request failed", extra={"error": describe(error), "at": places(error)})
    return answer(request, Problem(500, "internal", "内部错误，已记录。", "Something failed here; it was noted."))


async def _answer_reused(request: Request, error: Exception) -> JSONResponse:
    zh, en = "这个编号已用于另一个请求，请换一个新编号。", "This id was used for another command; make a new one."
    return await respond(request, Problem(409, "id-reused", zh, en, refusal=isinstance(error, IdOfAnother)))


async def _answer_erased(request: Request, _: Exception) -> JSONResponse:
    return answer(request, Problem(410, "erased", "该内容已被删除。", "This has been erased."))
