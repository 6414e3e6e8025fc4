"""On whose word, and why, something is done."""

from dataclasses import dataclass

from doorstep.contracts.codes import Purpose
from doorstep.kit.auth import Principal


@dataclass(frozen=True, slots=True)
class Access:
    """A caller whom policy permitted something, with the purpose and the policies' titles, for the log."""

    principal: Principal
    purpose: Purpose = Purpose.SERVICE
    policies: tuple[str, ...] = ()


def follower(follow_index: bytes) -> str:
    """Whom whoever holds a follow code is called in commands."""
    return f"follow:{follow_index.hex()}"
