"""HTTP bodies of referral, in and out."""

import base64
import binascii
from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import (
    UUID7,
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    model_validator,
)

from doorstep.contracts.codes import BusinessStatus, Department, LegalBasis, Outcome, Progress, Reason, TaskState
from doorstep.contracts.feeds import Offer
from doorstep.referral.domain.appointments import Appointment
from doorstep.referral.domain.attesting import Attested
from doorstep.referral.domain.deadlines import Late
from doorstep.referral.domain.keys import KeyState, WithdrawnFor
from doorstep.referral.domain.parts import MOST_PARTS
from doorstep.referral.domain.states import Party


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("含无效字符", "has characters that are not text")
    return text


def _x25519(text: str) -> str:
    """A public X25519 key is 32 bytes (RFC 8037 section 2)."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 32 or base64.urlsafe_b64encode(raw).decode().rstrip("=") != text:
        raise ValueError("须为 32 字节的公钥", "must be a public key of 32 bytes in base64url")
    return text


Text = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_no_nul)]


class Body(BaseModel):
    """What may be sent: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(BaseModel):
    """What is answered."""

    model_config = ConfigDict(frozen=True)


class AttestedBody(Body):
    """A fact that the department attests of the request's subject."""

    code: Annotated[str, Field(max_length=80, pattern=r"^[a-z-]+\.[a-z-]+$")]
    value: StrictBool | StrictInt | Annotated[str, Field(max_length=80, pattern=r"^[a-z-]+$")]
    since: AwareDatetime
    until: AwareDatetime | None = None

    def attested(self) -> Attested:
        """The same, for the domain."""
        return Attested(self.code, self.value, self.since, self.until)


class TransitionBody(Body):
    """A department's step with its task; with completion go the facts that it attests."""

    id: UUID7
    to: TaskState
    business_status: BusinessStatus | None = None
    reason: Reason | None = None
    outcome: Outcome | None = None
    note: Text | None = None
    attests: Annotated[tuple[AttestedBody, ...], Field(max_length=10)] = ()


class StationTransitionBody(Body):
    """The station's step: `requested` with a department hands on, `cancelled` and `entered-in-error` take back."""

    id: UUID7
    to: Literal[TaskState.REQUESTED, TaskState.CANCELLED, TaskState.ENTERED_IN_ERROR]
    department: Department | None = None
    part: Annotated[int, Field(ge=1, le=MOST_PARTS)] | None = None
    reason: Reason | None = None
    business_status: BusinessStatus | None = None
    note: Text | None = None

    @model_validator(mode="after")
    def _department_goes_with_requested(self) -> "StationTransitionBody":
        if (self.to is TaskState.REQUESTED) != (self.department is not None):
            raise ValueError("转办须指定部门，其他操作不得指定", "name a department to hand on, and only then")
        return self


class KeyBody(Body):
    """A public X25519 key as JWK (RFC 8037); a private one is refused for its `d`."""

    kty: Literal["OKP"]
    crv: Literal["X25519"]
    x: Annotated[str, Field(max_length=64), AfterValidator(_x25519)]
    kid: str | None = None
    use: Literal["enc"] | None = None
    alg: Literal["ECDH-ES+A256KW"] | None = None
    use_from: AwareDatetime | None = Field(None, description="From when messages are for this key; else at once.")


class KeyAnswer(Answer):
    """A registered key."""

    department: Department
    kid: str
    registered: bool


class WithdrawalBody(Body):
    """Why a key is taken back."""

    reason: WithdrawnFor


class KeyView(Answer):
    """A public key of the department with its dates."""

    kid: str
    state: KeyState
    x: str
    registered_at: datetime
    use_from: datetime
    withdrawn_at: datetime | None = None
    withdrawn_for: WithdrawnFor | None = None


class KeyViews(Answer):
    """A department's keys, in the order in which they come into use."""

    keys: tuple[KeyView, ...]


class FeedEvent(Answer):
    """A message of a feed: a CloudEvent in JSON whose data is a JWE for the department alone, in base64."""

    specversion: Literal["1.0"]
    id: UUID
    source: str
    type: str
    time: str
    datacontenttype: Literal["application/jose"]
    partitionkey: UUID
    number: int
    data_base64: str


class FeedMessages(Answer):
    """A page of a feed; `next` is what to send as `after` for what comes later, `more` whether there is some now."""

    messages: tuple[FeedEvent, ...]
    next: UUID | None = None
    more: bool = False


