"""The fact catalogue: what may be known of a person, a dwelling or a place, who may say it, and for how long."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from uuid import UUID

from pydantic import AwareDatetime

from doorstep.contracts.codes import Coded, Department, LegalBasis, SaidBy
from doorstep.contracts.envelope import Contract
from doorstep.contracts.never import refuse_forbidden


class FactKind(IntEnum):
    """The twelve kinds of core data; a thirteenth fails the build until the budget is changed in the open."""

    IDENTITY = 1
    CONTACT = 2
    DWELLING = 3
    HOUSEHOLD_REGISTER = 4
    TOGETHER = 5
    LIVING_SITUATION = 6
    INCOME_AND_WORK = 7
    HEALTH = 8
    BENEFITS = 9
    WISHES = 10
    ACCESS = 11
    CONSENT = 12


KIND_BUDGET = 12


class OverBudget(ValueError):
    """The catalogue has more kinds of fact than its budget."""


if len(FactKind) > KIND_BUDGET:
    raise OverBudget(f"{len(FactKind)} kinds of fact, and the budget is {KIND_BUDGET}: {list(FactKind)[-1].name}")


class SubjectKind(StrEnum):
    """What a fact is about."""

    PERSON = "person"
    DWELLING = "dwelling"
    PLACE = "place"


class Value(StrEnum):
    """The type of a fact's value."""

    YES_NO = "yes-no"
    CODE = "code"
    COUNT = "count"


FactValue = bool | int | str


class Fact(Contract):
    """One fact: a code of the catalogue, its value and where it comes from; `attested_by` which department, if one."""

    fact_id: UUID
    code: str
    value: FactValue
    said_by: SaidBy
    legal_basis: LegalBasis
    since: AwareDatetime
    until: AwareDatetime | None = None
    attested_by: Coded[Department] | None = None


@dataclass(frozen=True)
class FactType:
    """An entry of the catalogue; `choices` are the codes of a coded value, `keep_days` its retention in days.

    What is asked only `alone` is stated by the person, in a record that says that nobody else was there.
    """

    code: str
    kind: FactKind
    subject: SubjectKind
    value: Value
    zh: str
    en: str
    choices: tuple[str, ...] = ()
    said_by: frozenset[SaidBy] = frozenset({SaidBy.PERSON, SaidBy.GUARDIAN, SaidBy.DEPARTMENT})
    sensitive: bool = False
    keep_days: int = 730
    alone: bool = False

    def __post_init__(self) -> None:
        """Raise NeverNamed for what must never be known of anybody."""
        refuse_forbidden(self.code, self.zh, self.en, self.choices)

    def accepts(self, value: FactValue) -> bool:
        """Whether `value` has this type: a yes or no, one of the choices, or a count from 0 to 1,000,000."""
        if self.value is Value.YES_NO:
            return isinstance(value, bool)
        if self.value is Value.CODE:
            return isinstance(value, str) and value in self.choices
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 1_000_000


_SEEN = frozenset({SaidBy.PERSON, SaidBy.GUARDIAN, SaidBy.COLLECTOR_SAW, SaidBy.DEPARTMENT})


def _person(code: str, kind: FactKind, value: Value, zh: str, en: str, **rest: object) -> FactType:
    return FactType(code, kind, SubjectKind.PERSON, value, zh, en, **rest)  # type: ignore[arg-type]


def _seen(code: str, subject: SubjectKind, value: Value, zh: str, en: str, *choices: str) -> FactType:
    return FactType(code, FactKind.DWELLING, subject, value, zh, en, choices=choices, said_by=_SEEN)


def _sealing(code: str, subject: SubjectKind, zh: str, en: str) -> FactType:
    return FactType(code, FactKind.CONTACT, subject, Value.YES_NO, zh, en, sensitive=True)


def _wish(name: str, zh: str, en: str) -> FactType:
    said_by = frozenset({SaidBy.PERSON, SaidBy.GUARDIAN})
    code = f"wish.{name}"
    return _person(code, FactKind.WISHES, Value.YES_NO, zh, en, said_by=said_by, keep_days=365)


