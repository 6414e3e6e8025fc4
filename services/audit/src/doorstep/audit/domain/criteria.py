"""What somebody asks the log for: criteria, the one text that they have, and whether a detail meets them."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from doorstep.audit.domain.errors import Malformed
from doorstep.contracts.audit import AuditDetail
from doorstep.contracts.codes import Action

TEXT_LIMIT = 200
"""The text of criteria is at most so long: the search is logged by it, and its detail is as long as any other."""
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,63}", re.ASCII)
REFUSED = "refused"
"""As an outcome: all tries that were refused, whatever for."""
RULES = "rules:"
"""Under this, among its policies, a detail names the rule pack that was in force."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ASKED_BY_ACTION = frozenset(Action) - {
    Action.MAKE_COMPLAINT,
    Action.WITHDRAW_COMPLAINT,
    Action.LIST_COMPLAINTS,
    Action.READ_COMPLAINT,
    Action.ANSWER_COMPLAINT,
}
"""By which actions entries are asked for. Nobody has the log list who complained, nor by what permitted to answer."""

_EQUAL = ("service", "agency", "station", "action", "purpose", "legal_basis", "case", "record", "actor")
_NAMES = (*_EQUAL, "policy", "rule_pack", "outcome", "life")
_MICROSECOND = timedelta(microseconds=1)
_VERSION_7 = 7


@dataclass(frozen=True, slots=True)
class Criteria:
    """What an entry's detail says, done at or after `since` and before `until`; None asks for nothing.

    `life` is the id of a record: its own case, or the record that its case came of. Raises Malformed if `since` is not
    before `until`, for a value that is no plain word, and for more of them than the text may hold.
    """

    since: datetime
    until: datetime
    service: str | None = None
    agency: str | None = None
    station: str | None = None
    action: str | None = None
    purpose: str | None = None
    legal_basis: str | None = None
    case: str | None = None
    record: str | None = None
    actor: str | None = None
    policy: str | None = None
    rule_pack: str | None = None
    outcome: str | None = None
    life: str | None = None

    def __post_init__(self) -> None:
        if self.since >= self.until:
            raise Malformed("criteria: since is not before until")
        if any(WORD.fullmatch(value) is None for _, value in self._asked()):
            raise Malformed("criteria: a value is not a word")
        if len(self.text()) > TEXT_LIMIT:
            raise Malformed("criteria: too many of them")

    @property
    def narrow(self) -> bool:
        """Whether they ask for one matter: whoever it is about is concerned by the question."""
        return any(value is not None for value in (self.case, self.record, self.life))

    def text(self) -> str:
        """The one text of these criteria: the time, then each that is asked for, in one order."""
        words = (f"{name}={value}" for name, value in self._asked())
        return " ".join((f"{_moment(self.since)}/{_moment(self.until)}", *words))

    def meets(self, detail: AuditDetail) -> bool:
        """Whether a detail says all that is asked for."""
        if not micros(self.since) <= detail.at_us < micros(self.until):
            return False
        for name in _EQUAL:
            wanted = getattr(self, name)
            if wanted is not None and wanted != getattr(detail, name):
                return False
        return (
            (self.policy is None or (self.policy in detail.policies and detail.action in ASKED_BY_ACTION))
            and (self.rule_pack is None or f"{RULES}{self.rule_pack}" in detail.policies)
            and (self.outcome is None or _came_of(self.outcome, detail.outcome))
            and (self.life is None or self.life in (detail.case, detail.record))
        )

    def _asked(self) -> list[tuple[str, str]]:
        return [(name, value) for name in _NAMES if (value := getattr(self, name)) is not None]


def _came_of(wanted: str, outcome: str) -> bool:
    return outcome == wanted or (wanted == REFUSED and outcome.startswith(f"{REFUSED}:"))


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def micros(moment: datetime) -> int:
    """Microseconds since 1970 in UTC."""
    return (moment - EPOCH) // _MICROSECOND


def moment_of(micros_: int) -> datetime:
    """The moment so many microseconds after 1970; raises OverflowError beyond the calendar."""
    return EPOCH + timedelta(microseconds=micros_)


def hour_of(moment: datetime) -> datetime:
    """The beginning of the hour (UTC) of `moment`."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def made_at(identifier: UUID) -> datetime | None:
    """When a UUIDv7 says that it was made (RFC 9562, 5.7); None for any other, and beyond the calendar."""
    if identifier.version != _VERSION_7:
        return None
    try:
        return EPOCH + timedelta(milliseconds=identifier.int >> 80)
    except OverflowError:
        return None
