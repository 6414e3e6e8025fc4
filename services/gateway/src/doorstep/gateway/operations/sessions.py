"""Sessions of browsers: opened at sign-in, found by the cookie, renewed by one at a time, ended.

Invariants: the cookie's value is nowhere stored, its keyed index is, and so is that of whose session it is; tokens are
sealed for that session alone, under a key that the keyset wraps; a session ends when it was not used for a while, and
at the latest at its end, whatever runs or dies; a refresh token, which the issuer takes once, is used by one process,
whose claim lapses if it dies; neither an address nor the browser's own words are kept. A resident's session names a
subject, or an account that is linked to none yet, and no owner; its tokens serve for signing out alone.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.gateway.domain.session import Browser, Tokens
from doorstep.kit.db import run
from doorstep.kit.vault import NOBODY, SealBroken, SubjectErased, Vault

RENEWING_LAPSES = 10
"""Seconds after which another may renew what somebody claimed to renew."""

_FIELD = "browser-session"
_OWNER = "browser-session-owner"
_NOTED_EVERY = 60
_OPEN = """
    INSERT INTO browser_session (id, tokens, owner, browser, ends_at, resident, subject_id, account)
    VALUES (
        :id, :tokens, :owner, :browser, now() + make_interval(secs => :ends), :resident, :subject_id, :account
    )
"""
_IDLE = """
    now() - CASE WHEN resident THEN make_interval(secs => :resident_idle) ELSE make_interval(secs => :idle) END
"""
_SWEEP = f"DELETE FROM browser_session WHERE ends_at <= now() OR used_at <= {_IDLE} OR id = :replaced"  # noqa: S608
_FIND = f"""
    SELECT tokens, version, used_at < now() - make_interval(secs => :noted) AS stale, resident, subject_id, account
    FROM browser_session WHERE id = :id AND ends_at > now() AND used_at > {_IDLE}
"""  # noqa: S608
_USE = "UPDATE browser_session SET used_at = now() WHERE id = :id"
_CLAIM = """
    UPDATE browser_session SET renewing_until = now() + make_interval(secs => :lapses)
    WHERE id = :id AND version = :version AND (renewing_until IS NULL OR renewing_until < now()) RETURNING id
"""
_RENEW = """
    UPDATE browser_session SET tokens = :tokens, version = version + 1, renewing_until = NULL
    WHERE id = :id AND version = :version
"""
_OWN = """
    SELECT shown_id, began_at, used_at, least(ends_at, used_at + make_interval(secs => :idle)) AS ends_at, browser,
        id = :current AS current
    FROM browser_session
    WHERE owner = :owner AND ends_at > now() AND used_at > now() - make_interval(secs => :idle) ORDER BY began_at DESC
