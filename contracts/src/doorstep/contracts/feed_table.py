"""The feeds as a page that everybody can read: who receives which fields, why, on which basis, and for how long."""

from doorstep.contracts.codes import DEPARTMENT_NAMES, Department
from doorstep.contracts.facts import CATALOGUE
from doorstep.contracts.feeds import (
    ACKNOWLEDGE_DAYS,
    FEED_DAYS,
    FEEDS,
    Feed,
    RequestDue,
    RequestOffered,
    RequestWithdrawn,
)
from doorstep.contracts.needs import NEED_TYPES

ALWAYS = ("ref", "subject_ref", "need_type", "urgency", "respond_by", "complete_by", "office")
_HEAD = f"""\
# What each department receives

Generated from `contracts/src/doorstep/contracts/feeds.py`, `needs.py` and `facts.py` by `make schemas`; a field that is
not named here does not leave for that department.

By topic, pull and webhook a department receives three events, encrypted for its key alone:

- `{RequestOffered.event_type}` with {", ".join(f"`{name}`" for name in ALWAYS)},
  the fields below, and those facts of the kinds below that the need rests on; `office`, the department's own, only
  where the service directory chose one;
- `{RequestWithdrawn.event_type}` with `ref`, `withdrawn_at` and `delete_by`, and nothing else;
- `{RequestDue.event_type}` with `ref`, `deadline`, `step`, `due_by` and `delete_by`, and nothing else.

All are kept {FEED_DAYS} days and say `delete_by`; that a withdrawn request was deleted is to be acknowledged within
{ACKNOWLEDGE_DAYS} days.
"""


def page() -> str:
    """The page in Markdown."""
    return _HEAD + "".join(_section(FEEDS[department]) for department in Department)


def _section(feed: Feed) -> str:
    zh, en = DEPARTMENT_NAMES[feed.department]
    needs = {name: need for name, need in NEED_TYPES.items() if need.department is feed.department}
    codes = sorted(code for code, fact in CATALOGUE.items() if fact.kind in feed.fact_kinds)
    bases = sorted({str(need.legal_basis) for need in needs.values()})
    rows = (
        ("fields", sorted(feed.fields)),
        ("kinds of fact", sorted(kind.name.lower().replace("_", "-") for kind in feed.fact_kinds)),
        ("facts of these kinds", codes),
        ("needs", sorted(needs)),
        ("purpose", [str(feed.purpose)]),
        ("legal basis", bases),
    )
    table = "".join(f"| {name} | {', '.join(f'`{one}`' for one in values) or '–'} |\n" for name, values in rows)
    return f"\n## {zh} {en}: `feed.{feed.department}`\n\n| what | this department |\n| --- | --- |\n{table}"
