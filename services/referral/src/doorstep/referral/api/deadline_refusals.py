"""What a refusal about deadlines is answered with, for the table of all refusals."""

from doorstep.referral.domain import deadline_errors
from doorstep.referral.errors import Refusal

ANSWERS: dict[type[Refusal], tuple[int, str, str, str]] = {
    deadline_errors.NotOverdue: (
        409,
        "not-overdue",
        "首次答复期限未过，或所选部门就是现承办部门，不能收回改派。",
        "A request is taken from a department once its first response is late, and goes to another one.",
    ),
    deadline_errors.NobodyCalled: (
        409,
        "nobody-called",
        "该请求没有呼叫值班台。",
        "The duty desk was not called of this request.",
    ),
    deadline_errors.NobodyToRemind: (
        409,
        "nobody-to-remind",
        "状态 {state} 的请求没有承办部门可催办。",
        "Of a request that is {state} there is no department to remind.",
    ),
    deadline_errors.RemindedToday: (
        409,
        "reminded-today",
        "该请求今天已催办过，请明天再催。",
        "The department was reminded of this request today; do so again tomorrow.",
    ),
    deadline_errors.ResidentNotAwaited: (
        409,
        "resident-not-awaited",
        "请先以“等待居民”为由将请求转为 on-hold，再一次性告知所缺材料或容缺受理。",
        "Put the request on hold for waiting-for-resident first, then list the missing papers, or have them promised.",
    ),
    deadline_errors.NoticeGiven: (
        409,
        "notice-given",
        "所缺材料已一次性告知，不能再次列出。",
        "The missing papers were listed, all at once; there is no second list.",
    ),
    deadline_errors.NothingListed: (
        409,
        "nothing-listed",
        "尚未一次性告知所缺材料，没有可承诺补交的材料。",
        "No missing papers were listed: list them first, then they can be promised.",
    ),
    deadline_errors.PaperNotListed: (
        422,
        "paper-not-listed",
        "只能承诺补交已一次性告知的材料。",
        "Only papers that were listed as missing can be promised.",
    ),
    deadline_errors.DayRefused: (
        422,
        "day-refused",
        "承诺补交的日期须在今天至 {days} 天之内。",
        "Papers are promised until a day from today on, at most {days} days ahead.",
    ),
}
