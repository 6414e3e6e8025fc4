"""What a record may state: facts of the catalogue, of the right subject and type, said by whom may say them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from doorstep.contracts.codes import Channel, SafeChannel, SaidBy
from doorstep.contracts.facts import ASKED_ALONE, CATALOGUE, SEALING, Fact, FactKind, FactType, SubjectKind
from doorstep.contracts.intake import Card, SafeContact

AHEAD = timedelta(minutes=5)
"""How far the clock of a phone may be ahead."""

_CARD_FIELDS: dict[SubjectKind, frozenset[str]] = {
    SubjectKind.PERSON: frozenset({"name", "document_kind", "document_number", "phone", "safe_contact", "asks_for"}),
    SubjectKind.DWELLING: frozenset({"address"}),
    SubjectKind.PLACE: frozenset({"description"}),
}
_NEEDED: dict[SubjectKind, str] = {
    SubjectKind.PERSON: "name",
    SubjectKind.DWELLING: "address",
    SubjectKind.PLACE: "description",
}


@dataclass(frozen=True)
class Subject:
    """A person, dwelling or place of a record; `same_as` is by whose code they asked for themselves."""

    subject_id: UUID
    kind: SubjectKind
    card: Card
    facts: tuple[Fact, ...]
    same_as: UUID | None = None

    @property
    def asked_alone(self) -> bool:
        """Whether the record says that nobody else was there."""
        return any(fact.code == ASKED_ALONE and fact.value is True for fact in self.facts)


@dataclass(frozen=True)
class Record:
    """A record as it was written at the door; `continues` says that the household's file exists already."""

    record_id: UUID
    file_id: UUID
    continues: bool
    channel: Channel
    visited_at: datetime
    subjects: tuple[Subject, ...]

    @property
    def people(self) -> tuple[Subject, ...]:
        """The persons of the record."""
        return tuple(subject for subject in self.subjects if subject.kind is SubjectKind.PERSON)

    @property
    def kinds(self) -> list[FactKind]:
        """The kinds of fact that are stated; a safe contact is one of contact."""
        stated = {CATALOGUE[fact.code].kind for one in self.subjects for fact in one.facts}
        contact = {FactKind.CONTACT} if any(one.card.safe_contact is not None for one in self.subjects) else set()
        return sorted(stated | contact)

    @property
    def seals_address(self) -> bool:
        """Whether somebody asks that the address stays at the station."""
        return any(fact.code in SEALING and fact.value is True for one in self.subjects for fact in one.facts)


def with_shared_numbers(record: Record) -> Record:
    """The record with a mark on each number that several of its persons gave."""
    given = Counter(one.card.phone for one in record.people if one.card.phone is not None)
    shared = {number for number, persons in given.items() if persons > 1}
    marked = tuple(
        replace(one, card=one.card.model_copy(update={"phone_shared": True})) if one.card.phone in shared else one
        for one in record.subjects
    )
    return replace(record, subjects=marked)


@dataclass(frozen=True)
class Flaw:
    """What is wrong at `path` of a record."""

    path: tuple[str | int, ...]
    zh: str
    en: str


_NOT_ALONE = Flaw(
    (),
    "只可在本人单独在场时询问；记录须以 contact.asked-alone 注明",
    "is asked only alone; the record has to say that it was (contact.asked-alone)",
)


def flaws(record: Record, *, now: datetime) -> list[Flaw]:
    """All that is wrong with `record` at the time `now`; nothing of its content is repeated."""
    found = [*_wrong_times(("visited_at",), record.visited_at, now)]
    found += _repeated("subjects", "subject_id", [subject.subject_id for subject in record.subjects])
    found += _facts_told_apart(record)
    if sum(subject.kind is SubjectKind.DWELLING for subject in record.subjects) > 1:
        found.append(Flaw(("subjects",), "一份记录只能有一处住所", "a record has one dwelling at most"))
    for index, subject in enumerate(record.subjects):
        found += _wrong_subject(("subjects", index), subject, now)
    return found


def _facts_told_apart(record: Record) -> Iterator[Flaw]:
    """Each fact has an id of its own, over all subjects."""
    seen: set[UUID] = set()
    for place, subject in enumerate(record.subjects):
        for index, fact in enumerate(subject.facts):
            if fact.fact_id in seen:
                yield Flaw(("subjects", place, "facts", index, "fact_id"), "与前面重复", "stands there twice")
            seen.add(fact.fact_id)


