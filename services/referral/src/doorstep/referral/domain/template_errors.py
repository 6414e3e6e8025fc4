"""Refusals about templates of outcomes: a branch of the tree in `errors`.

Refusal
└── TemplateRefused
    ├── TemplateUnknown       the department has none of that name in force
    ├── TemplateUnfit         it is for another need type, outcome or reason
    └── TemplateTaken         the version says something else, or is not the next
"""

from doorstep.referral.errors import Refusal


class TemplateRefused(Refusal):
    """A template is not published, or not used, like this."""


class TemplateUnknown(TemplateRefused):
    """The department has no such template in force."""


class TemplateUnfit(TemplateRefused):
    """The template does not tell this."""


class TemplateTaken(TemplateRefused):
    """A version says what it says, and each comes after the one before."""
