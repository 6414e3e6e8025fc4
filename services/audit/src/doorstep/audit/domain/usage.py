"""Usages: what the log's details say to the resident whom they are about. When, which agency, which system, and why.

Never who of the agency, no id of a case, no policy. Invariants: what residents do themselves is left out, for it may
have been another member of the household; so is what is told later. By a follow code, which may lie on the kitchen
table, only what is listed here is shown: the station's own looks at records and files, which are alike for everybody in
them, and looks of departments whose name says nothing, at requests that no other department ever had.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from doorstep.contracts.audit import AuditDetail
from doorstep.contracts.codes import AGENCY_NAMES, OPEN_DEPARTMENTS, STATION, Action, LegalBasis, Purpose, Role

NOTHING_SHOWN = "nothing-shown"
_REFUSED = "refused:"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Words(NamedTuple):
    """A text in Chinese and in English."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Seen:
    """One detail about the resident, opened, and the entry that it belongs to."""

    entry_id: UUID
    detail: AuditDetail

    @property
    def at(self) -> datetime:
        """When it was."""
        return _EPOCH + timedelta(microseconds=self.detail.at_us)


@dataclass(frozen=True, slots=True)
class Usage:
    """A use of the resident's data, for the resident. `code` is what the agency is called in tokens."""

    entry_id: UUID
    at: datetime
    code: str
    agency: Words
    system: Words
    reason: Words


