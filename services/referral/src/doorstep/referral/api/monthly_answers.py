"""What is answered of the station's months and of what is stuck, and how it is made of what was found."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from pydantic import Field

from doorstep.contracts.codes import Department
from doorstep.referral.domain.deadlines import whole_minute
from doorstep.referral.domain.monthly import CLOSED, OPENED, Line, Of, Told
from doorstep.referral.operations.months import MonthTold
from doorstep.referral.operations.stuck import Unit
from doorstep.referral.schemas import Answer

Count = int | None


class Opened(Answer):
    """How many requests were opened, and how long after that any department answered first."""

    count: Count
    answered: dict[str, Count]


class Closed(Answer):
    """How many were completed or failed; when they were due, in how many days, and how their residents rated them."""

    count: Count
    due: dict[str, Count]
    took: dict[str, Count]
    rated: dict[str, Count]


class MonthLine(Answer):
    """A line of a month; null is a number that is withheld, being small or giving a small one away."""

    of: Of
    department: Department | None
    need_type: str | None
    opened: Opened
    closed: Closed


class MonthAnswer(Answer):
    """A month of the station, and when it was counted: once.

    `at_least`: rates of the station per hundred where fewer than `fewest` requests missed them; else see its line.
    """

    month: str
    counted_at: datetime
    at_least: dict[str, Count]
    lines: tuple[MonthLine, ...]


class MonthsAnswer(Answer):
    """The station's months, every line and class each time. Violence is in no number and in no sum."""

    station: str
    first: str = Field(serialization_alias="from")
    last: str = Field(serialization_alias="to")
    fewest: int
    months: tuple[MonthAnswer, ...]


class StuckRequest(Answer):
    """A request that is stuck `since`, half as long again as there was time after it was due; no content, nobody.

    It has a need type where that tells nothing of its person; `unanswered` owes the first response.
    """

    request_id: UUID
    need_type: str | None
    unanswered: bool
    due: datetime
    since: datetime


class StuckUnit(Answer):
    """An office, a department that finds one, or nobody yet, with what is stuck there, the longest first."""

    department: Department | None
    office: UUID | None
    name: str | None
    stuck: tuple[StuckRequest, ...]


class StuckAnswer(Answer):
    """The register of what is stuck at the station's units; with `more` only the longest are listed."""

    at: datetime
    station: str
    more: bool
    units: tuple[StuckUnit, ...]


def stuck_answer(station: str, units: Sequence[Unit], more: bool, now: datetime) -> StuckAnswer:
    """The answer to a supervisor."""
    return StuckAnswer(
        at=whole_minute(now),
        station=station,
        more=more,
        units=tuple(
            StuckUnit(
                department=unit.department,
                office=unit.office,
                name=unit.name,
                stuck=tuple(
                    StuckRequest(
                        request_id=one.request_id,
                        need_type=one.need_type,
                        unanswered=one.unanswered,
                        due=one.due,
                        since=one.since,
                    )
                    for one in unit.stuck
                ),
            )
            for unit in units
        ),
    )


def months_answer(station: str, found: Sequence[MonthTold], fewest: int) -> MonthsAnswer:
    """The answer to a supervisor."""
    return MonthsAnswer(
        station=station,
        first=str(found[0].month),
        last=str(found[-1].month),
        fewest=fewest,
        months=tuple(
            MonthAnswer(
                month=str(one.month),
                counted_at=whole_minute(one.counted_at),
                at_least=dict(one.at_least),
                lines=tuple(_line(line, told) for line, told in one.lines),
            )
            for one in found
        ),
    )


def _line(line: Line, told: Told) -> MonthLine:
    opened = {way: {one.value: told[f"{way}.{one}"] for one in classes} for way, classes in OPENED.items()}
    closed = {way: {one.value: told[f"{way}.{one}"] for one in classes} for way, classes in CLOSED.items()}
    return MonthLine(
        of=line.of,
        department=line.department,
        need_type=line.need_type,
        opened=Opened(count=told["opened"], **opened),
        closed=Closed(count=told["closed"], **closed),
    )
