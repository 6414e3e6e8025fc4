"""HTTP: whoever calls with a token that was accepted is seen, once a day, before anything is answered."""

from datetime import UTC, date, datetime
from typing import cast

from fastapi import Depends, Request

from doorstep.kit.auth import Principal
from doorstep.kit.service import PrincipalDep, Service
from doorstep.registry.operations import roster


class Roster:
    """Sees callers on behalf of one process, which remembers for the day whom it wrote down."""

    def __init__(self, service: Service) -> None:
        """Nobody was seen yet."""
        self._service = service
        self._day = date.min
        self._seen: set[Principal] = set()

    async def see(self, principal: Principal) -> None:
        """Keep that `principal` was here, whatever becomes of their request. Raises one of DATABASE_ERRORS."""
        today, vault = datetime.now(UTC).date(), self._service.vault
        if today != self._day:
            self._day, self._seen = today, set()
        if roster.barred(principal):
            async with self._service.database.transaction() as session:
                await roster.strike(session, vault=vault, principal=principal)
            self._seen = {one for one in self._seen if one.subject != principal.subject}
        elif principal not in self._seen and roster.belongs(self._service.policy, principal):
            async with self._service.database.transaction() as session:
                await roster.see(session, vault=vault, principal=principal, today=today)
            self._seen.add(principal)  # not before it is committed


async def _see(request: Request, principal: PrincipalDep) -> None:
    await cast("Roster", request.app.state.roster).see(principal)


SEEN = Depends(_see)
"""For the routers whose callers are seen."""