ACTIONS: dict[Action, Words] = {
    Action.RECORD_VISIT: Words("登记了您的上门采集记录", "Took down the record of a visit to you"),
    Action.ASSERT_FACTS: Words("将记录中关于您的信息记入户档", "Entered what the record says of you into the file"),
    Action.ASSESS_NEEDS: Words("依公开规则研判您可能需要的服务", "Applied the public rules to find what you may need"),
    Action.DECIDE_NEED: Words("审核了为您建议的需求", "Decided on a need that was suggested for you"),
    Action.OPEN_REQUEST: Words("为您开立服务请求", "Opened a service request for you"),
    Action.ADD_PART: Words("将您请求的一部分转给另一部门联办", "Asked another department for a part of your request"),
    Action.CALL_CONFERENCE: Words("召集了关于您请求的联席会商", "Called a conference on your request"),
    Action.ADD_MINUTE: Words("在会商记录中写入了关于您的内容", "Wrote in the minutes of a conference on your request"),
    Action.READ_MINUTES: Words("查看了关于您请求的会商记录", "Read the minutes of a conference on your request"),
    Action.RECALCULATE_DUE: Words(
        "按公布的日历重新计算办结期限", "Counted anew by the calendar when your request is due"
    ),
    Action.ANNOUNCE_DUE: Words(
        "提醒承办部门您的服务请求即将到期或已超期", "Told who is responsible that your request is due"
    ),
    Action.REMIND_DEPARTMENT: Words("就您的服务请求催办了承办部门", "Reminded the department of your service request"),
    Action.ACKNOWLEDGE_CALL: Words("确认已获知您的紧急请求", "Took notice of your urgent request"),
    Action.LIST_MISSING_PAPERS: Words("一次性告知了所缺材料", "Listed the papers that are missing, all at once"),
    Action.HAND_IN_ORDER: Words("由 12345 热线交来了关于您的工单", "Handed in an order of the 12345 hotline about you"),
    Action.FOLLOW_ORDERS: Words(
        "由 12345 热线查询了您的工单是否办结", "Asked, as the 12345 hotline, whether your order is done"
    ),
    Action.ANSWER_EXTENSION: Words("答复了您的工单的延期申请", "Answered whether your order may take longer"),
    Action.REPORT_CALL_BACK: Words("报告了对您的工单的回访结果", "Reported what you said when you were called back"),
    Action.LIST_ORDERS: Words("在清单中查看了您的 12345 工单", "Saw your order of the 12345 hotline in a list"),
    Action.RETURN_ORDER: Words("将您的 12345 工单退回热线", "Returned your order to the 12345 hotline"),
    Action.ASK_EXTENSION: Words("为您的 12345 工单申请延期", "Asked for more time for your order"),
    Action.JOIN_ORDERS: Words("合并了您的重复工单", "Joined two orders of yours about the same matter"),
    Action.LIST_LATE: Words("在超期清单中查看了您的服务请求的期限", "Saw in a list that your service request is due"),
    Action.SEND_NOTICE: Words("向您发送了一条不含内容的提醒", "Sent you a notice without content"),
    Action.LIST_LOOKS: Words("在清单中看到您申请的复核", "Saw in a list that you want a request looked at again"),
    Action.ANSWER_LOOK: Words("复核了您的服务请求并答复", "Looked at a service request of yours again"),
    Action.LIST_COMPLAINTS: Words("在清单中看到您有一件投诉待答复", "Saw in a list that a complaint of yours waits"),
    Action.READ_COMPLAINT: Words("为答复您而查看了您的投诉", "Read a complaint of yours, to answer it"),
    Action.ANSWER_COMPLAINT: Words("答复了您的投诉", "Answered a complaint of yours"),
    Action.TRANSITION_TASK: Words("更新了您的服务请求的办理进展", "Moved your service request on"),
    Action.TAKE_REQUEST: Words("接手办理您的服务请求", "Took your service request to work on it"),
    Action.GIVE_REQUEST: Words("指定了您的服务请求的经办人", "Said which officer works on your service request"),
    Action.ISSUE_NOTICE: Words("出具了您的服务请求的通知书", "Issued a notice about your service request"),
    Action.ATTACH_DOCUMENT: Words(
        "为您的服务请求附上或更正了一份文书", "Attached a document to your request, or took it back"
    ),
    Action.READ_DOCUMENT: Words("查看了附在您的服务请求上的文书", "Read documents of your service request"),
    Action.READ_RECORD: Words("查看了关于您的采集记录", "Read a record about you"),
    Action.READ_FILE: Words("查看了您的户档", "Read your household's file"),
    Action.READ_ASSESSMENT: Words("查看了对您的需求研判结果", "Read what triage found for you"),
    Action.READ_REQUEST: Words("查看了您的一项服务请求", "Read a service request of yours"),
    Action.LIST_REQUESTS: Words("在清单中查看了您的服务请求", "Read your service requests in a list"),
    Action.READ_FEED: Words(
        "从部门推送中取走了您的服务请求（加密）", "Took your service requests, encrypted, from its feed"
    ),
    Action.ACKNOWLEDGE_ERASURE: Words("确认已删除您的服务请求", "Acknowledged having deleted a request of yours"),
    Action.READ_JOURNEY: Words("查看了您的记录的办理轨迹", "Read where a record about you is"),
    Action.SEARCH_LOG: Words("审计时在日志中查到关于您的条目", "Found entries about you when searching the log"),
    Action.EXPORT_LOG: Words("审计时导出了关于您的日志条目", "Took entries about you out of the log for an audit"),
    Action.READ_LIFE: Words("审计时查看了您的记录的全过程", "Read all that became of a record about you, for an audit"),
    Action.READ_CONDUCT: Words("审计时核查了工作人员是否合规", "Checked in an audit whether staff kept the rules"),
    Action.ASK_ABOUT_SUBJECT: Words("申请查询谁使用过您的信息", "Asked to find out who used your data"),
    Action.AGREE_TO_ASK: Words("同意了对谁使用过您的信息的查询", "Agreed that it be found out who used your data"),
    Action.READ_ABOUT_SUBJECT: Words("查询了谁使用过您的信息", "Read who used your data"),
    Action.ASK_TO_DEFER: Words("为保护他人或您本人，申请暂缓告知", "Asked that you be told later, to protect somebody"),
    Action.APPROVE_DEFERRAL: Words("同意了暂缓告知", "Agreed that you be told later, to protect somebody"),
    Action.ERASE_SUBJECT: Words("清除了您的信息", "Erased your data"),
    Action.BREAK_GLASS: Words("在紧急情况下打开了您的户档", "Opened your household's file in an emergency"),
    Action.ACKNOWLEDGE_BREAK_GLASS: Words("获知您的户档被紧急打开", "Was told of the emergency in which it was opened"),
    Action.REVIEW_BREAK_GLASS: Words("复核了对您户档的紧急打开", "Reviewed that your file was opened in an emergency"),
    Action.LEAVE_HOUSEHOLD: Words("登记了您已搬离原户", "Noted that you left a household"),
    Action.RECORD_GUARDIAN: Words("登记了您的监护人", "Recorded who your guardian is"),
    Action.SUSPEND_GUARDIAN: Words("中止了监护人查询您的信息", "Had your guardian see nothing of you any more"),
    Action.DRAW_SIGN_IN_CODE: Words("为您生成了一次性登录码", "Drew a code for you to sign in with once"),
    Action.PROPOSE_PLAN: Words("提出了关于您的照护计划的建议", "Proposed something about your care plan"),
    Action.READ_PLAN_PROPOSAL: Words("查看了关于您的照护计划的建议", "Read what is proposed of your care plan"),
    Action.DECIDE_PLAN: Words("审议了关于您的照护计划的建议", "Decided on what is proposed of your care plan"),
    Action.READ_PLAN: Words("作为小组成员查看了您的照护计划", "Read your care plan as one of its team"),
    Action.RECORD_PLAN_MEETING: Words("记录了为您的照护计划共同做的事", "Recorded what two of your team did"),
    Action.LIST_PLAN_DUTIES: Words("查看了照护责任书（不含姓名）", "Saw what they owe and when, without your name"),
    Action.READ_PLAN_CONTEST: Words("为答复您的异议查看了照护计划", "Read your care plan to answer you"),
    Action.ANSWER_PLAN_CONTEST: Words("答复了您对照护计划的异议", "Answered what you said against your care plan"),
    Action.READ_DEAD_LETTER: Words("修复故障时查看了含您信息的消息", "Read a message with your data to mend the flow"),
    Action.REPLAY_DEAD_LETTER: Words("修复故障时重发了含您信息的消息", "Sent a message with your data again"),
}
"""What was done to whom it concerns, in plain words. A try that was refused is told in other words."""

