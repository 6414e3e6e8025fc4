"""The encrypted columns: what they hold, and how they are bound to table, column and row."""

from typing import TypeVar
from uuid import UUID

from doorstep.contracts.codes import BusinessStatus, Coded, Outcome, Progress, Reason, TaskState
from doorstep.contracts.documents import DocumentForm, DocumentKind
from doorstep.contracts.envelope import Contract
from doorstep.contracts.papers import Paper
from doorstep.contracts.referral import Rating
from doorstep.kit.vault import KeyRing
from doorstep.referral.domain.appointments import Appointment
from doorstep.referral.domain.conferences import Minute, Plan
from doorstep.referral.domain.content import Content
from doorstep.referral.domain.promises import Promised
from doorstep.referral.domain.states import Party, Proposal

Held = TypeVar("Held", bound=Contract)


class Wording(Contract):
    """What a template says of an outcome or a reason, filled in."""

    zh: str
    en: str


class Detail(Contract):
    """What a transition said; `note` is free text, `wording` what its `template` (code@version) says.

    `promised` is against which promise of the resident work goes on.
    """

    business_status: BusinessStatus | None = None
    reason: Reason | None = None
    outcome: Outcome | None = None
    note: str | None = None
    progress: Progress | None = None
    appointment: Appointment | None = None
    template: str | None = None
    wording: Wording | None = None
    promised: Promised | None = None


class PartNeed(Contract):
    """What a part is about."""

    need_type: str


class MissingPapers(Contract):
    """All papers that a resident was told to bring."""

    papers: tuple[Coded[Paper], ...]


class About(Contract):
    """What a document is, how many bytes it has, and their SHA-256 in hex."""

    kind: Coded[DocumentKind]
    form: DocumentForm
    size: int
    sha256: str


class Proposed(Contract):
    """A step that waits for somebody else's word."""

    to: TaskState
    party: Party
    person: str
    reason: str


def seal_content(ring: KeyRing, subject_id: UUID, request_id: UUID, content: Content) -> bytes:
    """For `request.content`."""
    return _seal(ring, subject_id, f"request.content:{request_id}", content)


def open_content(ring: KeyRing, subject_id: UUID, request_id: UUID, blob: bytes) -> Content:
    """From `request.content`. Raises SubjectErased or SealBroken, as all of these do."""
    return _open(ring, subject_id, f"request.content:{request_id}", blob, Content)


def seal_part_need(ring: KeyRing, subject_id: UUID, task_id: UUID, need_type: str) -> bytes:
    """For `task.part_need`."""
    return _seal(ring, subject_id, f"task.part_need:{task_id}", PartNeed(need_type=need_type))


def open_part(ring: KeyRing, subject_id: UUID, task_id: UUID, whole: Content, blob: bytes | None) -> Content:
    """What of the `whole` request a task is about, from `task.part_need`; the lead's is about all of it."""
    if blob is None:
        return whole
    return whole.part(_open(ring, subject_id, f"task.part_need:{task_id}", blob, PartNeed).need_type)


def seal_proposal(ring: KeyRing, subject_id: UUID, task_id: UUID, proposal: Proposal | None) -> bytes | None:
    """For `task.proposal`."""
    if proposal is None:
        return None
    held = Proposed(to=proposal.to, party=proposal.party, person=proposal.person, reason=proposal.reason)
    return _seal(ring, subject_id, f"task.proposal:{task_id}", held)


def open_proposal(ring: KeyRing, subject_id: UUID, task_id: UUID, blob: bytes | None) -> Proposal | None:
    """From `task.proposal`."""
    if blob is None:
        return None
    held = _open(ring, subject_id, f"task.proposal:{task_id}", blob, Proposed)
    return Proposal(held.to, held.party, held.person, held.reason)


def seal_detail(ring: KeyRing, subject_id: UUID, task_id: UUID, version: int, detail: Detail) -> bytes:
    """For `task_transition.detail`."""
    return _seal(ring, subject_id, f"task_transition.detail:{task_id}/{version}", detail)


def open_detail(ring: KeyRing, subject_id: UUID, task_id: UUID, version: int, blob: bytes | None) -> Detail:
    """From `task_transition.detail`."""
    if blob is None:
        return Detail()
    return _open(ring, subject_id, f"task_transition.detail:{task_id}/{version}", blob, Detail)


def seal_plan(ring: KeyRing, subject_id: UUID, conference_id: UUID, plan: Plan) -> bytes:
    """For `conference.plan`."""
    return _seal(ring, subject_id, f"conference.plan:{conference_id}", plan)


def open_plan(ring: KeyRing, subject_id: UUID, conference_id: UUID, blob: bytes) -> Plan:
    """From `conference.plan`."""
    return _open(ring, subject_id, f"conference.plan:{conference_id}", blob, Plan)


def seal_minute(ring: KeyRing, subject_id: UUID, conference_id: UUID, number: int, minute: Minute) -> bytes:
    """For `minute.body`."""
    return _seal(ring, subject_id, f"minute.body:{conference_id}/{number}", minute)


def open_minute(ring: KeyRing, subject_id: UUID, conference_id: UUID, number: int, blob: bytes) -> Minute:
    """From `minute.body`."""
    return _open(ring, subject_id, f"minute.body:{conference_id}/{number}", blob, Minute)


def seal_papers(ring: KeyRing, subject_id: UUID, task_id: UUID, papers: tuple[Paper, ...]) -> bytes:
    """For `task.missing_papers`."""
    return _seal(ring, subject_id, f"task.missing_papers:{task_id}", MissingPapers(papers=papers))


def open_papers(ring: KeyRing, subject_id: UUID, task_id: UUID, blob: bytes | None) -> tuple[str, ...]:
    """From `task.missing_papers`."""
    if blob is None:
        return ()
    return _open(ring, subject_id, f"task.missing_papers:{task_id}", blob, MissingPapers).papers


def seal_about(ring: KeyRing, subject_id: UUID, document_id: UUID, about: About) -> bytes:
    """For `document.about`."""
    return _seal(ring, subject_id, f"document.about:{document_id}", about)


def open_about(ring: KeyRing, subject_id: UUID, document_id: UUID, blob: bytes) -> About:
    """From `document.about`."""
    return _open(ring, subject_id, f"document.about:{document_id}", blob, About)


def seal_file(ring: KeyRing, subject_id: UUID, document_id: UUID, file: bytes) -> bytes:
    """For `document.file`."""
    return ring.encrypt(subject_id, f"document.file:{document_id}", file)


def open_file(ring: KeyRing, subject_id: UUID, document_id: UUID, blob: bytes) -> bytes:
    """From `document.file`."""
    return ring.decrypt(subject_id, f"document.file:{document_id}", blob)


def seal_rating(ring: KeyRing, subject_id: UUID, request_id: UUID, rating: Rating) -> bytes:
    """For `rating.rating`."""
    return _seal(ring, subject_id, f"rating.rating:{request_id}", rating)


def _seal(ring: KeyRing, subject_id: UUID, context: str, held: Contract) -> bytes:
    return ring.encrypt(subject_id, context, held.model_dump_json(exclude_none=True).encode())


def _open(ring: KeyRing, subject_id: UUID, context: str, blob: bytes, model: type[Held]) -> Held:
    return model.model_validate_json(ring.decrypt(subject_id, context, blob))
