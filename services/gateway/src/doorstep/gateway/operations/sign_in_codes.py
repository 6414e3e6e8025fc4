"""One-time codes: a collector asks for one at the visit, alone with the person, who signs in with it once.

Invariants: of a code its keyed index alone is stored, one for a subject at a time; taking it deletes it in the
transaction of what it is taken for, so that of two who use it one does, and who dies between uses none up; a code that
is unknown, used, over or of somebody who was erased is no code, alike.
"""

import secrets
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.ages import of_age_on
from doorstep.contracts.codes import Action, Purpose
from doorstep.contracts.intake import Card, StatedFacts
from doorstep.contracts.sealed import Sealed
from doorstep.gateway import queries
from doorstep.gateway.domain.sign_in_code import AT_THE_VISIT, read, written
from doorstep.gateway.errors import CodeUnknown, RecordUnknown, TooYoung, VisitOver
from doorstep.gateway.operations.reading import STAFF
from doorstep.gateway.queries import Mention
from doorstep.kit import intents
from doorstep.kit.auth import Principal
from doorstep.kit.db import run
from doorstep.kit.intents import Intent
from doorstep.kit.policy import Forbidden, Policy, Resource
from doorstep.kit.vault import KeyRing, Vault, hold_erasing

THING = "sign-in-code"

_DRAWN = "sign-in-code.letters"
_BIRTH_YEAR = "identity.birth-year"
_KEEP = """
    INSERT INTO sign_in_code (subject_id, code, valid_until) VALUES (:subject_id, :code, :valid_until)
    ON CONFLICT (subject_id) DO UPDATE SET code = excluded.code, valid_until = excluded.valid_until
"""
_SWEEP = "DELETE FROM sign_in_code WHERE valid_until <= now()"
_TAKE = "DELETE FROM sign_in_code WHERE code = :code AND valid_until > now() RETURNING subject_id"
_FACTS = """
    SELECT CAST(step -> 'sealed' AS text) AS sealed FROM journey_step
    WHERE record_id = :record_id AND step ->> 'subject_id' = CAST(CAST(:subject_id AS uuid) AS text)
    AND step ->> 'kind' = 'facts-asserted'
"""


@dataclass(frozen=True)
class Asking:
    """A collector who asks for a code, why, and the policies that decide."""

    principal: Principal
    purpose: Purpose
    policy: Policy


@dataclass(frozen=True)
class SignInCode:
    """A code as it was drawn: with the keyset, and not without, it is written again for who asks again."""

    subject_id: UUID
    salt: str
    valid_until: datetime

    def written(self, vault: Vault) -> str:
        """The code, to be read aloud."""
        return written(vault.blind_index(_DRAWN, f"{self.salt}:{self.subject_id}"))


async def draw_code(
    session: AsyncSession, *, vault: Vault, asking: Asking, record_id: UUID, subject_id: UUID, now: datetime, holds: int
) -> SignInCode:
    """Draw a code for a person of a record that the caller took; it holds so many seconds, and replaces one before.

    Raises RecordUnknown, VisitOver, TooYoung.
    """
    await hold_erasing(session)
    policies = await _permitted(session, vault, asking, record_id)
    mention = await queries.mention(session, record_id, subject_id)
    ring = await vault.ring([subject_id])
    if mention is None or subject_id not in ring:
        raise RecordUnknown
    if mention.asserted_at + AT_THE_VISIT < now:
        raise VisitOver
    from_then = await _own_age_on(session, ring, mention)
    if from_then is not None and now.date() < from_then:
        raise TooYoung
    drawn = SignInCode(subject_id, secrets.token_hex(16), now + timedelta(seconds=holds))
    await run(session, _SWEEP, {})
    values = {"subject_id": subject_id, "code": index_of(vault, drawn.written(vault)), "valid_until": drawn.valid_until}
    await run(session, _KEEP, values)
    intent = Intent(Action.DRAW_SIGN_IN_CODE, [subject_id], asking.purpose, case=record_id, policies=policies)
    intents.record(session, ring, intent, principal=asking.principal)
    return drawn


async def _permitted(session: AsyncSession, vault: Vault, asking: Asking, record_id: UUID) -> tuple[str, ...]:
    """The policies that permit it on this record; of one that is not the caller's nothing is told."""
    by = vault.pairwise(STAFF, asking.principal.subject)
    journey = await queries.journey(session, record_id)
    if journey is None or await queries.excludes(session, record_id, by):
        raise RecordUnknown
    thing = Resource(THING, own_record=journey.recorded_by == by, station=journey.station)
    try:
        decision = asking.policy.authorize(asking.principal, Action.DRAW_SIGN_IN_CODE, thing, purpose=asking.purpose)
    except Forbidden:
        raise RecordUnknown from None
    return decision.policies


async def _own_age_on(session: AsyncSession, ring: KeyRing, mention: Mention) -> date | None:
    card = Card() if mention.card is None else ring.open(Sealed[Card].model_validate_json(mention.card), Card)
    rows = await run(session, _FACTS, {"record_id": mention.record_id, "subject_id": mention.subject_id})
    stated = [ring.open(Sealed[StatedFacts].model_validate_json(row["sealed"]), StatedFacts) for row in rows]
    years = [int(fact.value) for one in stated for fact in one.facts if fact.code == _BIRTH_YEAR]
    return of_age_on(card.document_kind, card.document_number, max(years, default=None))


async def take_code(session: AsyncSession, *, vault: Vault, code: str) -> tuple[UUID, KeyRing]:
    """Whose code this is, with their key; it is used up if the transaction commits. Raises CodeUnknown."""
    await hold_erasing(session)
    rows = await run(session, _TAKE, {"code": index_of(vault, code)})
    if not rows:
        raise CodeUnknown
    subject_id: UUID = rows[0]["subject_id"]
    ring = await vault.ring([subject_id])
    if subject_id not in ring:
        raise CodeUnknown
    return subject_id, ring


def index_of(vault: Vault, code: str) -> bytes:
    """By what a code is found, and its tries are counted."""
    return vault.blind_index(THING, read(code))