LEFT_OUT = frozenset(
    {
        Action.FOLLOW_REQUEST,
        Action.RATE_REQUEST,
        Action.CHOOSE_NOTICES,
        Action.ASK_TO_LOOK_AGAIN,
        Action.MAKE_COMPLAINT,
        Action.WITHDRAW_COMPLAINT,
        Action.SEE_WHO_LOOKED,
        Action.NAME_EXCLUSIONS,
        Action.NAME_PROXY,
        Action.CONTEST_PLAN,
        Action.WITHDRAW_FROM_PLAN,
        Action.SIGN_IN,
        Action.LINK_ACCOUNT,
        Action.UNLINK_ACCOUNT,
    }
)
"""What residents do themselves: it is never shown, for it may have been somebody else of the household."""

ABOUT_NOBODY = frozenset(
    {
        Action.REGISTER_KEY,
        Action.WITHDRAW_KEY,
        Action.CHANGE_ENDPOINT,
        Action.READ_FEED_SETTINGS,
        Action.LIST_UNERASED,
        Action.SEE_FIGURES,
        Action.PUBLISH_DIRECTORY,
        Action.TRY_DIRECTORY,
        Action.ACTIVATE_DIRECTORY,
        Action.EXPLAIN_ROUTE,
        Action.NAME_DEPUTY,
        Action.PUBLISH_TEMPLATE,
        Action.LIST_GAPS,
        Action.LIST_DEAD_LETTERS,
        Action.ACTIVATE_POLICY,
        Action.ACTIVATE_RULES,
        Action.ACTIVATE_KEYS,
        Action.BEGIN_KEY_EPOCH,
        Action.DESTROY_WRAPPING_KEY,
        Action.DESTROY_DATA_KEY,
        Action.REFUSE,
        Action.UNREADABLE,
        Action.DECLARE_TIES,
        Action.LIST_BREAK_GLASS,
    }
)
"""What concerns no resident, or only as a try that was refused."""

PURPOSES: dict[Purpose, Words] = {
    Purpose.INTAKE: Words("登记您反映的情况", "to take in what was told"),
    Purpose.TRIAGE: Words("判断您需要哪些服务", "to find what help is owed"),
    Purpose.SERVICE: Words("为您办理服务", "to serve you"),
    Purpose.FOLLOW_UP: Words("跟进到办结为止", "to follow it up until it is closed"),
    Purpose.AUDIT: Words("监督信息是否被正当使用", "to check that data is used rightly"),
    Purpose.RESIDENT_REQUEST: Words("应您本人的要求", "because you asked for it"),
    Purpose.REPAIR: Words("修复系统故障", "to repair a fault"),
    Purpose.EMERGENCY: Words("应对紧急情况", "because of an emergency"),
}
BASES: dict[LegalBasis, Words] = {
    LegalBasis.CONSENT: Words("本人同意", "consent"),
    LegalBasis.STATUTORY_DUTY: Words("履行法定职责", "a statutory duty"),
    LegalBasis.VITAL_INTEREST: Words("保护生命健康", "somebody's vital interest"),
    LegalBasis.PUBLIC_SAFETY: Words("公共安全", "public safety"),
}
SYSTEMS: dict[str, Words] = {
    "intake": Words("采集受理系统", "Taking of records"),
    "registry": Words("户档系统", "Household files"),
    "risk": Words("需求研判系统", "Finding of needs"),
    "referral": Words("服务转办系统", "Service requests"),
    "audit": Words("审计日志系统", "Audit log"),
    "gateway": Words("办理轨迹系统", "Following of records"),
}
_TRIED = Words(
    "有人试图使用您的信息，被拒绝，未看到内容", "Somebody tried to use your data, was refused, and saw nothing"
)
_SOME_USE = Words("使用了您的信息", "Used your data")
_SHOWN_NOTHING = Words("没有显示任何内容", "nothing was shown")
_ANOTHER_AGENCY = Words("另一机构", "Another agency")
_ANOTHER_SYSTEM = Words("另一系统", "Another system")

