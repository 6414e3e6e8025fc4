"""What every service submits to the audit log."""

from typing import ClassVar
from uuid import UUID

from pydantic import AwareDatetime

from doorstep.contracts.codes import Action, Coded
from doorstep.contracts.envelope import Contract, Event
from doorstep.contracts.sealed import Sealed


class AuditDetail(Contract):
    """What was done, by whom, to whose data and why. Read by auditors; the log holds a commitment to it alone.

    `at_us` counts microseconds since 1970 in UTC. `nonce` is base64 of the 32 bytes that key the commitment.
    `actor` is the random id of a staff member or system; None when a service acted on an event. `outcome` is `done`,
    what was decided, the state that a task is in, `nothing-shown`, of a try that was refused `refused:<problem>`, of an
    erasure `asked`, `confirmed` and `done`, of what came into force `sha256:<hex>`. `policies` are those by which it
    was done; among them stand `rules:<pack>`, `key:<name>+<id>`, and `kek:<name>` of the key store. `station` is where
    the actor serves, `record` the doorstep record that the case came of, `asked` what an auditor searched for.
    `officer` is the officer in whose place a deputy or the head of the office acted, or to whom something was given.
    """

    nonce: str
    at_us: int
    service: str
    action: Coded[Action]
    outcome: str
    actor: str | None = None
    role: str | None = None
    agency: str | None = None
    purpose: str | None = None
    legal_basis: str | None = None
    case: str | None = None
    policies: tuple[str, ...] = ()
    station: str | None = None
    record: str | None = None
    asked: str | None = None
    officer: str | None = None


class AuditEntrySubmitted(Event):
    """One entry for the log: a random id, the hour, a commitment a subject, and the details sealed for each subject.

    `hour` is like `2026-11-21T10` in UTC. `commitments[i]` is the hex HMAC-SHA256, keyed by the nonce of `details[i]`,
    of its canonical JSON without the nonce. Commitments beyond the details are random: they fill up the entry, so that
    nobody can tell how many subjects it has.
    """

    event_type: ClassVar[str] = "audit.entry-submitted.v1"

    entry_id: UUID
    hour: str
    commitments: tuple[str, ...]
    details: tuple[Sealed[AuditDetail], ...]


class AuditManifestPublished(Event):
    """How many entries a service submitted in some minutes, and their digest, so that the log can tell what is missing.

    `number` counts the service's manifests from 1 without a gap. It promises the entries whose `ce_time` is at or after
    `begins` and before `ends`, both whole minutes in UTC; a manifest begins where the one before it ends. `digest` is
    64 hex digits: the sum, modulo 2^256, of the SHA-256 of each entry's message value read as a big-endian number.
    """

    event_type: ClassVar[str] = "audit.manifest-published.v1"

    service: str
    number: int
    begins: AwareDatetime
    ends: AwareDatetime
    count: int
    digest: str
