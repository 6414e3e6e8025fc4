"""How entries are shown in a terminal: Chinese first, the times of the place."""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any
from unicodedata import east_asian_width

import typer

from doorstep.contracts.codes import Action

PLACE = timezone(timedelta(hours=8), "Asia/Shanghai")

DEEDS: dict[str, str] = {
    Action.RECORD_VISIT: "采集", Action.ASSERT_FACTS: "登记事实", Action.ASSESS_NEEDS: "研判",
    Action.DECIDE_NEED: "审核需求", Action.OPEN_REQUEST: "建立请求", Action.TRANSITION_TASK: "办理",
    Action.RECALCULATE_DUE: "重算期限", Action.ADD_PART: "增加联办",
    Action.CALL_CONFERENCE: "召集会商", Action.ADD_MINUTE: "写会商记录", Action.READ_MINUTES: "查看会商记录",
    Action.SEND_NOTICE: "发送提醒", Action.CHOOSE_NOTICES: "居民选择提醒方式",
    Action.ASK_TO_LOOK_AGAIN: "居民申请复核", Action.LIST_LOOKS: "列出复核", Action.ANSWER_LOOK: "答复复核",
    Action.MAKE_COMPLAINT: "居民投诉", Action.WITHDRAW_COMPLAINT: "居民撤回投诉", Action.LIST_COMPLAINTS: "列出投诉",
    Action.READ_COMPLAINT: "查看投诉", Action.ANSWER_COMPLAINT: "答复投诉",
    Action.ANNOUNCE_DUE: "期限提醒", Action.LIST_LATE: "查看超期", Action.REMIND_DEPARTMENT: "催办",
    Action.ACKNOWLEDGE_CALL: "确认值班呼叫", Action.LIST_MISSING_PAPERS: "一次性告知",
    Action.HAND_IN_ORDER: "热线交单", Action.FOLLOW_ORDERS: "热线查单", Action.ANSWER_EXTENSION: "答复延期",
    Action.REPORT_CALL_BACK: "热线回访", Action.LIST_ORDERS: "列出工单", Action.RETURN_ORDER: "退单",
    Action.ASK_EXTENSION: "申请延期", Action.JOIN_ORDERS: "合并工单",
    Action.RATE_REQUEST: "评价", Action.REGISTER_KEY: "登记公钥", Action.READ_RECORD: "查看记录",
    Action.READ_FILE: "查看户档", Action.READ_ASSESSMENT: "查看研判", Action.READ_REQUEST: "查看请求",
    Action.LIST_REQUESTS: "列出请求", Action.READ_JOURNEY: "查看轨迹", Action.FOLLOW_REQUEST: "居民查询进度",
    Action.LIST_GAPS: "查看缺漏", Action.SEARCH_LOG: "检索日志", Action.EXPORT_LOG: "导出日志",
    Action.READ_LIFE: "查看全程", Action.READ_CONDUCT: "查看行为提示", Action.ASK_ABOUT_SUBJECT: "申请查询个人",
    Action.AGREE_TO_ASK: "同意查询个人", Action.READ_ABOUT_SUBJECT: "查询个人", Action.SEE_WHO_LOOKED: "居民查看访问",
    Action.ASK_TO_DEFER: "申请暂缓告知", Action.APPROVE_DEFERRAL: "批准暂缓告知", Action.ERASE_SUBJECT: "清除",
    Action.DECLARE_TIES: "申报利益关系", Action.WITHDRAW_KEY: "撤销公钥", Action.CHANGE_ENDPOINT: "变更推送地址",
    Action.READ_FEED_SETTINGS: "查看推送设置", Action.READ_FEED: "取走推送", Action.ACKNOWLEDGE_ERASURE: "确认删除",
    Action.LIST_UNERASED: "列出未确认删除", Action.SEE_FIGURES: "查看统计", Action.NAME_EXCLUSIONS: "指定回避人员",
    Action.PUBLISH_DIRECTORY: "发布服务目录", Action.TRY_DIRECTORY: "试算服务目录",
    Action.ACTIVATE_DIRECTORY: "启用服务目录", Action.EXPLAIN_ROUTE: "查看分派理由",
    Action.TAKE_REQUEST: "接手办理", Action.GIVE_REQUEST: "指定经办人", Action.NAME_DEPUTY: "指定 AB 岗",
    Action.ISSUE_NOTICE: "出具通知书", Action.ATTACH_DOCUMENT: "附上文书", Action.READ_DOCUMENT: "查看文书",
    Action.PUBLISH_TEMPLATE: "发布办结用语",
    Action.NAME_PROXY: "指定代理人", Action.LEAVE_HOUSEHOLD: "登记搬离",
    Action.RECORD_GUARDIAN: "登记监护人", Action.SUSPEND_GUARDIAN: "中止监护人",
    Action.DRAW_SIGN_IN_CODE: "生成登录码", Action.SIGN_IN: "居民登录",
    Action.LINK_ACCOUNT: "关联居民账户", Action.UNLINK_ACCOUNT: "解除居民账户关联",
    Action.BREAK_GLASS: "紧急授权", Action.LIST_BREAK_GLASS: "列出紧急授权",
    Action.ACKNOWLEDGE_BREAK_GLASS: "知悉紧急授权", Action.REVIEW_BREAK_GLASS: "复核紧急授权",
    Action.PROPOSE_PLAN: "呈报照护计划", Action.READ_PLAN_PROPOSAL: "查看计划呈报", Action.DECIDE_PLAN: "审议照护计划",
    Action.READ_PLAN: "查看照护计划", Action.RECORD_PLAN_MEETING: "记录照护联系",
    Action.LIST_PLAN_DUTIES: "查看照护责任书",
    Action.CONTEST_PLAN: "对计划提出异议", Action.WITHDRAW_FROM_PLAN: "撤回计划同意",
    Action.READ_PLAN_CONTEST: "查看计划异议", Action.ANSWER_PLAN_CONTEST: "答复计划异议",
    Action.ACTIVATE_POLICY: "启用策略", Action.ACTIVATE_RULES: "启用规则", Action.ACTIVATE_KEYS: "启用密钥",
    Action.BEGIN_KEY_EPOCH: "启用密钥加密密钥", Action.DESTROY_WRAPPING_KEY: "销毁密钥加密密钥",
    Action.DESTROY_DATA_KEY: "销毁数据密钥",
    Action.LIST_DEAD_LETTERS: "列出死信", Action.READ_DEAD_LETTER: "查看死信", Action.REPLAY_DEAD_LETTER: "重放死信",
    Action.REFUSE: "拒绝", Action.UNREADABLE: "无法读取",
}  # fmt: skip
_TITLES = (
    "时间 time",
    "事项 action",
    "结果 outcome",
    "经手 who",
    "机构 agency",
    "目的 purpose",
    "服务 service",
    "条目 entry",
)


def show_entries(entries: Sequence[dict[str, Any]]) -> None:
    """Print a table of entries as the log's service answers them."""
    rows = [_TITLES, *(_row(entry) for entry in entries)]
    widths = [max(_width(row[at]) for row in rows) for at in range(len(_TITLES))]
    for row in rows:
        padded = (cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(padded).rstrip())


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    at = datetime.fromisoformat(entry["at"]).astimezone(PLACE)
    deed = f"{DEEDS.get(entry['action'], '')} {entry['action']}".strip()
    who = " ".join(entry[name] for name in ("role", "actor") if entry[name])
    agency = " ".join(entry[name] for name in ("agency", "station") if entry[name])
    place = "—" if entry["index"] is None else str(entry["index"])
    cells = (f"{at:%Y-%m-%d %H:%M:%S}", deed, entry["outcome"], who, agency, entry["purpose"], entry["service"], place)
    return tuple(_plain(cell or "—") for cell in cells)


def _plain(text: str) -> str:
    """`text` without what could act on a terminal."""
    return "".join(sign if sign.isprintable() else "�" for sign in text)


def _width(text: str) -> int:
    return sum(2 if east_asian_width(sign) in "WF" else 1 for sign in text)