_ON_THE_TABLE = frozenset(
    {
        Action.RECORD_VISIT,
        Action.ASSERT_FACTS,
        Action.ASSESS_NEEDS,
        Action.READ_RECORD,
        Action.READ_FILE,
        Action.READ_ASSESSMENT,
        Action.READ_JOURNEY,
    }
)
"""The station's own uses that concern everybody in a record or file alike."""


def usages(seen: Iterable[Seen]) -> list[Usage]:
    """All that may be shown to a resident who was identified strongly, each entry once, the newest first."""
    entries = {one.entry_id: one for one in seen if not _own(one.detail)}
    return [_usage(one) for one in sorted(entries.values(), key=lambda one: (one.at, one.entry_id), reverse=True)]


def usages_by_code(seen: Sequence[Seen]) -> list[Usage]:
    """What of it may be shown to whoever holds the follow code."""
    closed = {one.detail.case for one in seen if _of_others(one.detail)}
    return usages(one for one in seen if _on_the_table(one.detail, closed))


def _own(detail: AuditDetail) -> bool:
    return detail.action in LEFT_OUT or detail.role == Role.RESIDENT


def _of_others(detail: AuditDetail) -> bool:
    """Whether the case is some that a department with a telling name had, or that several have parts of."""
    return _agency(detail) not in {STATION, *OPEN_DEPARTMENTS} or detail.action == Action.ADD_PART


def _on_the_table(detail: AuditDetail, closed: set[str | None]) -> bool:
    if _agency(detail) == STATION:
        attested = detail.action == Action.ASSERT_FACTS and detail.purpose != Purpose.INTAKE
        return detail.action in _ON_THE_TABLE and not attested
    if detail.outcome.startswith(_REFUSED) or detail.case is None:
        return False
    return detail.action == Action.READ_REQUEST and _agency(detail) in OPEN_DEPARTMENTS and detail.case not in closed


def _agency(detail: AuditDetail) -> str:
    return detail.agency or STATION  # what a service does by itself, the station does


def _usage(one: Seen) -> Usage:
    code = _agency(one.detail)
    agency = Words(*AGENCY_NAMES[code]) if code in AGENCY_NAMES else _ANOTHER_AGENCY
    system = SYSTEMS.get(one.detail.service, _ANOTHER_SYSTEM)
    return Usage(one.entry_id, one.at, code, agency, system, reason(one.detail))


def reason(detail: AuditDetail) -> Words:
    """Why the data was used, in plain words; what a later version says that this one does not know is left out."""
    if detail.outcome.startswith(_REFUSED):
        return Words(f"{_TRIED.zh}。", f"{_TRIED.en}.")
    parts = [ACTIONS.get(Action(detail.action), _SOME_USE) if detail.action in set(Action) else _SOME_USE]
    if detail.outcome == NOTHING_SHOWN:
        parts.append(_SHOWN_NOTHING)
    if detail.purpose in set(Purpose):
        why = PURPOSES[Purpose(detail.purpose)]
        parts.append(Words(f"目的：{why.zh}", why.en))
    if detail.legal_basis in set(LegalBasis):
        basis = BASES[LegalBasis(detail.legal_basis)]
        parts.append(Words(f"依据：{basis.zh}", f"legal basis: {basis.en}"))
    zh, en = "；".join(part.zh for part in parts), "; ".join(part.en for part in parts)
    return Words(f"{zh}。", f"{en}.")
