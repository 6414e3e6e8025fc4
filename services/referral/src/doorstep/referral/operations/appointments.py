"""Appointments that the station makes or moves, for itself or for a resident who cannot come.

A department makes its own by a step of its task. Attendance is the department's to tell.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import BusinessStatus
from doorstep.kit.vault import Vault
from doorstep.referral import queries
from doorstep.referral.domain.appointments import Appointment, check, noted
from doorstep.referral.domain.states import Party, Step
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.tasks import Moved, Wish, content_of, seen_by, standing_of, take


@dataclass(frozen=True, slots=True)
class Call:
    """What is to be noted, on which version of which part; without an appointment another is still to be found."""

    appointment: Appointment | None
    version: int
    for_resident: bool
    part: int | None = None
    note: str | None = None


async def make_appointment(
    session: AsyncSession, *, vault: Vault, access: Access, station: str, request_id: UUID, call: Call, now: datetime
) -> Moved:
    """Make or move an appointment of a part, or note that the resident cannot come and the next is not found yet.

    Raises RequestUnknown, VersionStale, PartUnnamed, PartUnknown, a TransitionRefused or an AppointmentRefused.
    """
    tasks = await queries.lock_station_tasks(session, station, request_id)
    task = await seen_by(session, vault, access, tasks, call.version, call.part)
    ring = await vault.ring([task.subject_id])
    made = call.appointment
    status = BusinessStatus.WAITING_FOR_RESIDENT if made is None else BusinessStatus.APPOINTMENT_SCHEDULED
    after = noted(standing_of(ring, task), status)
    if made is not None:
        check(made, content_of(ring, task), now)
    party = Party.RESIDENT if call.for_resident else Party.STATION
    step = Step(task.state, party, access.principal.subject, business_status=status)
    wish = Wish(task.state, call.version, status, note=call.note, appointment=made)
    return await take(session, ring, access, task, step, after, wish, now)