"""
_END_OWN = "DELETE FROM browser_session WHERE owner = :owner AND shown_id = :shown_id RETURNING id"
_END_OTHERS = "DELETE FROM browser_session WHERE owner = :owner AND id <> :current RETURNING id"
_END = "DELETE FROM browser_session WHERE id = :id RETURNING tokens"


@dataclass(frozen=True)
class Idle:
    """After how many seconds without use sessions end: those of staff, and those of residents."""

    staff: int
    residents: int

    @property
    def values(self) -> dict[str, float]:
        """As the statements take them."""
        return {"idle": float(self.staff), "resident_idle": float(self.residents)}


@dataclass(frozen=True)
class Opening:
    """How a session is opened: in which kind of browser, in the place of which cookie, and when it ends."""

    browser: Browser
    replaced: str
    ends: int
    idle: Idle


@dataclass(frozen=True)
class Open:
    """A session that is open, as it was found; only one that a resident opened by a code has no tokens."""

    id: bytes
    tokens: Tokens | None
    version: int
    resident: bool = False
    subject_id: UUID | None = None
    account: bytes | None = None


async def open_session(
    session: AsyncSession,
    *,
    vault: Vault,
    opening: Opening,
    tokens: Tokens | None,
    owner: str | None = None,
    subject_id: UUID | None = None,
    account: bytes | None = None,
) -> str:
    """Open a session; gives the cookie's value. The browser's session before, and those that are over, are deleted.

    It is the principal's `owner`, or with a subject or an account a resident's.
    """
    value = secrets.token_urlsafe(32)
    found = vault.blind_index(_FIELD, value)
    replaced = vault.blind_index(_FIELD, opening.replaced)
    await run(session, _SWEEP, {**opening.idle.values, "replaced": replaced})
    values = {
        "id": found,
        "tokens": None if tokens is None else await _sealed(vault, found, tokens),
        "owner": None if owner is None else vault.blind_index(_OWNER, owner),
        "browser": opening.browser,
        "ends": float(opening.ends),
        "resident": subject_id is not None or account is not None,
        "subject_id": subject_id,
        "account": account,
    }
    await run(session, _OPEN, values)
    return value


async def find_session(session: AsyncSession, *, vault: Vault, value: str, idle: Idle) -> Open | None:
    """The open session of a cookie, noted as used; None if there is none any more."""
    found = vault.blind_index(_FIELD, value)
    rows = await run(session, _FIND, {"id": found, "noted": float(_NOTED_EVERY), **idle.values})
    if not rows:
        return None
    row = rows[0]
    if row["stale"]:
        await run(session, _USE, {"id": found})
    tokens = None if row["tokens"] is None else await _opened(vault, found, row["tokens"])
    if tokens is None and row["tokens"] is not None:
        return None
    return Open(found, tokens, row["version"], row["resident"], row["subject_id"], row["account"])


async def claim_renewal(session: AsyncSession, *, found: Open) -> bool:
    """Whether it is for the caller to renew the tokens of a session, for some seconds."""
    values = {"id": found.id, "version": found.version, "lapses": float(RENEWING_LAPSES)}
    return bool(await run(session, _CLAIM, values))


async def renew_session(session: AsyncSession, *, vault: Vault, found: Open, tokens: Tokens) -> None:
    """Keep the tokens that the issuer gave anew, unless somebody else did meanwhile."""
    sealed = await _sealed(vault, found.id, tokens)
    await run(session, _RENEW, {"id": found.id, "version": found.version, "tokens": sealed})


async def end_session(session: AsyncSession, *, vault: Vault, value: str) -> Tokens | None:
    """End the session of a cookie; gives its last tokens, None if there were none."""
    found = vault.blind_index(_FIELD, value)
    rows = await run(session, _END, {"id": found})
    tokens = rows[0]["tokens"] if rows else None
    return None if tokens is None else await _opened(vault, found, tokens)


@dataclass(frozen=True)
class Shown:
    """A session as its owner is shown it; it ends at `ends_at` if it is not used before."""

    id: UUID
    began_at: datetime
    used_at: datetime
    ends_at: datetime
    browser: Browser
    current: bool


async def own_sessions(session: AsyncSession, *, vault: Vault, owner: str, value: str, idle: int) -> list[Shown]:
    """The open sessions of a principal, the newest first; `value` is the cookie's of the one that asks, or empty."""
    values = {
        "owner": vault.blind_index(_OWNER, owner),
        "current": vault.blind_index(_FIELD, value),
        "idle": float(idle),
    }
    return [
        Shown(row["shown_id"], row["began_at"], row["used_at"], row["ends_at"], Browser(row["browser"]), row["current"])
        for row in await run(session, _OWN, values)
    ]


async def end_own_session(session: AsyncSession, *, vault: Vault, owner: str, shown_id: UUID) -> bool:
    """End a session of a principal; whether they had one of that id."""
    values = {"owner": vault.blind_index(_OWNER, owner), "shown_id": shown_id}
    return bool(await run(session, _END_OWN, values))


async def end_other_sessions(session: AsyncSession, *, vault: Vault, owner: str, value: str) -> int:
    """End the sessions of a principal but for the one whose cookie has this `value`; how many."""
    values = {"owner": vault.blind_index(_OWNER, owner), "current": vault.blind_index(_FIELD, value)}
    return len(await run(session, _END_OTHERS, values))


def request_token(vault: Vault, value: str) -> str:
    """What a page of a session says in a header when it changes something; another origin cannot read it."""
    return vault.blind_index("request-token", value).hex()


async def _sealed(vault: Vault, found: bytes, tokens: Tokens) -> bytes:
    ring = await vault.ring([NOBODY], create=True)
    return ring.encrypt(NOBODY, f"BrowserSession:{found.hex()}", tokens.to_bytes())


async def _opened(vault: Vault, found: bytes, sealed: bytes) -> Tokens | None:
    ring = await vault.ring([NOBODY])
    try:
        return Tokens.from_bytes(ring.decrypt(NOBODY, f"BrowserSession:{found.hex()}", sealed))
    except (SealBroken, SubjectErased, ValueError):
        return None