_TYPES = (
    _person("identity.birth-year", FactKind.IDENTITY, Value.COUNT, "出生年份", "Year of birth"),
    _person(
        "contact.channel",
        FactKind.CONTACT,
        Value.CODE,
        "联系方式",
        "Contact channel",
        choices=("phone", "message", "post", "none"),
    ),
    _person(
        "contact.asked-alone",
        FactKind.CONTACT,
        Value.YES_NO,
        "单独询问",
        "Asked alone",
        said_by=frozenset({SaidBy.PERSON}),
        sensitive=True,
    ),
    _sealing("contact.sealed-address", SubjectKind.PERSON, "地址保密", "Sealed address"),
    _sealing("dwelling.sealed-address", SubjectKind.DWELLING, "住所保密", "Sealed dwelling address"),
    _seen("dwelling.gas-hose", SubjectKind.DWELLING, Value.CODE, "燃气软管", "Gas hose", "sound", "expired", "cracked"),
    _seen("dwelling.gas-smell", SubjectKind.DWELLING, Value.YES_NO, "有燃气味", "Smell of gas"),
    _seen("dwelling.wiring", SubjectKind.DWELLING, Value.CODE, "电线", "Wiring", "sound", "unsafe"),
    _seen("dwelling.e-bike-charging", SubjectKind.DWELLING, Value.YES_NO, "室内充电", "E-bike charged indoors"),
    _seen("dwelling.structure", SubjectKind.DWELLING, Value.CODE, "房屋结构", "Structure", "sound", "danger"),
    _seen("dwelling.heating", SubjectKind.DWELLING, Value.CODE, "供暖", "Heating", "working", "none"),
    _seen("place.e-bike-charging", SubjectKind.PLACE, Value.YES_NO, "楼道充电", "E-bikes charged in the stairwell"),
    _seen("place.exit-blocked", SubjectKind.PLACE, Value.YES_NO, "通道堵塞", "Exit blocked"),
    _person(
        "register.where",
        FactKind.HOUSEHOLD_REGISTER,
        Value.CODE,
        "户口所在",
        "Household register",
        choices=("here", "elsewhere", "none"),
    ),
    _person("together.family-purse", FactKind.TOGETHER, Value.COUNT, "共同生活家庭成员数", "Family from one purse"),
    _person("living.alone", FactKind.LIVING_SITUATION, Value.YES_NO, "独居", "Lives alone"),
    _person("living.cares-for-others", FactKind.LIVING_SITUATION, Value.YES_NO, "照料他人", "Cares for others"),
    _person("living.without-food", FactKind.LIVING_SITUATION, Value.YES_NO, "断粮", "Has nothing to eat", keep_days=90),
    _person("living.left-behind-child", FactKind.LIVING_SITUATION, Value.YES_NO, "留守儿童", "Left-behind child"),
    _person("income.monthly-per-head", FactKind.INCOME_AND_WORK, Value.COUNT, "人均月收入", "Monthly income per head"),
    _person("work.wages-unpaid", FactKind.INCOME_AND_WORK, Value.YES_NO, "被欠薪", "Wages unpaid"),
    _person("work.seeking", FactKind.INCOME_AND_WORK, Value.YES_NO, "求职", "Seeks work"),
    _person("health.chronic-illness", FactKind.HEALTH, Value.YES_NO, "慢性病", "Chronic illness", sensitive=True),
    _person("health.disability", FactKind.HEALTH, Value.YES_NO, "残疾", "Disability", sensitive=True),
    _person("benefits.minimum-living", FactKind.BENEFITS, Value.YES_NO, "享受低保", "Receives minimum allowance"),
    _wish("minimum-living-allowance", "申请低保", "Minimum living allowance"),
    _wish("temporary-relief", "申请临时救助", "Temporary relief"),
    _wish("emergency-food", "应急食物", "Emergency food"),
    _wish("legal-aid", "法律援助", "Legal aid"),
    _wish("mediation", "人民调解", "Mediation"),
    _wish("health-advice", "健康咨询", "Health advice"),
    _wish("counselling", "心理咨询", "Counselling"),
    _wish("fire-check", "消防检查", "Fire safety check"),
    _wish("wage-help", "讨薪帮助", "Help with unpaid wages"),
    _wish("work-training", "技能培训", "Training for work"),
    _wish("housing-repair", "房屋维修", "Housing repair"),
    _person(
        "wish.protection-from-violence",
        FactKind.WISHES,
        Value.YES_NO,
        "反家庭暴力保护",
        "Protection from violence",
        said_by=frozenset({SaidBy.PERSON}),
        keep_days=365,
        alone=True,
    ),
    _person(
        "access.language",
        FactKind.ACCESS,
        Value.CODE,
        "语言",
        "Language",
        choices=("mandarin", "dialect", "sign", "foreign"),
    ),
    _person("access.reading-help", FactKind.ACCESS, Value.YES_NO, "需要代读", "Needs reading help"),
    _person("consent.service", FactKind.CONSENT, Value.YES_NO, "同意服务", "Consents to be served"),
    _person(
        "consent.care-plan",
        FactKind.CONSENT,
        Value.YES_NO,
        "同意照护计划",
        "Consents to a care plan",
        said_by=frozenset({SaidBy.PERSON, SaidBy.GUARDIAN}),
    ),
)

ASKED_ALONE = "contact.asked-alone"
"""The fact by which a record says that a person was asked with nobody else there."""
SEALING = frozenset({"contact.sealed-address", "dwelling.sealed-address"})
"""The facts, of a person or a dwelling, by which an address stays at its station."""
CATALOGUE: dict[str, FactType] = {entry.code: entry for entry in _TYPES}
ATTESTS: dict[Department, frozenset[str]] = {
    Department.CIVIL_AFFAIRS: frozenset(
        {"benefits.minimum-living", "together.family-purse", "income.monthly-per-head", "health.disability"}
    ),
    Department.HEALTH: frozenset({"health.chronic-illness"}),
    Department.JUSTICE: frozenset(),
    Department.FIRE: frozenset(
        {
            "dwelling.gas-hose", "dwelling.gas-smell", "dwelling.wiring", "dwelling.e-bike-charging",
            "place.e-bike-charging", "place.exit-blocked",
        }
    ),
    Department.LABOUR: frozenset({"work.wages-unpaid", "work.seeking"}),
    Department.HOUSING: frozenset({"dwelling.structure", "dwelling.heating"}),
}  # fmt: skip
"""Which facts each department may attest: those that its own office decides or inspects."""
