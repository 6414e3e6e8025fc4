"""What a refusal is answered with: status, code and a sentence in both languages."""

from collections import defaultdict

from fastapi import Request
from fastapi.responses import JSONResponse

from doorstep.kit.problems import Fault, Problem, respond, speaks_fhir
from doorstep.referral import errors
from doorstep.referral.api.complaint_refusals import ANSWERS as OF_COMPLAINTS
from doorstep.referral.api.deadline_refusals import ANSWERS as OF_DEADLINES
from doorstep.referral.api.document_refusals import ANSWERS as OF_DOCUMENTS
from doorstep.referral.api.order_refusals import ANSWERS as OF_ORDERS
from doorstep.referral.api.template_refusals import ANSWERS as OF_TEMPLATES
from doorstep.referral.domain.directory_errors import DirectoryUntried

_ANSWERS: dict[type[errors.Refusal], tuple[int, str, str, str]] = {
    errors.RequestUnknown: (404, "request-unknown", "没有这个请求。", "There is no such request."),
    errors.VersionStale: (
        412,
        "version-stale",
        "请求已有新版本，请重新读取后再试。",
        "The request has changed meanwhile; read it again, then decide.",
    ),
    errors.AboutAnother: (
        409,
        "about-another",
        "该请求的服务对象不是所写的编号，请核对后再办理。",
        "This request is not about the subject that was named; look again whose it is.",
    ),
    errors.KeyIdTaken: (
        409,
        "key-id-taken",
        "该密钥编号已属于另一把密钥，请换一个编号。",
        "This key id belongs to another key; use a new one.",
    ),
    errors.KeyWithdrawn: (
        409,
        "key-withdrawn",
        "该密钥已撤销，请生成新的密钥。",
        "This key was withdrawn; make a new one.",
    ),
    errors.KeyUnknown: (404, "key-unknown", "没有这把密钥。", "There is no such key."),
    errors.KeyNeeded: (
        409,
        "key-needed",
        "这是唯一可用的密钥，请先登记新的密钥。",
        "This is the only usable key; publish the next one first.",
    ),
    errors.KeyMissing: (
        409,
        "key-missing",
        "请先登记公钥，推送内容须用它加密。",
        "Publish a key first; the feed is encrypted for it.",
    ),
    errors.CursorExpired: (
        410,
        "cursor-expired",
        "游标已失效，请不带 after 从头读取；编号相同的消息可忽略。",
        "The cursor is no longer known: read from the beginning without after, and ignore the ids that you have.",
    ),
    errors.NothingToErase: (
        409,
        "nothing-to-erase",
        "该请求仍由贵部门办理，尚未撤回。",
        "This request is still yours; it was not withdrawn.",
    ),
    errors.TooManyWait: (
        429,
        "too-many-wait",
        "贵部门等待新消息的连接过多，请不带 wait 读取，或先结束其他连接。",
        "Too many of your callers wait for this feed; ask without wait, or let others end first.",
    ),
    errors.EndpointUnknown: (404, "endpoint-unknown", "没有登记推送地址。", "There is no endpoint."),
    errors.AddressRefused: (
        422,
        "address-refused",
        "推送地址须为公网 https 地址，不含账号和片段。",
        "An endpoint is a public https address without user or fragment.",
    ),
    errors.NoSuchTransition: (
        409,
        "transition-not-allowed",
        "不能从 {source} 转为 {to}。",
        "No step leads from {source} to {to}.",
    ),
    errors.NotThisParty: (
        409,
        "not-this-party",
        "从 {source} 转为 {to} 须由另一方进行。",
        "The step from {source} to {to} is the other party's.",
    ),
    errors.ReasonMissing: (422, "reason-missing", "转为 {to} 须说明原因代码。", "Name a reason code to go to {to}."),
    errors.OutcomeMissing: (
        422,
        "outcome-missing",
        "转为 {to} 须说明结果代码。",
        "Name an outcome code to go to {to}.",
    ),
    errors.StatusContradicts: (
        409,
        "status-contradicts",
        "状态 {to} 与业务状态 {business_status} 矛盾。",
        "State {to} and business status {business_status} contradict each other.",
    ),
    errors.AssignmentBinds: (
        409,
        "assignment-binds",
        "该请求由仲裁人指定，不能退回。",
        "The arbiter assigned this request; it cannot be rejected.",
    ),
    errors.AttestationRefused: (
        422,
        "attestation-refused",
        "核验的事实有误，请按所列各处修改。",
        "What is attested cannot be taken; mend what is listed.",
    ),
    errors.OtherSideMustConfirm: (
        409,
        "other-side-must-confirm",
        "取消正等待另一方确认。",
        "The cancellation waits for the other side's word.",
    ),
    errors.SecondPersonMustConfirm: (
        409,
        "second-person-must-confirm",
        "更正已办结的请求须由第二人确认。",
        "Correcting a closed request takes a second person.",
    ),
    errors.NothingToRoute: (
        409,
        "nothing-to-route",
        "状态 {state} 的请求不能转办。",
        "A request that is {state} is not handed on.",
    ),
    errors.DepartmentUnknown: (422, "department-unknown", "没有这个部门。", "There is no such department."),
    errors.RejectedThere: (
        409,
        "rejected-there",
        "{department} 已退回过这项需求，请选择其他部门。",
        "{department} rejected this need before; choose another department.",
    ),
    errors.ArbiterMustAssign: (
        409,
        "arbiter-must-assign",
        "已被退回 {rejections} 次，须由仲裁人指定部门。",
        "After {rejections} rejections only the arbiter assigns.",
    ),
    errors.NothingOpen: (
        409,
        "nothing-open",
        "请求没有在办部门，不能增加联办事项。",
        "No department is to work on this request; no part is added to it.",
    ),
    errors.NeedElsewhere: (
        422,
        "need-elsewhere",
        "该需求类型不由 {department} 负责。",
        "{department} does not owe this need type.",
    ),
    errors.PartTaken: (
        409,
        "part-taken",
        "{department} 已有在办的联办事项。",
        "{department} has an open part of this request already.",
    ),
    errors.PartConfidential: (
        409,
        "part-confidential",
        "该保密事项不能作为联办事项，请另立请求。",
        "Something so confidential is no part of this; open a request of its own.",
    ),
    errors.ConsentMissing: (
        422,
        "consent-missing",
        "该事项须经居民同意，请先征得同意并注明。",
        "This rests on the resident's consent; ask, and say that you did.",
    ),
    errors.TooManyParts: (
        409,
        "too-many-parts",
        "一个请求最多 {most} 个联办事项。",
        "A request has at most {most} parts.",
    ),
    errors.PartUnnamed: (
        422,
        "part-unnamed",
        "请求有 {parts} 个联办事项，请指明是哪一个。",
        "The request has {parts} parts; name the one that you mean.",
    ),
    errors.PartUnknown: (422, "part-unknown", "没有第 {part} 个联办事项。", "There is no part {part}."),
    errors.WindowRefused: (
        422,
        "window-refused",
        "预约须在将来、180 天之内，结束晚于开始，不超过八小时。",
        "An appointment is to come, within 180 days, and ends after it starts, within eight hours.",
    ),
    errors.PlaceBarred: (
        409,
        "place-barred",
        "为保护本人安全，不得以 {place} 方式预约，除非本人要求。",
        "To protect the person there is no appointment {place}, unless they ask for it.",
    ),
    errors.AppointmentAhead: (
        409,
        "appointment-ahead",
        "预约尚未开始，不能登记到场或未到场。",
        "The appointment has not begun: nobody attended or missed it.",
    ),
    errors.ConferenceUnknown: (404, "conference-unknown", "没有这次联席会商。", "There is no such conference."),
    errors.ConferenceBarred: (
        409,
        "conference-barred",
        "为保护本人安全，不得召集联席会商，除非本人要求。",
        "To protect the person there is no joint conference, unless they ask for it.",
    ),
    errors.ConferenceClosed: (409, "conference-closed", "会商已结束。", "The conference is closed."),
    errors.LeadMissing: (
        422,
        "lead-missing",
        "联席会商须有牵头部门和至少一个联办部门。",
        "The lead and at least one other part take part in a conference.",
    ),
    errors.NotSeated: (
        409,
        "not-seated",
        "只有在办的联办部门可以参加会商。",
        "Only departments that have a part take part in a conference.",
    ),
    errors.NotForThem: (
        422,
        "not-for-them",
        "{departments} 不能查看该类信息，请另写或缩小范围。",
        "{departments} may not see what this is about; write it otherwise, or for fewer.",
    ),
    errors.DirectoryInvalid: (
        422,
        "directory-invalid",
        "服务目录有误，请按所列各处修改。",
        "The directory is not usable; mend what is listed.",
    ),
    errors.DirectoryUnknown: (404, "directory-unknown", "没有这个版本的服务目录。", "There is no such directory."),
    errors.DirectoryMisnamed: (
        422,
        "directory-misnamed",
        "文件中的版本与地址中的版本不同。",
        "The file names another version than the address.",
    ),
    errors.VersionTaken: (
        409,
        "version-taken",
        "该版本已发布为另一份目录，请换一个版本号。",
        "Another directory has this version; give it a new one.",
    ),
    DirectoryUntried: (
        409,
        "directory-untried",
        "该目录尚未试算，请先运行 doorstep route try。",
        "Nobody tried this directory on open requests; run doorstep route try first.",
    ),
    errors.LookUnknown: (404, "look-unknown", "没有这项复核申请。", "Nobody asked for this look."),
    errors.LookAskedAlready: (
        409,
        "look-asked-already",
        "已申请复核，或复核后请求没有新变化。",
        "Somebody is looking already, or has, and nothing has changed since.",
    ),
    errors.LookAnsweredAlready: (409, "look-answered-already", "该复核已答复。", "The look has been answered."),
    errors.DecidedBefore: (
        403,
        "decided-before",
        "经办过该记录的人不能复核，请由另一人答复。",
        "Whoever had a part in the record does not look again; somebody else answers.",
    ),
    errors.NothingToOpenAnew: (
        409,
        "nothing-to-open-anew",
        "状态 {state} 的请求不能重新开立，或已另行开立。",
        "A request that is {state}, or goes on already, is not opened anew.",
    ),
    errors.HandledByAnother: (
        409,
        "handled-by-another",
        "该请求已由他人经办，须由经办人、其 AB 岗或负责人办理。",
        "Another officer has this request: it is for them, their deputy or the head of the office to act.",
    ),
    errors.NothingToHandle: (
        409,
        "nothing-to-handle",
        "请求已办结，不能再指定经办人。",
        "The request is closed and is given to nobody.",
    ),
    errors.OfficerUnknown: (
        422,
        "officer-unknown",
        "本部门（办事处）没有此经办人，须先登录过收件箱。",
        "No such officer has been at the inbox of this department or office.",
    ),
    errors.DeputyUnknown: (404, "deputy-unknown", "没有这项 AB 岗安排。", "There is no such deputy."),
    errors.DeputyTwice: (
        409,
        "deputy-twice",
        "该时段已有 AB 岗，请先结束原安排。",
        "Another deputy is named for that time; end that first.",
    ),
    errors.NothingToNotify: (
        409,
        "nothing-to-notify",
        "状态 {state} 的请求不能出具此类通知书（{kind}）。",
        "No such notice ({kind}) is issued of a request that is {state}.",
    ),
    errors.NoticeBarred: (
        409,
        "notice-barred",
        "该请求须保密，本人未指定安全联系方式，不出具通知书。",
        "The request is confidential and the person has named no safe contact: no notice is issued.",
    ),
    errors.NoticeUnknown: (404, "notice-unknown", "没有出具过此类通知书。", "No such notice was issued."),
    errors.NotRatable: (
        409,
        "not-ratable",
        "请求尚未答复或已撤回，不能评价。",
        "The request has not been answered, or was taken back; it cannot be rated.",
    ),
    errors.RatedAlready: (409, "rated-already", "该请求已评价。", "The request has been rated."),
    errors.WindowClosed: (
        409,
        "window-closed",
        "办结已超过七天，请提出新的请求。",
        "Seven days have passed since closing; ask anew.",
    ),
    **OF_DEADLINES,
    **OF_COMPLAINTS,
    **OF_DOCUMENTS,
    **OF_TEMPLATES,
    **OF_ORDERS,
}
_CONDUCT = (
    errors.NotThisParty,
    errors.AssignmentBinds,
    errors.OtherSideMustConfirm,
    errors.SecondPersonMustConfirm,
    errors.ArbiterMustAssign,
    errors.DecidedBefore,
    errors.HandledByAnother,
)  # who may not, and not what cannot be: these are logged
_POINTERS = {
    "reason-missing": "/reason",
    "outcome-missing": "/outcome",
    "department-unknown": "/department",
    "address-refused": "/url",
    "directory-misnamed": "/directory/version",
    "need-elsewhere": "/need_type",
    "consent-missing": "/consented",
    "part-unnamed": "/part",
    "part-unknown": "/part",
    "window-refused": "/appointment",
    "lead-missing": "/parts",
    "not-for-them": "/about",
    "template-unknown": "/template",
    "template-unfit": "/template",
    "term-refused": "/until",
    "paper-not-listed": "/papers",
    "day-refused": "/until",
}
_ELEMENTS = {
    "reason-missing": "/statusReason",
    "outcome-missing": "/output",
    "about-another": "/for",
}  # the same, in a Task


