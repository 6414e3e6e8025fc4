"""HTTP bodies of intake. Unknown fields are refused; texts hold no control characters."""

import re
import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    model_validator,
)

from doorstep.contracts.codes import Barred, Channel, LegalBasis, SafeChannel, SaidBy
from doorstep.contracts.facts import CATALOGUE, Fact, SubjectKind
from doorstep.contracts.intake import Card, SafeContact
from doorstep.contracts.needs import MENU
from doorstep.contracts.orders import LONGEST_TERM, ORDER_NUMBER, ORDERED
from doorstep.intake.domain.orders import Order, facts_of
from doorstep.intake.domain.papers import PaperKind
from doorstep.intake.domain.record import Record, Subject

_TURNS_TEXT = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _plain(text: str) -> str:
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Co", "Cn") or letter in _TURNS_TEXT for letter in text):
        raise ValueError("含控制字符或无效字符", "has control characters or characters that are not text")
    return text


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("不能为空", "is blank")
    return text


def _version_7(identifier: UUID) -> UUID:
    if identifier.version != 7:
        raise ValueError("编号须为 UUIDv7", "must be a UUIDv7")
    return identifier


def _random(identifier: UUID) -> UUID:
    if identifier.version not in (4, 7):
        raise ValueError("编号须为随机编号（UUIDv4 或 UUIDv7）", "must be a random id (UUIDv4 or UUIDv7)")
    return identifier


def _written(time: Any) -> Any:
    if not isinstance(time, str) or not _TIME.match(time):
        raise ValueError("须为带时区的时间", "must be a time with its offset, like 2026-11-21T18:00:00+08:00")
    return time


def _in_utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("不是有效时间", "is not a time") from None


_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}")
Time = Annotated[AwareDatetime, BeforeValidator(_written), AfterValidator(_in_utc)]
Text = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain), AfterValidator(_said)]
MOST_SUBJECTS = 24
"""Of a record: what follows from it, all wishes of everybody, still fits into one event."""

Phone = Annotated[str, Field(pattern=r"^\+?[0-9]{5,15}$")]
Hour = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
NewId = Annotated[UUID, AfterValidator(_version_7)]
RandomId = Annotated[UUID, AfterValidator(_random)]


class Body(BaseModel):
    """A body that refuses what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FactBody(Body):
    """A fact as stated: its code in the catalogue, its value, who said it, on which legal basis, since when."""

    fact_id: RandomId
    code: Text
    value: StrictBool | StrictInt | Annotated[StrictStr, AfterValidator(_plain), Field(max_length=40)]
    said_by: SaidBy
    legal_basis: LegalBasis
    since: Time
    until: Time | None = None

    def fact(self) -> Fact:
        """The fact in the words of the contracts."""
        return Fact(**self.model_dump())


_NOT_SAID = Field(exclude_if=lambda value: value is None)
"""Absent where it was not said: a record that was sent before there was such a field has the digest that it had."""


class SafeContactBody(Body):
    """How the person can be reached without danger: by what, in which hours of local time, under which cover."""

    channel: SafeChannel
    number: Phone | None = None
    hours_from: Hour
    hours_to: Hour
    cover: Annotated[Text, Field(max_length=60)]


class SubjectBody(Body):
    """A person (name, papers, phone), a dwelling (address) or a place (description), with the facts stated of it."""

    subject_id: RandomId
    kind: SubjectKind
    name: Annotated[Text, Field(max_length=100)] | None = None
    document_kind: PaperKind | None = None
    document_number: Text | None = None
    phone: Phone | None = None
    safe_contact: Annotated[SafeContactBody | None, _NOT_SAID] = None
    asks_for: Annotated[tuple[Barred, ...] | None, Field(max_length=len(Barred)), _NOT_SAID] = None
    address: Text | None = None
    description: Text | None = None
    facts: Annotated[tuple[FactBody, ...], Field(max_length=60)] = ()

    def subject(self) -> Subject:
        """The subject in the words of the domain."""
        given = self.model_dump(mode="json", include=set(Card.model_fields), exclude_none=True)
        card = Card.model_validate(given, strict=False)
        return Subject(self.subject_id, self.kind, card, tuple(fact.fact() for fact in self.facts))


class RecordBody(Body):
    """One record. Its ids are made by the client, so that it may be sent twice; `household` says whether the file
    begins with it (`new`) or exists already (`known`)."""

    record_id: NewId
    file_id: RandomId
    household: Literal["new", "known"] = "new"
    channel: Channel
    visited_at: Time
    subjects: Annotated[tuple[SubjectBody, ...], Field(min_length=1, max_length=MOST_SUBJECTS)]

    def record(self) -> Record:
        """The record in the words of the domain."""
        return Record(
            record_id=self.record_id,
            file_id=self.file_id,
            continues=self.household == "known",
            channel=self.channel,
            visited_at=self.visited_at,
            subjects=tuple(subject.subject() for subject in self.subjects),
        )


class Receipt(BaseModel):
    """What one person takes home: the code by which that person alone follows their requests."""

    subject_id: UUID
    follow_code: str


class RecordTaken(BaseModel):
    """The record was taken; each person's receipt is that person's own."""

    record_id: UUID
    file_id: UUID
    recorded_at: datetime
    receipts: tuple[Receipt, ...]


def _on_the_menu(service: str) -> str:
    if service not in {one.code for one in MENU}:
        raise ValueError("服务菜单中没有此项", "is not on the menu of services")
    return service


class OwnRequestBody(Body):
    """A request of one's own: a service of the menu, asked for by the code on a receipt."""

    id: NewId
    code: Annotated[str, Field(min_length=1, max_length=64)]
    service: Annotated[str, AfterValidator(_on_the_menu), Field(json_schema_extra={"enum": [one.code for one in MENU]})]