def _wrong_subject(path: tuple[str | int, ...], subject: Subject, now: datetime) -> Iterator[Flaw]:
    given = subject.card.model_dump(exclude_none=True)
    for name in sorted(given.keys() - _CARD_FIELDS[subject.kind]):
        yield Flaw((*path, name), "此类对象没有这个字段", "does not belong to this kind of subject")
    if _NEEDED[subject.kind] not in given:
        yield Flaw((*path, _NEEDED[subject.kind]), "缺少此项", "is missing")
    if ("document_kind" in given) != ("document_number" in given) and given.get("document_kind") != "none":
        yield Flaw((*path, "document_number"), "证件种类与号码须同时填写", "give the paper's kind and number together")
    yield from _heard_by_nobody_else(path, subject)
    yield from _unsafe_contact((*path, "safe_contact"), subject.card.safe_contact)
    yield from _repeated((*path, "facts"), "code", [fact.code for fact in subject.facts])
    for index, fact in enumerate(subject.facts):
        yield from _wrong_fact((*path, "facts", index), subject.kind, fact, now)


def _heard_by_nobody_else(path: tuple[str | int, ...], subject: Subject) -> Iterator[Flaw]:
    """What is asked only alone is refused unless the record says that it was."""
    said = [("facts", place) for place, fact in enumerate(subject.facts) if _only_alone(fact)]
    if subject.card.asks_for is not None and not said:
        yield Flaw((*path, "asks_for"), "仅用于反家庭暴力保护请求", "belongs to a wish for protection from violence")
    if subject.asked_alone:
        return
    for name in ("safe_contact", "asks_for"):
        if getattr(subject.card, name) is not None:
            yield Flaw((*path, name), _NOT_ALONE.zh, _NOT_ALONE.en)
    for where in said:
        yield Flaw((*path, *where, "code"), _NOT_ALONE.zh, _NOT_ALONE.en)


def _only_alone(fact: Fact) -> bool:
    entry = CATALOGUE.get(fact.code)
    return entry is not None and entry.alone


def _unsafe_contact(path: tuple[str | int, ...], contact: SafeContact | None) -> Iterator[Flaw]:
    if contact is None:
        return
    at_station = contact.channel == SafeChannel.AT_STATION
    if at_station != (contact.number is None):
        zh, en = (
            ("本人来站时不填号码", "is not given where the person comes") if at_station else ("缺少此项", "is missing")
        )
        yield Flaw((*path, "number"), zh, en)
    if contact.hours_from == contact.hours_to:
        yield Flaw((*path, "hours_to"), "须与开始时间不同", "must differ from hours_from")


def _wrong_fact(path: tuple[str | int, ...], kind: SubjectKind, fact: Fact, now: datetime) -> Iterator[Flaw]:
    entry = CATALOGUE.get(fact.code)
    if entry is None:
        yield Flaw((*path, "code"), "事实目录中没有此代码", "is not in the fact catalogue")
        return
    yield from _wrong_entry(path, kind, fact, entry)
    yield from _wrong_times((*path, "since"), fact.since, now)
    if fact.until is not None and fact.until <= fact.since:
        yield Flaw((*path, "until"), "须晚于开始时间", "must be after since")


def _wrong_entry(path: tuple[str | int, ...], kind: SubjectKind, fact: Fact, entry: FactType) -> Iterator[Flaw]:
    if entry.subject is not kind:
        yield Flaw((*path, "code"), "此事实不适用于这类对象", "is not a fact about this kind of subject")
    if not entry.accepts(fact.value):
        yield Flaw((*path, "value"), "值不符合此事实的类型", "does not fit the type of this fact")
    if fact.said_by not in entry.said_by:
        yield Flaw((*path, "said_by"), "此事实不能由该来源陈述", "this source cannot state this fact")
    if fact.said_by is SaidBy.DEPARTMENT:
        yield Flaw((*path, "said_by"), "部门证明须由该部门提交", "a department attests a fact itself")


def _wrong_times(path: tuple[str | int, ...], time: datetime, now: datetime) -> Iterator[Flaw]:
    if time > now + AHEAD:
        yield Flaw(path, "时间在未来", "lies in the future")


def _repeated(path: str | tuple[str | int, ...], name: str, values: Sequence[object]) -> Iterator[Flaw]:
    base = (path,) if isinstance(path, str) else path
    for index, value in enumerate(values):
        if value in values[:index]:
            yield Flaw((*base, index, name), "与前面重复", "stands there twice")
