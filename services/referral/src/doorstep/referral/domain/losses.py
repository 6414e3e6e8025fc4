"""In which ways a request can be lost, and what to do about each."""

from enum import StrEnum


class Loss(StrEnum):
    """What there must never be."""

    NEED_WITHOUT_REQUEST = "need-without-request"
    MESSAGE_NOT_TAKEN = "message-not-taken"
    REQUEST_WITHOUT_OWNER = "request-without-owner"
    TASK_WITHOUT_DEADLINE = "task-without-deadline"


REMEDIES: dict[Loss, tuple[str, str]] = {
    Loss.NEED_WITHOUT_REQUEST: (
        "有需求没有对应的请求。请审核员按需求编号在研判中核对，由站点重新登记该需求；所列为需求编号。",
        "Needs without a request. Let a reviewer look them up in triage and record them anew; the ids are needs'.",
    ),
    Loss.MESSAGE_NOT_TAKEN: (
        "有需求消息未能处理。请运行 doorstep dead-letters list --service referral，修复后 replay；"
        "所列为死信或键的编号。",
        "Messages about needs were not taken. Run doorstep dead-letters list --service referral, mend, then replay;"
        " the ids are dead letters' or keys'.",
    ),
    Loss.REQUEST_WITHOUT_OWNER: (
        "有请求没有承办部门也不在站点队列。请审核员更正（entered-in-error）后重新登记；所列为请求编号。",
        "Requests that neither a department nor the station's queue has. Let a reviewer enter them in error and record"
        " them anew; the ids are requests'.",
    ),
    Loss.TASK_WITHOUT_DEADLINE: (
        "有办件没有可用的期限。请升级数据库（python -m doorstep.referral migrate），仍在则从备份核对；所列为请求编号。",
        "Tasks without a usable deadline. Run python -m doorstep.referral migrate; what stays, compare with a backup;"
        " the ids are requests'.",
    ),
}
