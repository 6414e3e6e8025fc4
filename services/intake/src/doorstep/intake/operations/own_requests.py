"""Requests of one's own, taken by the follow code as a record of the person's file."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.ages import of_age_on
from doorstep.contracts.codes import Channel, LegalBasis, Role, SaidBy
from doorstep.contracts.facts import Fact, SubjectKind
from doorstep.contracts.intake import Card
from doorstep.contracts.needs import wish_for
from doorstep.intake import queries
from doorstep.intake.domain.record import Record, Subject
from doorstep.intake.errors import CodeUnknown, TooManyOwnRequests
from doorstep.intake.operations.records import STAFF, SubjectContent, Taken, follower, store
from doorstep.intake.queries import OwnRow, RecordRow
from doorstep.kit import idempotency
from doorstep.kit.auth import Principal
from doorstep.kit.vault import KeyRing, Vault

OWN_REQUESTS_A_DAY = 10
"""So many requests of one's own are taken by one code within a day."""
_RESIDENT = Principal("resident", Role.RESIDENT, "resident")
_BIRTH_YEAR = "identity.birth-year"


@dataclass(frozen=True)
class OwnRequest:
    """What somebody asks for by their follow code: a service of the menu, as a record under an id of theirs."""

    record_id: UUID
    code: str
    service: str


async def take_own_request(
    session: AsyncSession, *, vault: Vault, request: OwnRequest, digest: bytes, now: datetime
) -> Taken:
    """Take a request of one's own as a record of the person's file, with a mention, and a code, of its own.

    Their phone is left out where they named a safe contact, which holds for its record alone, or left that household
    since. Raises CodeUnknown, TooManyOwnRequests, IdReused, Erased.
    """
    index = vault.follow_index(request.code)
    resident, subject_id = Principal(follower(index), Role.RESIDENT, "resident"), uuid4()
    answer = {"recorded_at": now.isoformat(), "subject_id": str(subject_id)}
    replay = await idempotency.claim(session, resident, request.record_id, digest, answer=answer)
    found = await queries.person_by_code(session, index)
    ring = await vault.ring([] if found is None else [found.subject_id])
    content = None if found is None or found.subject_id not in ring else _opened(ring, found)
    if found is None or content is None or not _asks_alone(content, now.date()):
        raise CodeUnknown
    if replay is not None:
        subject_id = UUID(replay.answer["subject_id"])
        codes = {subject_id: vault.follow_code(subject_id)}
        return Taken(datetime.fromisoformat(replay.answer["recorded_at"]), codes, again=True)
    recorder = vault.pairwise(STAFF, resident.subject)
    if await queries.own_records(session, found.file_id, recorder, now - timedelta(days=1)) >= OWN_REQUESTS_A_DAY:
        raise TooManyOwnRequests
    said = Fact(
        fact_id=uuid4(),
        code=wish_for(request.service),
        value=True,
        said_by=SaidBy.PERSON,
        legal_basis=LegalBasis.CONSENT,
        since=now,
    )
    card = _own_card(content.card, left=found.left)
    person = Subject(subject_id, SubjectKind.PERSON, card, (said,), same_as=found.subject_id)
    record = Record(request.record_id, found.file_id, True, Channel.RESIDENT, now, (person,))
    row = RecordRow(request.record_id, found.file_id, found.station, Channel.RESIDENT, now, now, recorder)
    codes = {subject_id: vault.follow_code(subject_id)}
    await store(session, vault, record, row, codes, _RESIDENT)
    return Taken(now, codes, again=False)


def _opened(ring: KeyRing, found: OwnRow) -> SubjectContent:
    plain = ring.decrypt(found.subject_id, f"record_subject.content:{found.record_id}", found.content)
    return SubjectContent.model_validate_json(plain)


def _own_card(card: Card, *, left: bool) -> Card:
    """How the person is named in their own request."""
    hidden = {"safe_contact": None, "asks_for": None, "follow_code": None}
    if left or card.safe_contact is not None:  # it may be the phone of the home that they left
        hidden["phone"] = None
    return card.model_copy(update=hidden)


def _asks_alone(content: SubjectContent, today: date) -> bool:
    """Whether they are known to be of their own age, by the paper, else by the year that the same record states.

    Nobody is where neither is known: a guardian who was suspended may hold the receipt of a child.
    """
    years = [int(fact.value) for fact in content.facts if fact.code == _BIRTH_YEAR]
    since = of_age_on(content.card.document_kind, content.card.document_number, max(years, default=None))
    return since is not None and since <= today
