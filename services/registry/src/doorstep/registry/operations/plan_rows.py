"""The rows of care plans: loaded whole under the plan's lock, what they say sealed under the person's key.

Invariants: a level, a cause and a ground are in sealed columns alone, which are filled up so that their length tells
nothing; whoever changes a plan holds its row; a person's plans begin and end under the person's row, so that a consent
that is taken back in one file ends what is just being proposed in another.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.envelope import Contract
from doorstep.contracts.facts import Fact
from doorstep.kit import idempotency
from doorstep.kit.db import run
from doorstep.kit.vault import KeyRing, Vault
from doorstep.registry.domain.plans import KEPT, Course, Ground, Held, Level, Meeting, Proposed, Step, course

Content = TypeVar("Content", bound=Contract)

_BYTES = 512

_PLAN = """
    SELECT plan_id, subject_id, file_id, station, ended_at FROM care_plan JOIN file USING (file_id)
    WHERE plan_id = :plan_id
"""
_LOCK = f"{_PLAN} FOR UPDATE OF care_plan"
_PROPOSALS = """
    SELECT proposal_id, proposed_by, proposed_at, decided_at, content FROM plan_proposal
    WHERE plan_id = :plan_id ORDER BY proposed_at, proposal_id
"""
_SEATS = """
    SELECT proposal_id, person, s.content, s.decided_at FROM plan_seat s JOIN plan_proposal USING (proposal_id)
    WHERE plan_id = :plan_id ORDER BY proposal_id, person
"""
_TEAM = "SELECT person FROM plan_member WHERE plan_id = :plan_id"
_CONTEST = "SELECT contested_at FROM plan_contest WHERE plan_id = :plan_id AND answered_at IS NULL"
_MEETINGS = "SELECT meeting_id, recorded_by, confirmed_by, content FROM plan_meeting WHERE plan_id = :plan_id"
_HELD = "SELECT 1 FROM fact WHERE fact_id = :fact_id AND refresh_by > :now"
_EXCLUDED = """
    SELECT staff FROM exclusion JOIN subject USING (person_id) WHERE subject_id = :subject_id
"""
# The mentions of a person, in whichever file; the person's row is locked first, by a statement of its own.
_LOCK_PERSONS = "SELECT 1 FROM person WHERE person_id = ANY(CAST(:persons AS uuid[])) ORDER BY person_id FOR UPDATE"
_OF_PERSONS = """
    (subject_id = ANY(CAST(:subjects AS uuid[])) OR subject_id IN (
        SELECT subject_id FROM subject WHERE person_id = ANY(CAST(:persons AS uuid[]))
    ))
"""
_PLANS_OF = f"SELECT plan_id FROM care_plan WHERE {_OF_PERSONS} ORDER BY plan_id"  # noqa: S608
_END_OF = f"""
    UPDATE care_plan SET ended_at = :now WHERE ended_at IS NULL AND {_OF_PERSONS} RETURNING plan_id, subject_id
"""  # noqa: S608
_FACTS = """
    SELECT DISTINCT f.fact_id, f.subject_id, f.file_id, f.file_version, f.content
    FROM fact f JOIN subject s USING (subject_id)
    WHERE f.refresh_by > :now AND (s.person_id = :person_id OR (f.file_id = :file_id AND s.kind = 'dwelling'))
"""


class Wish(Contract):
    """`plan_proposal.content`: what is proposed; `as_of` is the file's version then, `agreed` what became of it."""

    step: Step
    level: Level | None = None
    cause: str
    consent: UUID
    fact: UUID | None = None
    as_of: int
    team: tuple[UUID, ...] = ()
    agreed: bool | None = None


class Word(Contract):
    """`plan_seat.content`: for which agency somebody sits on a panel, and what they said; `plan_contest.content`."""

    agency: str
    agreed: bool | None = None
    grounds: tuple[Ground, ...] = ()


class Met(Contract):
    """`plan_meeting.content`: what two of the team did together, and when."""

    meeting: Meeting
    at: datetime


@dataclass(frozen=True)
class Seated:
    """Somebody on a panel, and what they said."""

    person: UUID
    word: Word
    decided_at: datetime | None


