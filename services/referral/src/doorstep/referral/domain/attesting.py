"""What a department may attest of the subject of a request that it completes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from doorstep.contracts.codes import Department, TaskState
from doorstep.contracts.facts import ATTESTS, CATALOGUE, FactValue
from doorstep.contracts.needs import NEED_TYPES
from doorstep.referral.domain.directory import Flaw


@dataclass(frozen=True, slots=True)
class Attested:
    """One fact as a department states it: what holds since when, and until when if that is known."""

    code: str
    value: FactValue
    since: datetime
    until: datetime | None = None


def flaws(
    department: Department, need_type: str, to: TaskState, attested: Sequence[Attested], now: datetime
) -> Iterator[Flaw]:
    """What is wrong with what `department` attests while it takes the request to `to`."""
    entry = NEED_TYPES.get(need_type)
    if to is not TaskState.COMPLETED or entry is None or entry.guarded:
        zh, en = (
            "只有办结时才能核验事实，且此类请求可能不接受",
            "facts are attested on completion, and not of every request",
        )
        yield Flaw("/attests", zh, en)
        return
    for index, one in enumerate(attested):
        where, known = f"/attests/{index}", CATALOGUE.get(one.code)
        if one.code not in ATTESTS[department] or known is None or known.subject is not entry.subject:
            yield Flaw(f"{where}/code", "贵部门不能核验此事实", "is not a fact that you may attest of this subject")
        elif not known.accepts(one.value):
            yield Flaw(f"{where}/value", "值不符合此事实的类型", "does not fit the type of this fact")
        if one.since > now:
            yield Flaw(f"{where}/since", "时间在未来", "lies in the future")
        if one.until is not None and one.until <= one.since:
            yield Flaw(f"{where}/until", "须晚于开始时间", "must be after since")
        if one.code in {other.code for other in attested[:index]}:
            yield Flaw(f"{where}/code", "与前面重复", "stands there twice")
