"""What a refusal about orders is answered with, for the table of all refusals."""

from doorstep.referral.domain import order_errors
from doorstep.referral.errors import Refusal

ANSWERS: dict[type[Refusal], tuple[int, str, str, str]] = {
    order_errors.OrderUnknown: (404, "order-unknown", "没有这张工单。", "There is no such order."),
    order_errors.OrderWithheld: (
        409,
        "order-withheld",
        "该工单已由服务站接收并直接答复来电人，不再与热线往来。",
        "The station received this order and answers its caller; nothing more is agreed on with the hotline.",
    ),
    order_errors.OrderReturned: (409, "order-returned", "该工单已退单。", "The order was returned."),
    order_errors.OrderAccepted: (
        409,
        "order-accepted",
        "已有部门受理，不能退单。",
        "A department accepted it; the order is not returned any more.",
    ),
    order_errors.ReturnTooLate: (
        409,
        "return-too-late",
        "退单期限（收单后一个工作日）已过。",
        "An order is returned within one working day after its receipt.",
    ),
    order_errors.OrderOverdue: (
        409,
        "order-overdue",
        "工单已到期，延期须在到期前申请。",
        "The order is due already; more time is asked for before that.",
    ),
    order_errors.TermRefused: (
        422,
        "term-refused",
        "延期后的时间须晚于现到期时间，且不超过一年。",
        "Ask for a time after the due time, within a year of it.",
    ),
    order_errors.ExtensionPending: (
        409,
        "extension-pending",
        "上一次延期申请尚待热线答复。",
        "The hotline has not answered what was asked before.",
    ),
    order_errors.NoMoreExtensions: (
        409,
        "no-more-extensions",
        "延期最多申请两次。",
        "More time is asked for twice at most.",
    ),
    order_errors.ExtensionNotNow: (
        409,
        "no-extension-now",
        "现在不能为该工单申请延期。",
        "No more time can be asked for this order now.",
    ),
    order_errors.ExtensionUnknown: (404, "extension-unknown", "没有这项延期申请。", "Nobody asked for this extension."),
    order_errors.ExtensionAnswered: (
        409,
        "extension-answered",
        "该延期申请已有不同的答复。",
        "The extension was answered otherwise.",
    ),
    order_errors.OrderNotClosed: (
        409,
        "order-not-closed",
        "工单尚未办结，不能回访。",
        "The order is not closed; nobody is called back of it yet.",
    ),
    order_errors.CallBackGiven: (
        409,
        "call-back-given",
        "本次办结的回访结果已登记。",
        "The call-back of this closing was reported.",
    ),
    order_errors.NotOneMatter: (
        409,
        "not-one-matter",
        "两张工单不是同一人的同一事项，或该事项已办结，不能合并。",
        "The orders are not of one person, or have nothing open in common; they are not joined.",
    ),
}