class EndpointBody(Body):
    """Where webhooks are to go."""

    url: Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_no_nul)]


class EndpointSecret(Answer):
    """The secret that webhooks are signed with, shown this once."""

    url: str
    secret: str


class DeadWebhook(Answer):
    """A message that the endpoint refused again and again, and with which status."""

    id: UUID
    status: int
    died_at: datetime


class EndpointView(Answer):
    """A department's endpoint: `waiting` messages have a place and were not taken yet."""

    url: str
    state: Literal["active", "paused", "gone"]
    registered_at: datetime
    waiting: int
    failures: int
    failing_since: datetime | None = None
    last_status: int | None = None
    next_attempt_at: datetime
    dead_letters: tuple[DeadWebhook, ...]


class ReplayBody(Body):
    """From when on messages are sent again."""

    since: AwareDatetime


class ErasureAnswer(Answer):
    """Since when it is known that the department deleted what it held."""

    ref: UUID
    acknowledged_at: datetime


class OwedErasure(Answer):
    """A withdrawn request that its department has not said to have deleted."""

    department: Department
    ref: UUID
    withdrawn_at: datetime
    delete_by: datetime


class OwedErasures(Answer):
    """What departments owe: how many each, and the oldest."""

    counts: dict[str, int]
    requests: tuple[OwedErasure, ...]


class TransitionAnswer(Answer):
    """Where a task stands now; `proposed` is the state that waits for somebody else's word."""

    ref: UUID
    state: TaskState
    version: int
    business_status: BusinessStatus | None = None
    proposed: TaskState | None = None


class StationTransitionAnswer(Answer):
    """Where a request, or the part that moved, stands now."""

    request_id: UUID
    part: int = 1
    state: TaskState
    version: int
    business_status: BusinessStatus | None = None
    proposed: TaskState | None = None


class ProposalView(Answer):
    """A step that waits for the other side's word, or for a second person's."""

    to: TaskState
    by: Party
    reason: Reason | None = None


class WordingView(Answer):
    """What the department's template says."""

    zh: str
    en: str


class PromisedView(Answer):
    """The papers that the resident promised, and the day until whose end."""

    papers: tuple[str, ...]
    until: date


class TransitionView(Answer):
    """One entry of a task's history; `template` is whose `wording` tells the outcome or the reason, as code@version.

    `promised` is against which promise of the resident work goes on.
    """

    version: int
    from_state: TaskState | None = None
    to_state: TaskState
    at: datetime
    by: Party
    business_status: BusinessStatus | None = None
    reason: Reason | None = None
    outcome: Outcome | None = None
    note: str | None = None
    progress: Progress | None = None
    appointment: Appointment | None = None
    template: str | None = None
    wording: WordingView | None = None
    promised: PromisedView | None = None


class TaskView(Answer):
    """A task and what it owes; `provisional`: the completion counts days of a year whose calendar is not published.

    Where the 12345 hotline waits for an answer too, no time is later than the hotline's.
    """

    state: TaskState
    version: int
    business_status: BusinessStatus | None = None
    proposal: ProposalView | None = None
    assigned: bool
    legal_basis: LegalBasis
    opened_at: datetime
    respond_by: datetime
    complete_by: datetime
    provisional: bool
    overdue: bool
    late: Late
    closed_at: datetime | None = None
    history: tuple[TransitionView, ...] = ()


class DepartmentRequest(TaskView):
    """A request as its department sees it; all ids are its own. Who leads knows by name who has `other_parts`.

    `hotline`: an order of the 12345 hotline waits for it.
    """

    ref: UUID
    offer: Offer
    hotline: bool
    other_parts: tuple[Department, ...] | None = None


class DepartmentRequests(Answer):
    """A page of a department's requests; `next` is what to send as `after` for more."""

    requests: tuple[DepartmentRequest, ...]
    next: UUID | None = None


class StationTask(TaskView):
    """A task as the station sees it; without a department it waits for one; by when the 12345 hotline waits for it."""

    department: Department | None = None
    part: int
    need_type: str
    hotline_due_by: datetime | None = None


class StationRequest(Answer):
    """A request of the station with its tasks by part, the lead's first, of each the live one last."""

    request_id: UUID
    record_id: UUID
    need_id: UUID
    need_type: str
    wanted: bool
    confidential: bool
    continues: UUID | None = None
    parts: int
    tasks: tuple[StationTask, ...]


class StationRequests(Answer):
    """Requests of the station."""

    requests: tuple[StationRequest, ...]
