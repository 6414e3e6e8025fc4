"""Bodies of answers."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import UUID7, AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from doorstep.contracts.codes import DeferralReason


class Inclusion(BaseModel):
    """That an entry is in the log. Hashes are base64, the proof goes from the leaf's sibling up (RFC 9162, 2.1.3.1).

    `checkpoint` is the signed note over `size` entries whose root the proof leads to.
    """

    entry_id: UUID
    index: int
    size: int
    leaf_hash: str
    proof: list[str]
    checkpoint: str


class PromisesOf(BaseModel):
    """How far the log has what one service promised.

    `last_number` and `promised_until` are those of its last manifest, None before the first; `waiting` counts manifests
    that are not matched yet, `gaps` what is open in the list of gaps.
    """

    model_config = ConfigDict(from_attributes=True)

    service: str
    last_number: int | None
    promised_until: datetime | None
    waiting: int
    gaps: int


class GapShown(BaseModel):
    """Something that was promised and the log does not hold, or holds unpromised; `closed_at` is None while it is open.

    `kind` is one of entries-missing, entries-unpromised, entries-different, manifest-missing, manifest-contradicted,
    silent. `promised` and `stored` are numbers of entries; `number` is the manifest's.
    """

    model_config = ConfigDict(from_attributes=True)

    service: str
    kind: str
    number: int
    begins: datetime | None
    ends: datetime | None
    promised: int | None
    stored: int | None
    opened_at: datetime
    closed_at: datetime | None


class Promises(BaseModel):
    """What every service promised, and the gaps, open ones first and then the latest."""

    services: list[PromisesOf]
    gaps: list[GapShown]


class Body(BaseModel):
    """What may be sent: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Behind(BaseModel):
    """The place in a list behind the usage of this time and entry."""

    at: AwareDatetime
    entry_id: UUID


class UsageBody(Body):
    """The code on the receipt; `before` is `next` of an answer, to read on where it ended."""

    code: Annotated[str, Field(min_length=1, max_length=64)]
    before: Behind | None = None


class InWords(BaseModel):
    """A text in Chinese and in English."""

    model_config = ConfigDict(from_attributes=True)

    zh: str
    en: str


class UsageShown(BaseModel):
    """A use of the resident's data: when, which agency, in which system, why; its receipt has the entry's id."""

    model_config = ConfigDict(from_attributes=True)

    entry_id: UUID
    at: datetime
    agency: InWords
    system: InWords
    reason: InWords


class UsagesShown(BaseModel):
    """Usages, the newest first; `next` is the place to read on from, None at the end."""

    usages: list[UsageShown]
    next: Behind | None


class DeferralBody(Body):
    """Asks that a resident be told later of the uses for one case: a record, a file or a request."""

    id: UUID7
    subject_id: UUID
    case: UUID
    reason: DeferralReason


class DeferralShown(BaseModel):
    """A deferral. It hides nothing before `approved_at`, and nothing from `lapses_at` on."""

    id: UUID
    asked_at: datetime
    approved_at: datetime | None
    lapses_at: datetime


class PortalUsage(BaseModel):
    """One use of data, as a national portal shows it."""

    model_config = ConfigDict(alias_generator=to_camel)

    logtime: datetime
    action: str
    receiver_code: str
    receiver_name: str
    receiver_system: str


class PortalUsages(BaseModel):
    """The uses asked for; `totalUsages` counts all of the period, whatever `limit` and `offset` are."""

    model_config = ConfigDict(alias_generator=to_camel)

    total_usages: Annotated[int, Field(json_schema_extra={"format": "int32"})]
    usages: list[PortalUsage]


class PortalPeriod(BaseModel):
    """From when on uses are held; until now."""

    model_config = ConfigDict(alias_generator=to_camel)

    period_start: datetime


class Heartbeat(BaseModel):
    """Whether uses can be asked for now."""

    status: Literal["OK", "FAIL"]
    message: str
