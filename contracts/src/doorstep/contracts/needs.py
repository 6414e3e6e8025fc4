"""Need types: what may be owed, by which department, in which time."""

from dataclasses import dataclass
from uuid import UUID

from doorstep.contracts.codes import Department, LegalBasis, Urgency
from doorstep.contracts.envelope import Contract
from doorstep.contracts.facts import CATALOGUE, SubjectKind
from doorstep.contracts.never import refuse_forbidden


@dataclass(frozen=True)
class NeedType:
    """A kind of need; `complete_days` are working days, `confidential` keeps it out of every list of residents.

    A `guarded` one is confidential and concerns violence: it bars what could bring the person together with somebody of
    their household, and reaches them by a safe contact alone.
    """

    code: str
    department: Department
    subject: SubjectKind
    zh: str
    en: str
    complete_days: int
    legal_basis: LegalBasis = LegalBasis.CONSENT
    urgency: Urgency = Urgency.DAY
    confidential: bool = False
    guarded: bool = False

    def __post_init__(self) -> None:
        """Raise NeverNamed for what must never be known of anybody."""
        refuse_forbidden(self.code, self.zh, self.en)

    @property
    def respond_hours(self) -> int:
        """Clock hours until the first response is owed."""
        return 1 if self.urgency is Urgency.ONE_HOUR else 24


_P, _D, _S = SubjectKind.PERSON, SubjectKind.DWELLING, SubjectKind.PLACE
_SAFETY, _HOUR = LegalBasis.PUBLIC_SAFETY, Urgency.ONE_HOUR

_TYPES = (
    NeedType("minimum-living-allowance", Department.CIVIL_AFFAIRS, _P, "最低生活保障", "Minimum living allowance", 20),
    NeedType("temporary-relief", Department.CIVIL_AFFAIRS, _P, "临时救助", "Temporary relief", 10),
    NeedType(
        "emergency-food",
        Department.CIVIL_AFFAIRS,
        _P,
        "应急食物",
        "Emergency food",
        1,
        LegalBasis.VITAL_INTEREST,
        _HOUR,
    ),
    NeedType("no-heating", Department.CIVIL_AFFAIRS, _D, "无供暖", "No heating", 3, LegalBasis.VITAL_INTEREST, _HOUR),
    NeedType("chronic-illness-follow-up", Department.HEALTH, _P, "慢性病随访", "Chronic illness follow-up", 14),
    NeedType("health-advice", Department.HEALTH, _P, "健康咨询", "Health advice", 7),
    NeedType("counselling", Department.HEALTH, _P, "心理咨询", "Counselling", 7, confidential=True),
    NeedType("legal-aid", Department.JUSTICE, _P, "法律援助", "Legal aid", 7, confidential=True),
    NeedType("mediation", Department.JUSTICE, _P, "人民调解", "Mediation", 30),
    NeedType("gas-hose-replacement", Department.FIRE, _D, "更换燃气软管", "Gas hose replacement", 3, _SAFETY),
    NeedType("gas-leak", Department.FIRE, _D, "燃气泄漏", "Gas leak", 1, LegalBasis.VITAL_INTEREST, _HOUR),
    NeedType("wiring-repair", Department.FIRE, _D, "电线整改", "Wiring repair", 7, _SAFETY),
    NeedType("e-bike-charging", Department.FIRE, _D, "电动车室内充电", "E-bike charged indoors", 3, _SAFETY),
    NeedType("stairwell-charging", Department.FIRE, _S, "楼道充电隐患", "Stairwell charging hazard", 3, _SAFETY),
    NeedType("blocked-exit", Department.FIRE, _S, "疏散通道堵塞", "Blocked exit", 3, _SAFETY),
    NeedType("fire-check", Department.FIRE, _P, "消防检查", "Fire safety check", 7),
    NeedType("wage-help", Department.LABOUR, _P, "讨薪帮助", "Help with unpaid wages", 15),
    NeedType("work-training", Department.LABOUR, _P, "就业培训", "Training for work", 15),
    NeedType("housing-repair", Department.HOUSING, _P, "房屋维修", "Housing repair", 15),
    NeedType("structure-danger", Department.HOUSING, _D, "房屋结构危险", "Dangerous structure", 3, _SAFETY),
    NeedType(
        "protection-from-violence",
        Department.JUSTICE,
        _P,
        "反家庭暴力保护",
        "Protection from violence",
        3,
        urgency=_HOUR,
        confidential=True,
        guarded=True,
    ),
)

NEED_TYPES: dict[str, NeedType] = {entry.code: entry for entry in _TYPES}

_WISH = "wish."
MENU: tuple[NeedType, ...] = tuple(
    NEED_TYPES[code.removeprefix(_WISH)]
    for code, wish in CATALOGUE.items()
    if code.startswith(_WISH) and not wish.alone and code.removeprefix(_WISH) in NEED_TYPES
)
"""What residents ask for by themselves (群众点单). What is asked only alone is asked for at a visit or the station."""


def wish_for(service: str) -> str:
    """The fact that states the wish for a service of the menu."""
    return f"{_WISH}{service}"


def is_reserved(need_type: str, safe_contact: object | None) -> bool:
    """Whether a need of this type is on no page: it concerns violence, and the person named no safe contact."""
    known = NEED_TYPES.get(need_type)
    return known is not None and known.guarded and safe_contact is None


class FactUsed(Contract):
    """A fact that a rule read, by its id and code."""

    fact_id: UUID
    code: str


class Need(Contract):
    """What triage found: the need, the rule that fired and the facts it read.

    `wanted` says that the resident asked for it, so that it is handed on without a decision; `reserved`, that it is
    shown on no page.
    """

    need_type: str
    urgency: Urgency
    wanted: bool
    rule: str
    facts: tuple[FactUsed, ...]
    reserved: bool | None = None