class OwnRequestTaken(BaseModel):
    """The request was taken; it is followed by a code of its own."""

    record_id: UUID
    follow_code: str
    recorded_at: datetime


class Service(BaseModel):
    """A service that residents ask for by themselves, and in how many working days it is done."""

    code: str
    zh: str
    en: str
    department_zh: str
    department_en: str
    working_days: int


class Menu(BaseModel):
    """What can be asked for; it costs nothing to ask, to withdraw, or not to ask."""

    services: tuple[Service, ...]


def _known(need_type: str) -> str:
    if need_type not in ORDERED:
        raise ValueError("工单不受理此类事项", "is nothing that an order names")
    return need_type


NeedType = Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": sorted(ORDERED)})]


class CallerBody(Body):
    """Who called, as a record names a person; somebody without a paper, or who shows none, is taken too."""

    name: Annotated[Text, Field(max_length=100)]
    document_kind: PaperKind | None = None
    document_number: Text | None = None
    phone: Phone | None = None


class OrderBody(Body):
    """An order: the hotline's number, when it was taken and is due by its clock, what it is about, and whom or where.

    `caller` for what a person needs, `address` for a dwelling, `place` for a public hazard: exactly one, as its need
    types say. Whoever tells of a dwelling or a place stays with the hotline, and may be anonymous.
    """

    number: Annotated[str, Field(pattern=ORDER_NUMBER)]
    called_at: Time
    due_by: Time
    need_types: Annotated[tuple[NeedType, ...], Field(min_length=1, max_length=5)]
    area: Annotated[str, Field(pattern=r"^[0-9]{6}(?:[0-9]{3}){0,2}$")]
    caller: CallerBody | None = None
    address: Text | None = None
    place: Text | None = None
    said: Text | None = None

    @model_validator(mode="after")
    def _fits(self) -> "OrderBody":
        if len(set(self.need_types)) < len(self.need_types):
            raise ValueError("事项重复", "names a need type twice")
        if len({CATALOGUE[ORDERED[one][0]].subject for one in self.need_types}) > 1:
            raise ValueError(
                "一张工单只能涉及一类对象", "is about persons, dwellings or places, and not about two of these"
            )
        given = {SubjectKind.PERSON: self.caller, SubjectKind.DWELLING: self.address, SubjectKind.PLACE: self.place}
        if [kind for kind, value in given.items() if value is not None] != [self.kind]:
            raise ValueError(
                "须且只须填写 caller、address、place 中与事项相符的一项", "needs one of caller, address, place"
            )
        if not self.called_at < self.due_by <= self.called_at + LONGEST_TERM:
            raise ValueError("到期时间须晚于来电时间且不超过一年", "is due after its call, within a year")
        return self

    @property
    def kind(self) -> SubjectKind:
        """What the order is about."""
        return CATALOGUE[ORDERED[self.need_types[0]][0]].subject

    def order(self) -> Order:
        """The order beside its record."""
        return Order(self.number, self.need_types, self.area, self.called_at, self.due_by, self.said)

    def record(self, record_id: UUID) -> Record:
        """The record that the order becomes, in a file of its own."""
        caller = {} if self.caller is None else self.caller.model_dump(mode="json", exclude_none=True)
        card = Card(**caller, address=self.address, description=self.place)
        subject = Subject(uuid4(), self.kind, card, facts_of(self.order()))
        return Record(record_id, uuid4(), False, Channel.HOTLINE, self.called_at, (subject,))


class OrderAnswer(BaseModel):
    """The order was received under this receipt, by which the hotline follows it."""

    receipt: UUID
    received_at: datetime


class SubjectShown(BaseModel):
    """A subject of a record as it was written."""

    subject_id: UUID
    kind: SubjectKind
    name: str | None = None
    document_kind: str | None = None
    document_number: str | None = None
    phone: str | None = None
    address: str | None = None
    description: str | None = None
    safe_contact: SafeContact | None = None
    asks_for: tuple[str, ...] | None = None
    said: str | None = None
    facts: tuple[Fact, ...]


class RecordShown(BaseModel):
    """A record as it was written."""

    record_id: UUID
    file_id: UUID
    station: str
    channel: Channel
    visited_at: datetime
    recorded_at: datetime
    subjects: tuple[SubjectShown, ...]
