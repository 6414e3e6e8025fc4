"""Bodies of answers."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


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


class DeclaredTies(BaseModel):
    """All cases that somebody must not handle, by the ids of records, files or requests; what is left out, ends."""

    model_config = ConfigDict(extra="forbid")

    cases: Annotated[list[UUID], Field(max_length=200)]


class TiesKept(BaseModel):
    """How many different cases are declared now. Which ones cannot be read here by anybody."""

    declared: int


class InBothLanguages(BaseModel):
    """A text in Chinese and English."""

    model_config = ConfigDict(from_attributes=True)

    zh: str
    en: str


class EntryCited(BaseModel):
    """An entry of the log; `index` is its place, None while it waits for one."""

    model_config = ConfigDict(from_attributes=True)

    entry_id: UUID
    index: int | None


class ConductFinding(BaseModel):
    """Something that one actor did and that is to be asked about: a question, no verdict.

    `actor` is a random id. It is what a rule found on one day, or at one stretch where it counts: then `reached` is the
    highest number within its minutes. `count` is how many entries are cited.
    """

    actor: str
    role: str | None
    agency: str | None
    station: str | None
    first: datetime
    last: datetime
    count: int
    reached: int | None
    entries: list[EntryCited]


class ConductOfRule(BaseModel):
    """A rule, what it looks at, and what it found, in the order of time."""

    id: str
    title: InBothLanguages
    looks_at: InBothLanguages
    findings: list[ConductFinding]


class Conduct(BaseModel):
    """What the rules of conduct `pack`, an id with a digest, found from `since` until before `until`."""

    pack: str
    since: datetime
    until: datetime
    rules: list[ConductOfRule]


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
