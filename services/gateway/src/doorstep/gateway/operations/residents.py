"""Residents sign in with a one-time code, or with an account of the issuer that was linked by such a code.

Invariants: of an account its keyed index alone is stored; a person has one account linked, the newest, and to link or
unlink one ends that person's sessions; a session shows what is one person, and of a file whose address is sealed
nobody from elsewhere; what opens a session, what it takes for that and the entry in the log commit together.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, Purpose, Role
from doorstep.contracts.registry import HouseholdLeft
from doorstep.gateway import queries
from doorstep.gateway.domain.session import Tokens
from doorstep.gateway.errors import AccountLinked
from doorstep.gateway.operations.sessions import Opening, open_session
from doorstep.gateway.operations.sign_in_codes import take_code
from doorstep.kit import intents
from doorstep.kit.auth import Principal
from doorstep.kit.db import run
from doorstep.kit.exclusions import move
from doorstep.kit.intents import Intent
from doorstep.kit.vault import KeyRing, Vault, hold_erasing

RESIDENT = Principal("resident", Role.RESIDENT, "resident")
"""Who acts in a resident's session, in the log: whom the entry is about says whose it is."""

_ACCOUNT = "resident-account"
# Held until the session is open: who unlinks the account meanwhile waits, and then ends that session too.
_LINKED = "SELECT subject_id FROM linked_account WHERE account = :account FOR SHARE"
_LINK = """
    INSERT INTO linked_account (account, subject_id) VALUES (:account, :subject_id)
    ON CONFLICT DO NOTHING RETURNING subject_id
"""
_UNLINK = (
    "DELETE FROM linked_account WHERE subject_id = ANY(CAST(:subjects AS uuid[]))",
    "DELETE FROM browser_session WHERE subject_id = ANY(CAST(:subjects AS uuid[]))",
)
_FORGET_CODES = "DELETE FROM sign_in_code WHERE subject_id = ANY(CAST(:subjects AS uuid[]))"


@dataclass(frozen=True)
class Account:
    """An account that signed in at the issuer: its keyed index, and what the issuer gave."""

    index: bytes
    tokens: Tokens


def account_of(vault: Vault, issuer: str, subject: str, tokens: Tokens) -> Account:
    """The account that the issuer calls `subject`."""
    return Account(vault.blind_index(_ACCOUNT, f"{issuer}\n{subject}"), tokens)


async def sign_in_by_code(session: AsyncSession, *, vault: Vault, code: str, opening: Opening) -> str:
    """Open a session of the code's person; gives the cookie's value. Raises CodeUnknown."""
    subject_id, ring = await take_code(session, vault=vault, code=code)
    _log(session, ring, Action.SIGN_IN, subject_id)
    return await open_session(session, vault=vault, opening=opening, tokens=None, subject_id=subject_id)


async def sign_in_by_account(session: AsyncSession, *, vault: Vault, account: Account, opening: Opening) -> str:
    """Open a session of the person to whom an account is linked, or of nobody until it is; the cookie's value."""
    await hold_erasing(session)
    rows = await run(session, _LINKED, {"account": account.index})
    subject_id: UUID | None = rows[0]["subject_id"] if rows else None
    ring = await vault.ring([] if subject_id is None else [subject_id])
    if subject_id is not None and subject_id in ring:
        _log(session, ring, Action.SIGN_IN, subject_id)
    else:
        subject_id = None
    return await open_session(
        session, vault=vault, opening=opening, tokens=account.tokens, subject_id=subject_id, account=account.index
    )


async def link_account(session: AsyncSession, *, vault: Vault, code: str, account: Account, opening: Opening) -> str:
    """Link an account to the person of a code, in the place of one before; gives the value of a new cookie.

    Raises CodeUnknown, AccountLinked.
    """
    subject_id, ring = await take_code(session, vault=vault, code=code)
    await _unlink(session, await queries.one_person(session, subject_id, lock=True))
    if not await run(session, _LINK, {"account": account.index, "subject_id": subject_id}):
        raise AccountLinked
    _log(session, ring, Action.LINK_ACCOUNT, subject_id)
    return await open_session(
        session, vault=vault, opening=opening, tokens=account.tokens, subject_id=subject_id, account=account.index
    )


async def unlink_account(session: AsyncSession, *, vault: Vault, subject_id: UUID) -> None:
    """Unlink the account of a person, if there is one, and end their sessions."""
    await hold_erasing(session)
    await _unlink(session, await queries.one_person(session, subject_id, lock=True))
    ring = await vault.ring([subject_id])
    if subject_id in ring:
        _log(session, ring, Action.UNLINK_ACCOUNT, subject_id)


async def leave_household(session: AsyncSession, *, left: HouseholdLeft) -> None:
    """Let mentions be those of the new file; whoever was signed in, or had an account linked, in their name is out."""
    subjects = await move(session, left)
    for one in subjects:
        theirs = await queries.one_person(session, one, lock=True)
        await _unlink(session, theirs)
        await run(session, _FORGET_CODES, {"subjects": theirs})
    await queries.move_mentions(session, subjects)


async def _unlink(session: AsyncSession, subjects: list[UUID]) -> None:
    for statement in _UNLINK:
        await run(session, statement, {"subjects": subjects})


def _log(session: AsyncSession, ring: KeyRing, action: Action, subject_id: UUID) -> None:
    intents.record(session, ring, Intent(action, [subject_id], Purpose.RESIDENT_REQUEST), principal=RESIDENT)