def code_of(error: errors.Refusal) -> str:
    """The code that a refusal is told by."""
    return _ANSWERS[type(error)][1]


def is_logged(error: errors.Refusal) -> bool:
    """Whether a refusal is in the log: a thing that is not there for the caller, and what they may not do."""
    return isinstance(error, _CONDUCT) or _ANSWERS[type(error)][0] in (403, 404)


def version_required() -> Problem:
    """The caller did not say which version they saw."""
    zh, en = '请在 If-Match 头中写明所见版本，如 "3"。', 'Name the version that you saw in If-Match, like "3".'
    return Problem(428, "version-required", zh, en)


async def answer_refusal(request: Request, error: Exception) -> JSONResponse:
    """The answer to a Refusal. Only codes and numbers are filled in, never what was sent."""
    assert isinstance(error, errors.Refusal)  # noqa: S101
    status, code, zh, en = _ANSWERS[type(error)]
    facts = defaultdict(str, {name: str(fact) for name, fact in error.facts.items()})
    zh, en = zh.format_map(facts), en.format_map(facts)
    places = _ELEMENTS if speaks_fhir(request.scope["path"]) else _POINTERS
    faults = [Fault(places[code], zh, en)] if code in places else []
    if isinstance(error, errors.DirectoryInvalid | errors.AttestationRefused):
        faults = [Fault(flaw.where, flaw.zh, flaw.en) for flaw in error.flaws]
    refusal = True if isinstance(error, _CONDUCT) else None
    return await respond(request, Problem(status, code, zh, en, faults=faults, refusal=refusal))
