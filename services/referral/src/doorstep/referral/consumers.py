"""What referral does on the events of others: wanted and confirmed needs become requests, erased subjects lose them."""

from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Decision, Role
from doorstep.contracts.envelope import Event
from doorstep.contracts.orders import OrderTaken
from doorstep.contracts.registry import (
    ExclusionsNamed,
    FileOpened,
    GuardianRecorded,
    HouseholdLeft,
    ProxyNamed,
    SubjectErased,
)
from doorstep.contracts.risk import NeedDecided, NeedsAssessed
from doorstep.kit.consumer import Handler, Received
from doorstep.kit.edge import open_file
from doorstep.kit.exclusions import exclude
from doorstep.kit.vault import Vault
from doorstep.referral.operations.checking import hear_needs
from doorstep.referral.operations.duties import note_duty
from doorstep.referral.operations.erasing import erase_subject
from doorstep.referral.operations.leaving import leave_household
from doorstep.referral.operations.opening import Origin, open_requests
from doorstep.referral.operations.order_joining import decline
from doorstep.referral.operations.orders import take_order
from doorstep.referral.operations.proxies import keep_guardian, keep_proxy
from doorstep.referral.operations.sealing import seal_address


async def _on_exclusions_named(session: AsyncSession, received: Received) -> None:
    event: ExclusionsNamed = received.event
    await exclude(session, event.subject_ids, event.staff)


async def _on_file_opened(session: AsyncSession, received: Received) -> None:
    await open_file(session, received.event)


def handlers(vault: Vault) -> Mapping[type[Event], Handler]:
    """Event type to what is done about it."""

    async def on_needs_assessed(session: AsyncSession, received: Received) -> None:
        event: NeedsAssessed = received.event
        if event.address_sealed:
            await seal_address(session, vault=vault, file_id=event.file_id)
        origin = Origin(event.record_id, event.file_id, event.station)
        await note_duty(session, event.record_id, event.recorded_by, Role.COLLECTOR)
        await hear_needs(session, event.station, event.handed_on)
        await open_requests(session, vault=vault, origin=origin, needs=event.handed_on, now=datetime.now(UTC))

    async def on_need_decided(session: AsyncSession, received: Received) -> None:
        event: NeedDecided = received.event
        await note_duty(session, event.record_id, event.recorded_by, Role.COLLECTOR)
        await note_duty(session, event.record_id, event.decided_by, Role.REVIEWER)
        if event.decision is Decision.CONFIRMED:
            origin = Origin(event.record_id, event.file_id, event.station)
            await hear_needs(session, event.station, [event.need])
            await open_requests(session, vault=vault, origin=origin, needs=[event.need], now=datetime.now(UTC))
        else:
            await decline(
                session,
                vault=vault,
                record_id=event.record_id,
                station=event.station,
                need=event.need,
                now=datetime.now(UTC),
            )

    async def on_order_taken(session: AsyncSession, received: Received) -> None:
        await take_order(session, vault=vault, taken=received.event)

    async def on_subject_erased(session: AsyncSession, received: Received) -> None:
        event: SubjectErased = received.event
        await erase_subject(session, vault=vault, subject_id=event.subject_id, now=datetime.now(UTC))

    return {
        FileOpened: _on_file_opened,
        NeedsAssessed: on_needs_assessed,
        NeedDecided: on_need_decided,
        SubjectErased: on_subject_erased,
        ExclusionsNamed: _on_exclusions_named,
        OrderTaken: on_order_taken,
        **_of_codes(vault),
    }


def _of_codes(vault: Vault) -> Mapping[type[Event], Handler]:
    """What is done about events that change by which code something is shown."""

    async def on_proxy_named(session: AsyncSession, received: Received) -> None:
        await keep_proxy(session, vault=vault, named=received.event)

    async def on_guardian_recorded(session: AsyncSession, received: Received) -> None:
        await keep_guardian(session, vault=vault, recorded=received.event)

    async def on_household_left(session: AsyncSession, received: Received) -> None:
        await leave_household(session, vault=vault, left=received.event)

    return {
        ProxyNamed: on_proxy_named,
        GuardianRecorded: on_guardian_recorded,
        HouseholdLeft: on_household_left,
    }
