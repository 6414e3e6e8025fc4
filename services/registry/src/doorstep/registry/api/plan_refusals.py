"""What is answered where nothing is done with a care plan: status, code, a sentence in both languages."""

from collections.abc import Iterator
from contextlib import contextmanager

from doorstep.kit.problems import Fault, Problem
from doorstep.registry import errors

_ANSWERS: dict[type[errors.Refusal], tuple[int, str, str, str]] = {
    errors.FileUnknown: (404, "file-unknown", "没有这户的档案。", "There is no such file."),
    errors.SubjectUnknown: (404, "subject-unknown", "该档案中没有这个人。", "The file has no such person."),
    errors.PlanStands: (
        409, "plan-stands", "此人已有照护计划，或已有呈报。", "The person has a care plan, or one is proposed.",
    ),
    errors.PlanOver: (
        410,
        "plan-over",
        "照护计划已到期、已退出或本人已撤回同意。",
        "The plan lapsed, was left, or consent was withdrawn.",
    ),
    errors.PlanContested: (
        403,
        "plan-contested",
        "本人有异议，答复之前只能由小组成员为紧急安全查看（Doorstep-Purpose: emergency）。",
        "The person contests it: until that is answered the team reads it for safety alone, with purpose emergency.",
    ),
    errors.ConsentMissing: (
        409,
        "consent-missing",
        "没有本人或监护人有效的照护计划同意（consent.care-plan）。",
        "No consent.care-plan of the person or guardian that still stands was named.",
    ),
    errors.FactUnfit: (
        409,
        "fact-unfit",
        "引用的事实不在档案中，或不能说明此人的需求。",
        "The cited fact is not in the file, or shows no need.",
    ),
    errors.FactNotNewer: (
        409, "fact-not-newer", "须引用上次呈报之后新登记的事实。", "Cite a fact that came after the last proposal.",
    ),
    errors.LevelWrong: (
        409,
        "level-wrong",
        "只有变更须写明与现行不同的级别。",
        "A change names another level than the present one; nothing else names any.",
    ),
    errors.ProposalWaits: (409, "proposal-waits", "已有呈报等待审议。", "Another proposal waits for its panel."),
    errors.ProposalOver: (
        409, "proposal-over", "该呈报已有决定，或已超过审议期限。", "It was decided, or not decided in time.",
    ),
    errors.DecidedAlready: (409, "decided-already", "您已作出决定。", "You have decided."),
    errors.MeetingUnknown: (404, "meeting-unknown", "没有这条联系记录。", "There is no such meeting."),
    errors.SecondMemberMustConfirm: (
        403,
        "second-member-must-confirm",
        "须由共同参加的另一名小组成员确认。",
        "Another member of the team, who was there too, confirms it.",
    ),
    errors.ContestUnknown: (404, "contest-unknown", "没有待答复的异议。", "Nothing waits for an answer."),
}  # fmt: skip
_FAULTS: dict[type[errors.Refusal], tuple[str, str, Fault]] = {
    errors.PanelWrong: (
        "panel-wrong",
        "审议成员不符合要求。",
        Fault(
            "/panel",
            "须有服务站、主管部门和另一部门至少三方各一人，不含呈报人；续期两次后须由一名从未参与的本站审核员审议",
            "the station, the department that answers for the cause and one that is neither, without the proposer;"
            " after two renewals one reviewer of the station who had no part in the plan",
        ),
    ),
    errors.TeamWrong: (
        "team-wrong",
        "小组成员不符合要求。",
        Fault("/team", "至少两名不同的成员", "two different members at least"),
    ),
}
_EN = {"panel-wrong": "These people do not decide on this.", "team-wrong": "This is no team."}


@contextmanager
def answering() -> Iterator[None]:
    """Answer what is refused inside as a problem."""
    try:
        yield
    except errors.Refusal as refusal:
        if type(refusal) in _FAULTS:
            code, zh, fault = _FAULTS[type(refusal)]
            raise Problem(422, code, zh, _EN[code], faults=[fault]) from None
        raise Problem(*_ANSWERS[type(refusal)]) from None
