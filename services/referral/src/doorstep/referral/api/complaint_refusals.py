"""What a refusal about complaints is answered with, for the table of all refusals."""

from doorstep.referral.domain import complaint_errors
from doorstep.referral.domain.complaints import MOST_OPEN
from doorstep.referral.errors import Refusal

ANSWERS: dict[type[Refusal], tuple[int, str, str, str]] = {
    complaint_errors.HadAPart: (
        403,
        "had-a-part",
        "经办过该记录的人不能查看或答复投诉，请由另一人答复。",
        "Whoever had a part in the record neither reads nor answers the complaint; somebody else does.",
    ),
    complaint_errors.ComplaintUnknown: (404, "complaint-unknown", "没有这件投诉。", "There is no such complaint."),
    complaint_errors.ComplaintAnswered: (
        409,
        "complaint-answered",
        "该投诉已答复。",
        "The complaint has been answered.",
    ),
    complaint_errors.TooManyComplaints: (
        409,
        "too-many-complaints",
        f"该事项已有 {MOST_OPEN} 件投诉待答复，请等候答复，或撤回其中一件后再提交。",
        f"{MOST_OPEN} complaints about this request wait already; await the answer, or take one back first.",
    ),
}