@dataclass(frozen=True)
class Made:
    """A proposal as it was made, with its panel."""

    proposal_id: UUID
    proposed_by: UUID
    proposed_at: datetime
    decided_at: datetime | None
    wish: Wish
    seats: tuple[Seated, ...]

    @property
    def timed(self) -> Proposed:
        """As far as time decides on it."""
        return Proposed(self.wish.step, self.wish.level, self.proposed_at, self.decided_at, self.wish.agreed)

    def seat(self, person: UUID) -> Seated | None:
        """The place of somebody on its panel."""
        return next((one for one in self.seats if one.person == person), None)


@dataclass(frozen=True)
class Plan:
    """A care plan, opened. `ended` says that it was left, or its consent does not stand any more."""

    plan_id: UUID
    subject_id: UUID
    file_id: UUID
    station: str
    ended: bool
    team: frozenset[UUID]
    proposals: tuple[Made, ...]
    contested_at: datetime | None
    excluded: frozenset[UUID]

    def course(self, now: datetime) -> Course:
        """Where it stands."""
        return course([one.timed for one in self.proposals], ended=self.ended, now=now)

    def waiting(self, now: datetime) -> Made | None:
        """The proposal that waits for its panel."""
        return next((one for one in self.proposals if one.timed.waits(now)), None)

    @property
    def newest(self) -> Wish:
        """What was agreed last; what was proposed first as long as nothing was."""
        return next((one.wish for one in reversed(self.proposals) if one.wish.agreed), self.proposals[0].wish)

    @property
    def as_of(self) -> int:
        """The file's version when something was proposed last, whatever became of it."""
        return max(one.wish.as_of for one in self.proposals)

    def parts(self, *, but: UUID | None = None) -> frozenset[UUID]:
        """Who had a part in it: proposed, sat on a panel, or is of its team; `but` leaves one proposal's panel out."""
        made = [one for one in self.proposals if one.proposal_id != but]
        seats = {seat.person for one in made for seat in one.seats}
        return self.team | seats | {one.proposed_by for one in self.proposals}


def seal(ring: KeyRing, subject_id: UUID, column: str, row: object, content: Contract) -> bytes:
    """`content` for a sealed column of the row."""
    data = content.model_dump_json(exclude_none=True).encode()
    return ring.encrypt(subject_id, f"{column}:{row}", data + b" " * (-len(data) % _BYTES))


def unseal(ring: KeyRing, subject_id: UUID, column: str, row: object, blob: bytes, model: type[Content]) -> Content:
    """What `seal` was given."""
    return model.model_validate_json(ring.decrypt(subject_id, f"{column}:{row}", bytes(blob)))


async def load(
    session: AsyncSession, vault: Vault, plan_id: UUID, *, now: datetime, lock: bool = False
) -> tuple[Plan, KeyRing] | None:
    """A plan and its person's key; None if there is none, or the person was erased. With `lock` nobody changes it."""
    key = {"plan_id": plan_id}
    rows = await run(session, _LOCK if lock else _PLAN, key)
    if not rows:
        return None
    _, subject_id, file_id, station, ended_at = rows[0]
    ring = await vault.ring([subject_id])
    if subject_id not in ring:
        return None
    seats: dict[UUID, list[Seated]] = {}
    for proposal_id, person, content, decided_at in await run(session, _SEATS, key):
        word = unseal(ring, subject_id, "plan_seat.content", f"{proposal_id}/{person}", content, Word)
        seats.setdefault(proposal_id, []).append(Seated(person, word, decided_at))
    proposals = tuple(
        Made(one, by, at, decided_at, unseal(ring, subject_id, "plan_proposal.content", one, content, Wish),
             tuple(seats.get(one, ())))
        for one, by, at, decided_at, content in await run(session, _PROPOSALS, key)
    )  # fmt: skip
    contests = await run(session, _CONTEST, key)
    team = frozenset(row["person"] for row in await run(session, _TEAM, key))
    excluded = frozenset(row["staff"] for row in await run(session, _EXCLUDED, {"subject_id": subject_id}))
    contested_at = contests[0]["contested_at"] if contests else None
    plan = Plan(plan_id, subject_id, file_id, station, ended_at is not None, team, proposals, contested_at, excluded)
    if not plan.ended and not await run(session, _HELD, {"fact_id": plan.newest.consent, "now": now}):
        plan = Plan(plan_id, subject_id, file_id, station, True, team, proposals, contested_at, excluded)
    return plan, ring


