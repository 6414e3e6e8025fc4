"""What a refusal about templates is answered with, for the table of all refusals."""

from doorstep.referral.domain import template_errors
from doorstep.referral.errors import Refusal

ANSWERS: dict[type[Refusal], tuple[int, str, str, str]] = {
    template_errors.TemplateUnknown: (
        422,
        "template-unknown",
        "本部门没有此办结用语，或已换新版本、已停用。",
        "The department has no such template, or a newer version of it, or uses it no more.",
    ),
    template_errors.TemplateUnfit: (
        422,
        "template-unfit",
        "该办结用语不适用于此需求类型、结果或原因。",
        "This template is for another need type, outcome or reason.",
    ),
    template_errors.TemplateTaken: (
        409,
        "template-taken",
        "该版本已有其他内容，或不是下一版本（{next}）。",
        "That version says something else, or is not the next one ({next}).",
    ),
}
