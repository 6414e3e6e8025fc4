"""What is answered about directories and routes, and how it is made of what was found."""

from uuid import UUID

from doorstep.contracts.codes import Department
from doorstep.referral.domain.choosing import Asked, Choice, Considered, WhyNot
from doorstep.referral.domain.directory import Directory
from doorstep.referral.domain.explaining import NO_DIRECTORY, NOBODY_KNOWS, verdict, why
from doorstep.referral.domain.routing import UNROUTED, route
from doorstep.referral.operations.trying import Moves
from doorstep.referral.schemas import Answer


class DirectoryAnswer(Answer):
    """A directory: its version, the SHA-256 of its canonical JSON, and how many offices it has."""

    version: str
    digest: str
    offices: int


class RouteOffice(Answer):
    """An office, and why it takes the need (`why_not` is absent) or does not, in Chinese and English."""

    id: UUID
    name: str
    department: Department
    why_not: WhyNot | None = None
    zh: str
    en: str


class RouteAnswer(Answer):
    """Where a need goes: to an office, to a department that finds one, or to the station's `queue`.

    `directory` is the version in force. How many requests an office has is not told.
    """

    need_type: str
    station: str
    directory: str | None = None
    department: Department | None = None
    office: UUID | None = None
    queue: str | None = None
    zh: str
    en: str
    offices: tuple[RouteOffice, ...] = ()


class TrialLine(Answer):
    """How many open requests are at a place, would come to it, would leave it; absent below `fewest`.

    Without an office it is the department that finds one, without a department the station's queue.
    """

    department: Department | None = None
    office: UUID | None = None
    name: str | None = None
    here: int | None = None
    coming: int | None = None
    leaving: int | None = None


class TrialAnswer(Answer):
    """What a directory would change: counts in steps of `step` from `fewest` on, every line each time."""

    version: str
    fewest: int
    step: int
    lines: tuple[TrialLine, ...]


def directory_answer(directory: Directory) -> DirectoryAnswer:
    """What is told of a directory that was published or activated."""
    return DirectoryAnswer(version=directory.version, digest=directory.digest, offices=len(directory.offices))


def trial_line(moves: Moves) -> TrialLine:
    """A place of a trial."""
    department, office = moves.place
    return TrialLine(
        department=department,
        office=office,
        name=moves.name,
        here=moves.here,
        coming=moves.coming,
        leaving=moves.leaving,
    )


def route_answer(asked: Asked, found: tuple[Directory, Choice] | None) -> RouteAnswer:
    """Where a need goes by the directory in force, or by its type alone where there is none."""
    if found is None:
        department = route(asked.need_type)
        zh, en = NO_DIRECTORY if department is not None else NOBODY_KNOWS
        queue = UNROUTED if department is None else None
        return RouteAnswer(
            need_type=asked.need_type, station=asked.station, department=department, queue=queue, zh=zh, en=en
        )
    directory, choice = found
    names = {str(one.id): one.name for one in directory.offices}
    zh, en = verdict(choice)
    return RouteAnswer(
        need_type=asked.need_type,
        station=asked.station,
        directory=directory.version,
        department=choice.office.department if choice.office else None,
        office=choice.office.id if choice.office else None,
        queue=UNROUTED if choice.office is None else None,
        zh=zh,
        en=en,
        offices=tuple(_office(one, names) for one in choice.considered),
    )


def _office(one: Considered, names: dict[str, str]) -> RouteOffice:
    zh, en = why(one, names)
    office = one.office
    return RouteOffice(id=office.id, name=office.name, department=office.department, why_not=one.why_not, zh=zh, en=en)
