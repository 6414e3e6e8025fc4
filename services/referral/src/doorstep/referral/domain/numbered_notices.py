"""Numbered notices of a request (文书): which there are, when each may be issued, and what it says.

A notice says what a letter on the kitchen table may say: never a note, a fact, a phone or an address. One about a need
that is confidential is issued only where the person named a way to be reached safely.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from enum import StrEnum

from doorstep.contracts.codes import DEPARTMENT_NAMES, Department, Outcome, Reason, TaskState
from doorstep.contracts.needs import NEED_TYPES
from doorstep.referral.domain.states import WORKING


class Kind(StrEnum):
    """The kinds of notice."""

    ACCEPTANCE = "acceptance"
    HAND_ON = "hand-on"
    REFUSAL = "refusal"
    COMPLETION = "completion"


TITLES: dict[Kind, tuple[str, str]] = {
    Kind.ACCEPTANCE: ("受理通知书", "Notice of acceptance"),
    Kind.HAND_ON: ("转办通知书", "Notice of hand-on"),
    Kind.REFUSAL: ("不予受理通知书", "Notice of refusal"),
    Kind.COMPLETION: ("办结通知书", "Notice of completion"),
}

STATES: dict[Kind, frozenset[TaskState]] = {
    Kind.ACCEPTANCE: WORKING,
    Kind.HAND_ON: frozenset({TaskState.REQUESTED}) | WORKING,
    Kind.REFUSAL: frozenset({TaskState.REJECTED}),
    Kind.COMPLETION: frozenset({TaskState.COMPLETED, TaskState.FAILED}),
}
"""In which states of the request each may be issued."""

HANDED_ON = (TaskState.DRAFT, TaskState.REQUESTED)
"""The step by which the station hands a request on, whether it waited for a department or came back from one."""

REASONS: dict[Reason, tuple[str, str]] = {
    Reason.NOT_OURS: ("不属于本部门职责", "it is not this department's to do"),
    Reason.NOT_ELIGIBLE: ("不符合办理条件", "the conditions are not met"),
    Reason.NO_CAPACITY: ("暂无办理能力", "there is no capacity now"),
    Reason.DUPLICATE: ("已有相同请求", "there is such a request already"),
    Reason.PAPERS_MISSING: ("材料不全", "papers are missing"),
    Reason.WAITING_FOR_RESIDENT: ("等待本人", "it waits for the person"),
    Reason.COULD_NOT_REACH: ("未能联系上本人", "the person could not be reached"),
    Reason.RESIDENT_WITHDREW: ("本人撤回", "the person took it back"),
    Reason.MOVED_AWAY: ("本人已迁出", "the person moved away"),
    Reason.NOT_SOLVABLE: ("无法解决", "it cannot be solved"),
    Reason.WRONG_RECORD: ("登记有误", "the record was wrong"),
    Reason.NO_RESPONSE: ("逾期未答复", "there was no answer in time"),
}
OUTCOMES: dict[Outcome, tuple[str, str]] = {
    Outcome.GRANTED: ("已批准", "granted"),
    Outcome.REFUSED_AFTER_CHECK: ("核查后不予批准", "refused after a check"),
    Outcome.SERVICE_PROVIDED: ("已提供服务", "the service was provided"),
    Outcome.HAZARD_REMOVED: ("隐患已排除", "the hazard was removed"),
    Outcome.ADVICE_GIVEN: ("已提供咨询", "advice was given"),
    Outcome.AGREEMENT_REACHED: ("达成协议", "an agreement was reached"),
    Outcome.REFERRED_ON: ("已转介", "referred on"),
}


@dataclass(frozen=True, slots=True)
class Notice:
    """What a notice says. `day` and `complete_by` are days in the place, like `2026-11-22`."""

    number: str
    kind: Kind
    department: Department
    station: str
    need_type: str
    day: str
    name: str | None = None
    complete_by: str | None = None
    reason: Reason | None = None
    outcome: Outcome | None = None

    @property
    def digest(self) -> bytes:
        """SHA-256 of all that it says: what the code on it is checked by."""
        said = {name: value for name, value in asdict(self).items() if value is not None}
        return hashlib.sha256(json.dumps(said, ensure_ascii=False, sort_keys=True).encode()).digest()

    def lines(self) -> list[tuple[str, str]]:
        """What it says, line by line, in Chinese and English."""
        zh, en = DEPARTMENT_NAMES[self.department]
        need = NEED_TYPES.get(self.need_type)
        need_zh, need_en = (need.zh, need.en) if need else (self.need_type, self.need_type)
        found = [(f"{self.name}：", f"To {self.name}")] if self.name else []
        found.append((f"您的服务请求“{need_zh}”，", f"Your request for “{need_en}”"))
        found.append(self._said(zh, en))
        if self.kind in (Kind.REFUSAL, Kind.COMPLETION):
            told = (
                "如有异议，可凭本通知书到社区服务站申请复核。",
                "If you do not agree, bring this notice to the station.",
            )
            found.append(told)
        return found

    def _said(self, zh: str, en: str) -> tuple[str, str]:
        reason_zh, reason_en = REASONS[self.reason] if self.reason else ("见经办人说明", "as the officer explains")
        if self.kind is Kind.ACCEPTANCE:
            return (
                f"{zh}部门已于{self.day}受理，将于{self.complete_by}前办结。",
                f"was accepted by {en} on {self.day} and is to be completed by {self.complete_by}.",
            )
        if self.kind is Kind.HAND_ON:
            return f"已于{self.day}转{zh}部门办理。", f"was handed on to {en} on {self.day}."
        if self.kind is Kind.REFUSAL:
            return f"{zh}部门不予受理。原因：{reason_zh}。", f"was not accepted by {en}: {reason_en}."
        if self.outcome is None:
            return f"{zh}部门未能办成。原因：{reason_zh}。", f"could not be done by {en}: {reason_en}."
        outcome_zh, outcome_en = OUTCOMES[self.outcome]
        return f"{zh}部门已办结。结果：{outcome_zh}。", f"was completed by {en}: {outcome_en}."
