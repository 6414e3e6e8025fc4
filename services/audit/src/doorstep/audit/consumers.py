"""What the log takes: from `audit.entry.<service>` manifests and entries, readable or not; subjects to be erased.

From the registry it takes which subjects are one resident; what is wrong there becomes a dead letter as anywhere.
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.audit.domain.errors import Malformed
from doorstep.audit.domain.matching import minute_of, share
from doorstep.audit.operations.erasing import erase_subject
from doorstep.audit.operations.knowing import know_departure, know_guardian, know_proxy, know_residents
from doorstep.audit.operations.promising import keep_manifest, read_manifest
from doorstep.audit.operations.submitting import Counted, read_submission, submit, submit_unreadable
from doorstep.contracts.audit import AuditEntrySubmitted, AuditManifestPublished
from doorstep.contracts.envelope import Envelope, Event
from doorstep.contracts.registry import FactsAsserted, GuardianRecorded, HouseholdLeft, ProxyNamed, SubjectErased
from doorstep.contracts.topics import TOPICS
from doorstep.kit.consumer import Consumer, Handler, Received
from doorstep.kit.inbox import Message
from doorstep.kit.service import Service
from doorstep.kit.vault import Vault


class Unreadable(Event):
    """Stands for a message that nobody can read."""

    event_type: ClassVar[str] = "audit.unreadable.v1"


class LogConsumer(Consumer):
    """Takes submissions, manifests and erasures, and what the registry tells of residents.

    What others would make a dead letter of what was submitted becomes an `unreadable` entry: nothing is left out.
    """

    def __init__(self, service: Service) -> None:
        """Take what is submitted, and store it in the service's database."""
        handlers: dict[type[Event], Handler] = {
            AuditEntrySubmitted: storing(service.vault),
            AuditManifestPublished: keep,
            FactsAsserted: knowing(service.vault),
            ProxyNamed: representing(service.vault),
            GuardianRecorded: guarding(service.vault),
            HouseholdLeft: renewing(service.vault),
            SubjectErased: erasing(service.vault),
        }
        self._vault = service.vault
        super().__init__(service.database, service.broker, handlers, steps=service.steps)

    def read(self, record: Any) -> Message:
        """The message in `record`; what was submitted never has a flaw."""
        message = super().read(record)
        if message.flaw is None or message.ordered:
            return message
        now = datetime.now(UTC)
        stand_in = Envelope(id=uuid4(), source=message.topic, type=Unreadable.event_type, time=now, key=uuid4())
        return replace(message, envelope=stand_in, event=Unreadable(), flaw=None)

    async def handle(self, session: AsyncSession, message: Message) -> None:
        """Store the entry that the message asks for, or the one that says that it cannot be read."""
        try:
            if not isinstance(message.event, Unreadable):
                await super().handle(session, message)
                return
        except Malformed:
            pass
        await submit_unreadable(session, message, vault=self._vault)


def storing(vault: Vault) -> Handler:
    """The handler of submissions; it raises Malformed for one of which no entry can be made."""

    async def store(session: AsyncSession, received: Received) -> None:
        submission = read_submission(received.event, vault=vault)
        service = TOPICS[received.topic].producer
        minute = minute_of(received.envelope.time)
        submit(session, replace(submission, counted=Counted(service, minute, share(received.value))))

    return store


async def keep(session: AsyncSession, received: Received) -> None:
    """The handler of manifests; it raises Malformed for one that promises nothing sensible."""
    await keep_manifest(session, read_manifest(received.event, topic=received.topic))


def knowing(vault: Vault) -> Handler:
    """The handler of what the registry publishes; it raises SealBroken."""

    async def know(session: AsyncSession, received: Received) -> None:
        await know_residents(session, vault=vault, asserted=received.event)

    return know


def representing(vault: Vault) -> Handler:
    """The handler of proxies; it raises SealBroken."""

    async def represent(session: AsyncSession, received: Received) -> None:
        await know_proxy(session, vault=vault, named=received.event)

    return represent


def guarding(vault: Vault) -> Handler:
    """The handler of guardians; it raises SealBroken."""

    async def guard(session: AsyncSession, received: Received) -> None:
        await know_guardian(session, vault=vault, recorded=received.event)

    return guard


def renewing(vault: Vault) -> Handler:
    """The handler of who left a household."""

    async def renew(session: AsyncSession, received: Received) -> None:
        await know_departure(session, vault=vault, left=received.event)

    return renew


def erasing(vault: Vault) -> Handler:
    """The handler of confirmed erasures."""

    async def erase(session: AsyncSession, received: Received) -> None:
        event: SubjectErased = received.event
        await erase_subject(session, vault=vault, subject_id=event.subject_id, erasure_id=event.erasure_id)

    return erase
