"""On whose word, and why, something is done."""

from dataclasses import dataclass
from uuid import UUID

from doorstep.contracts.codes import Purpose
from doorstep.kit.auth import Principal
from doorstep.kit.policy import NOTHING, Sight


@dataclass(frozen=True, slots=True)
class Access:
    """A caller whom policy permitted something, with the purpose and the policies' titles, for the log.

    `case` is what one thing is read for; `sight` what is seen of facts.
    """

    principal: Principal
    purpose: Purpose = Purpose.SERVICE
    policies: tuple[str, ...] = ()
    case: UUID | None = None
    sight: Sight = NOTHING


def follower(follow_index: bytes) -> str:
    """Whom whoever holds a follow code is called in commands."""
    return f"follow:{follow_index.hex()}"
