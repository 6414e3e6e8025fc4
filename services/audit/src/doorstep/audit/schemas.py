"""What may be asked, and bodies of answers."""

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import UUID7, AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from doorstep.audit.domain.criteria import ASKED_BY_ACTION, WORD
from doorstep.audit.domain.inquiry import Ground, Standing
from doorstep.contracts.codes import DeferralReason, LegalBasis, Purpose
from doorstep.contracts.topics import SERVICES


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


class InWords(BaseModel):
    """A text in Chinese and in English."""

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
    title: InWords
    looks_at: InWords
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


def _known(*codes: str) -> AfterValidator:
    """A code of a list, which the fault names."""

    def require(code: str) -> str:
        if code not in codes:
            every = ", ".join(sorted(codes))
            raise ValueError(f"不是已知代码，须为：{every}", f"is not a known code; known are: {every}")
        return code

    return AfterValidator(require)


def _word(value: str) -> str:
    if WORD.fullmatch(value) is None:
        raise ValueError(
            "须为 1 至 64 个字母、数字或 . _ : / @ + -", "must be 1 to 64 letters, digits or . _ : / @ + -"
        )
    return value


def _moment(moment: datetime) -> datetime:
    try:
        in_utc = moment.astimezone(UTC)
    except OverflowError:
        in_utc = datetime.min.replace(tzinfo=UTC)
    if not 2000 <= in_utc.year < 3000:
        raise ValueError("须在 2000 年至 2999 年之间", "must be in a year from 2000 to 2999")
    return in_utc


Moment = Annotated[AwareDatetime, AfterValidator(_moment)]
Word = Annotated[str, AfterValidator(_word)]
FollowCode = Annotated[str, Field(min_length=1, max_length=64)]


class TimeAsked(BaseModel):
    """Done at or after `since` and before `until`; the times have their offset from UTC."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: Moment | None = None
    until: Moment | None = None


class PortionAsked(BaseModel):
    """At most `limit` entries; `cursor` is that of the answer which this one is to go on from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    cursor: Annotated[str, Field(max_length=200)] | None = None


class CriteriaAsked(TimeAsked):
    """What the details of entries say; what is left out is not asked for.

    `policy` is one of those that permitted or forbade, `rule_pack` one that was in force; the outcome `refused` is that
    of all tries that were refused.
    """

    service: Annotated[str, _known(*SERVICES)] | None = None
    agency: Word | None = None
    station: Word | None = None
    action: Annotated[str, _known(*ASKED_BY_ACTION)] | None = None
    purpose: Annotated[str, _known(*Purpose)] | None = None
    legal_basis: Annotated[str, _known(*LegalBasis)] | None = None
    case: UUID | None = None
    record: UUID | None = None
    actor: Word | None = None
    policy: Word | None = None
    rule_pack: Word | None = None
    outcome: Word | None = None


class SearchAsked(CriteriaAsked, PortionAsked):
    """A search, or how it goes on."""


class LifeAsked(TimeAsked, PortionAsked):
    """Of a record's life: when, and how much at once."""


class EntryShown(BaseModel):
    """What an entry's detail says; never whom it is about.

    `index` is None while the entry waits for its place. `at` is exact. `asked` is what an auditor searched for.
    `subjects` says under how many subjects' keys it could be read.
    """

    entry_id: UUID
    index: int | None
    at: datetime
    service: str
    agency: str | None
    station: str | None
    role: str | None
    actor: str | None
    action: str
    outcome: str
    purpose: str | None
    legal_basis: str | None
    case: str | None
    record: str | None
    policies: list[str]
    asked: str | None
    officer: str | None = None
    subjects: int


class EntriesFound(BaseModel):
    """Entries that were found, in the order of their time within this answer.

    The log was gone through from `since` to `until` as far as `reached`, which is `until` at the end: then `cursor` is
    None. Else the search goes on with `cursor`. `gone_through` counts the entries that were opened for this answer.
    """

    since: datetime
    until: datetime
    reached: datetime
    gone_through: int
    cursor: str | None
    entries: list[EntryShown]


class InquiryBody(BaseModel):
    """An inquiry about a person, under an id that the caller made.

    `follow_code` is the one on the person's receipt, who complains; without it a second auditor has to agree.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: UUID7
    subject_id: UUID
    follow_code: FollowCode | None = None


class AgreementBody(BaseModel):
    """A second auditor's agreement, under an id that the caller made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: UUID7


class InquiryShown(BaseModel):
    """How an inquiry stands: `waiting` for a second auditor, or `open`, and until when."""

    inquiry_id: UUID
    ground: Ground
    standing: Standing
    until: datetime


class EntriesAbout(BaseModel):
    """Entries about the person of an inquiry, in the order of their time within this answer; `cursor` goes on."""

    inquiry_id: UUID
    cursor: str | None
    entries: list[EntryShown]


class Body(BaseModel):
    """What may be sent: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Behind(BaseModel):
    """The place in a list behind the usage of this time and entry."""

    at: AwareDatetime
    entry_id: UUID


class UsageBody(Body):
    """The code on the receipt; `before` is `next` of an answer, to read on where it ended.

    `others` are codes of the same person's other records: what is shown is shown of all of them together.
    """

    code: Annotated[str, Field(min_length=1, max_length=64)]
    others: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=64)], ...], Field(max_length=49)] = ()
    before: Behind | None = None


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
