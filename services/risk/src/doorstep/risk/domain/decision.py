"""What a reviewer may decide on: a suggested need of somebody else's record, once."""

from dataclasses import dataclass
from uuid import UUID

from doorstep.contracts.codes import Decision
from doorstep.risk.errors import DecidedAlready, NeedWanted, OwnRecord


@dataclass(frozen=True)
class Pending:
    """What a decision depends on: who wrote the record, whether the need was wanted, what was decided before."""

    recorded_by: UUID
    wanted: bool
    decided: Decision | None = None


def settle(pending: Pending, *, decision: Decision, reviewer: UUID) -> bool:
    """Whether `decision` is new; False if it was made before in the same sense.

    Raises OwnRecord, NeedWanted or DecidedAlready. `recorded_by` and `reviewer` are pseudonyms of the same kind.
    """
    if pending.recorded_by == reviewer:
        raise OwnRecord
    if pending.wanted:
        raise NeedWanted
    if pending.decided is None:
        return True
    if pending.decided is not decision:
        raise DecidedAlready
    return False