async def plan_of_proposal(session: AsyncSession, proposal_id: UUID) -> UUID | None:
    """Of which plan a proposal is."""
    rows = await run(session, "SELECT plan_id FROM plan_proposal WHERE proposal_id = :id", {"id": proposal_id})
    return rows[0]["plan_id"] if rows else None


async def subjects_of_plan(session: AsyncSession, plan_id: UUID) -> list[UUID]:
    """Whom a plan is about."""
    rows = await run(session, "SELECT subject_id FROM care_plan WHERE plan_id = :id", {"id": plan_id})
    return [row["subject_id"] for row in rows]


async def subjects_of_proposal(session: AsyncSession, proposal_id: UUID) -> list[UUID]:
    """Whom a proposal is about."""
    found = await plan_of_proposal(session, proposal_id)
    return [] if found is None else await subjects_of_plan(session, found)


async def lock_person(session: AsyncSession, person_id: UUID) -> list[UUID]:
    """Hold a person's row; the plans of all their mentions."""
    values = {"subjects": [], "persons": [person_id]}
    await run(session, _LOCK_PERSONS, {"persons": [person_id]})
    return [row["plan_id"] for row in await run(session, _PLANS_OF, values)]


async def end_plans(
    session: AsyncSession, subjects: Collection[UUID], persons: Collection[UUID], now: datetime
) -> list[tuple[UUID, UUID]]:
    """End all plans of these mentions and persons for good; plan and subject of each that had not ended."""
    await run(session, _LOCK_PERSONS, {"persons": sorted(persons)})
    values = {"subjects": sorted(subjects), "persons": sorted(persons), "now": now}
    return [(row["plan_id"], row["subject_id"]) for row in await run(session, _END_OF, values)]


async def delete_plans(session: AsyncSession, subject_id: UUID) -> None:
    """Delete what is kept of the plans of a subject that is erased; commands about them are erased too."""
    rows = await run(session, "SELECT plan_id FROM care_plan WHERE subject_id = :id", {"id": subject_id})
    await idempotency.erase_about(session, [row["plan_id"] for row in rows])
    await run(session, "DELETE FROM care_plan WHERE subject_id = :id", {"id": subject_id})


async def delete_old(session: AsyncSession, *, now: datetime) -> None:
    """Delete plans about which nothing was proposed for so long that they were over long before."""
    statement = """
        DELETE FROM care_plan p
        WHERE NOT EXISTS (SELECT FROM plan_proposal o WHERE o.plan_id = p.plan_id AND o.proposed_at > :oldest)
    """
    await run(session, statement, {"oldest": now - KEPT})


@dataclass(frozen=True)
class Known:
    """A fact that is held of a person, or of a dwelling of the file: with mention, file and the file's version."""

    fact: Fact
    subject_id: UUID
    file_id: UUID
    file_version: int


async def known_facts(
    session: AsyncSession, vault: Vault, *, file_id: UUID, person_id: UUID, now: datetime
) -> list[Known]:
    """What is held of a person in any file, and of the dwellings of this one."""
    rows = await run(session, _FACTS, {"file_id": file_id, "person_id": person_id, "now": now})
    ring = await vault.ring({row["subject_id"] for row in rows})
    found = []
    for fact_id, subject_id, where, version, content in rows:
        if subject_id in ring:
            data = ring.decrypt(subject_id, f"fact.content:{fact_id}", bytes(content))
            found.append(Known(Fact.model_validate_json(data), subject_id, where, version))
    return found


async def meetings(session: AsyncSession, ring: KeyRing, plan: Plan) -> list[tuple[UUID, UUID, Held]]:
    """What the team did together, newest first: id, who recorded it, and the meeting."""
    found = []
    for meeting_id, by, confirmed_by, content in await run(session, _MEETINGS, {"plan_id": plan.plan_id}):
        met = unseal(ring, plan.subject_id, "plan_meeting.content", meeting_id, content, Met)
        found.append((meeting_id, by, Held(met.meeting, met.at, confirmed_by is not None)))
    return sorted(found, key=lambda one: one[2].at, reverse=True)


async def insert(session: AsyncSession, table: str, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows of one of the tables of plans, each with the columns of its dict."""
    for row in rows:
        names, values = ", ".join(row), ", ".join(f":{name}" for name in row)
        await run(session, f"INSERT INTO {table} ({names}) VALUES ({values})", row)  # noqa: S608 — names of ours
