"""On whose word, and why, something is done; and whom a person keeps from their matter."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Purpose
from doorstep.kit.auth import Principal
from doorstep.kit.exclusions import excluding
from doorstep.kit.policy import NOTHING, Sight
from doorstep.kit.vault import Vault
from doorstep.referral.operations.offices import elsewhere
from doorstep.referral.queries import TaskRow

STAFF = "staff"


@dataclass(frozen=True, slots=True)
class Access:
    """A caller whom policy permitted something, with the purpose and the policies' titles, for the log.

    `case` is what one thing is read for; `sight` what is seen of facts; `officer` in whose place the caller acts.
    """

    principal: Principal
    purpose: Purpose = Purpose.SERVICE
    policies: tuple[str, ...] = ()
    case: UUID | None = None
    sight: Sight = NOTHING
    officer: str | None = None


async def open_to(session: AsyncSession, vault: Vault, access: Access, tasks: Iterable[TaskRow]) -> list[TaskRow]:
    """Those of `tasks` whose persons do not exclude the caller, and of the caller's own office if they serve in one.

    The others are not there for them.
    """
    closed_offices = await elsewhere(session, vault, access.principal)
    tasks = [task for task in tasks if task.office_index is None or bytes(task.office_index) not in closed_offices]
    who = vault.pairwise(STAFF, access.principal.subject)
    closed = await excluding(session, who, [task.subject_id for task in tasks]) if tasks else set()
    return [task for task in tasks if task.subject_id not in closed]


def follower(follow_index: bytes) -> str:
    """Whom whoever holds a follow code is called in commands."""
    return f"follow:{follow_index.hex()}"
