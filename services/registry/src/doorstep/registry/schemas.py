"""HTTP bodies of the registry."""

from datetime import date, datetime, time, timedelta, timezone
from typing import Annotated, Literal
from uuid import UUID

from pydantic import UUID7, AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StringConstraints

from doorstep.contracts.codes import (
    BreakGlassFinding,
    BreakGlassReason,
    Coded,
    Department,
    LegalBasis,
    ProxyScope,
    SaidBy,
)
from doorstep.contracts.facts import FactValue, SubjectKind
from doorstep.contracts.intake import SafeContact


class ProvenFact(BaseModel):
    """A fact and where it comes from: who said it in which record, on which basis, until when it may be held.

    What a department said, `attested_by`, is of the record from which its request came.
    """

    fact_id: UUID
    code: str
    value: FactValue
    said_by: SaidBy
    legal_basis: LegalBasis
    since: datetime
    record_id: UUID
    file_version: int
    refresh_by: datetime
    attested_by: Coded[Department] | None = None


class FileSubject(BaseModel):
    """A person, dwelling or place of a file."""

    subject_id: UUID
    kind: SubjectKind
    person_id: UUID | None = None
    name: str | None = None
    document_kind: str | None = None
    document_number: str | None = None
    phone: str | None = None
    address: str | None = None
    description: str | None = None
    safe_contact: SafeContact | None = None
    asks_for: tuple[str, ...] | None = None
    facts: tuple[ProvenFact, ...]


class HouseholdFile(BaseModel):
    """A household's file at its newest version."""

    file_id: UUID
    version: int
    subjects: tuple[FileSubject, ...]


class ErasureBody(BaseModel):
    """A wish for an erasure; `id` is made by the client and is the erasure's from now on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: UUID7


class ConfirmationBody(BaseModel):
    """The second person's word; `id` is the client's own for this command."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: UUID7


StaffId = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]


class ExclusionsBody(BaseModel):
    """All staff, by the number that their badge shows, who must not handle the person's matter; nobody if empty."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    staff: Annotated[tuple[StaffId, ...], Field(max_length=20)]


class OwnExclusionsBody(ExclusionsBody):
    """The same, by the person's own follow code."""

    code: Annotated[str, Field(min_length=1, max_length=40)]


class ExclusionsKept(BaseModel):
    """How many are excluded from now on; told alike for a code that nobody has."""

    excluded: int


PLACE = timezone(timedelta(hours=8), "Asia/Shanghai")
LONGEST = timedelta(days=366)
"""A proxy ends within a year."""


def _one_at_least(scopes: tuple[ProxyScope, ...]) -> tuple[ProxyScope, ...]:
    if not scopes:
        raise ValueError("至少一项", "name one at least")
    return scopes


def _by_themselves(alone: bool) -> bool:
    if not alone:
        raise ValueError("代理须由本人单独确认", "a proxy is confirmed by the person alone")
    return alone


def _within_a_year(day: date) -> date:
    today = datetime.now(PLACE).date()
    if not today <= day <= today + LONGEST:
        raise ValueError("须在今日至一年之内", "must lie between today and a year from now")
    return day


class ProxyGrantBody(BaseModel):
    """What the proxy may do, the last day, and that the person confirms it with nobody else there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scopes: Annotated[tuple[ProxyScope, ...], AfterValidator(_one_at_least)]
    until: Annotated[date, AfterValidator(_within_a_year)]
    alone: Annotated[StrictBool, AfterValidator(_by_themselves)]

    @property
    def ends_at(self) -> datetime:
        """The end of the last day at the station."""
        return datetime.combine(self.until + timedelta(days=1), time(), PLACE)


class ProxyBody(BaseModel):
    """A proxy for the person of the code, in the place of the one before; without `proxy` there is none any more."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: Annotated[str, Field(min_length=1, max_length=40)]
    proxy: ProxyGrantBody | None


class ProxyKept(BaseModel):
    """The code of the proxy, shown this once, and until when it opens; told alike for a code that nobody has."""

    proxy_code: str | None
    until: datetime | None


class ErasureAnswer(BaseModel):
    """Where an erasure stands: it waits for a second person, or is confirmed and carried out everywhere."""

    erasure_id: UUID
    state: Literal["asked", "confirmed"]
    at: datetime


class BreakGlassBody(BaseModel):
    """An emergency: why, and who of the station is told at once; `id` is the access's from now on, and its case."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: UUID7
    reason: BreakGlassReason
    second: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]


class AcknowledgementBody(BaseModel):
    """The second person was told; `id` is the client's own for this command."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: UUID7


class ReviewBody(BaseModel):
    """What a third person found of an emergency access; `id` is the client's own for this command."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: UUID7
    finding: BreakGlassFinding


class BreakGlassAnswer(BaseModel):
    """An emergency access after a step: when that was, or until when the file is open."""

    break_glass_id: UUID
    state: Literal["open", "acknowledged", "reviewed"]
    at: datetime


class BreakGlassNotice(BaseModel):
    """An emergency access: who, when, why, which file; nothing of what the file holds.

    `overdue` says that nobody reviewed it by `review_by`. Whoever was erased is named no more.
    """

    break_glass_id: UUID
    file_id: UUID
    reason: BreakGlassReason
    opened_by: str | None = None
    second: str | None = None
    opened_at: datetime
    until: datetime
    acknowledged_at: datetime | None = None
    reviewed_at: datetime | None = None
    finding: BreakGlassFinding | None = None
    review_by: datetime
    overdue: bool


class BreakGlassNotices(BaseModel):
    """The emergency accesses of a station, those without review first."""

    notices: tuple[BreakGlassNotice, ...]
