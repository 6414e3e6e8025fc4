"""Service directories: published under a version that never changes, brought into force by a second person.

Invariants: what a version says is what was published under it; who published it does not bring it into force (policy,
and the table without it); one is in force, whoever asks; what replaces it was tried on open requests, or in force
before; what became of a request already is not changed by another.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action
from doorstep.kit import intents
from doorstep.kit.db import run
from doorstep.kit.policy import Policy, Resource
from doorstep.kit.vault import NOBODY, Vault
from doorstep.referral.domain.directory import Directory
from doorstep.referral.domain.directory_errors import DirectoryUntried
from doorstep.referral.domain.offices import parse_directory, read_directory
from doorstep.referral.errors import DirectoryMisnamed, DirectoryUnknown, VersionTaken
from doorstep.referral.operations.access import STAFF, Access

_PUBLISH = """
    INSERT INTO service_directory (version, digest, document, proposed_by, proposed_at)
    VALUES (:version, :digest, :document, :proposed_by, :proposed_at) ON CONFLICT (version) DO NOTHING RETURNING version
"""
_TRIED = """
    INSERT INTO directory_trial (digest, tried_at) SELECT CAST(:digest AS text), CAST(:now AS timestamptz)
    WHERE NOT EXISTS (SELECT FROM directory_trial WHERE digest = CAST(:digest AS text))
"""
_UNTRIED = """
    SELECT 1 FROM service_directory d
    WHERE d.version = :version AND d.activated_at IS NULL AND EXISTS (SELECT FROM directory_in_force)
        AND NOT EXISTS (SELECT FROM directory_trial WHERE digest = d.digest)
"""
_DIGEST = "SELECT digest FROM service_directory WHERE version = :version"
_LOCK = "SELECT proposed_by, document FROM service_directory WHERE version = :version FOR UPDATE"
_ACTIVATED = """
    UPDATE service_directory SET activated_by = :activated_by, activated_at = :activated_at WHERE version = :version
"""
_BRING = """
    INSERT INTO directory_in_force (version) VALUES (:version)
    ON CONFLICT (single) DO UPDATE SET version = excluded.version
"""


@dataclass(frozen=True, slots=True)
class Published:
    """A published directory, and whether it was published just now."""

    directory: Directory
    fresh: bool


async def publish_directory(
    session: AsyncSession, *, vault: Vault, access: Access, version: str, document: dict[str, Any], now: datetime
) -> Published:
    """Publish a directory under its version, which does nothing yet; the same again is the same.

    Raises DirectoryInvalid, DirectoryMisnamed or VersionTaken.
    """
    directory = parse_directory(document)
    if directory.version != version:
        raise DirectoryMisnamed
    row = {
        "version": version,
        "digest": directory.digest,
        "document": json.dumps(document, ensure_ascii=False),
        "proposed_by": vault.pairwise(STAFF, access.principal.subject),
        "proposed_at": now,
    }
    fresh = bool(await run(session, _PUBLISH, row))
    if fresh:
        ring, concerned = await intents.concerned(vault, (), access.principal)
        policies = (*access.policies, directory.name)
        intent = intents.Intent(Action.PUBLISH_DIRECTORY, concerned, policies=policies)
        intents.record(session, ring, intent, principal=access.principal)
    else:
        [(digest,)] = await run(session, _DIGEST, {"version": version})
        if digest != directory.digest:
            raise VersionTaken
    return Published(directory, fresh)


async def note_trial(session: AsyncSession, directory: Directory, now: datetime) -> None:
    """A directory was tried on open requests, whether it is published by now or not."""
    await run(session, _TRIED, {"digest": directory.digest, "now": now})


async def activate_directory(
    session: AsyncSession, *, vault: Vault, policy: Policy, access: Access, version: str, now: datetime
) -> Directory:
    """Bring a published directory into force for what is opened from now on; told the log once for each change.

    Raises DirectoryUnknown, Forbidden for whoever published it, DirectoryInvalid where it no longer fits, or
    DirectoryUntried where another is in force, and this one neither was before nor was tried.
    """
    rows = await run(session, _LOCK, {"version": version})
    if not rows:
        raise DirectoryUnknown
    me, principal = vault.pairwise(STAFF, access.principal.subject), access.principal
    thing = Resource("directory", proposer=rows[0]["proposed_by"] == me)
    policies = policy.authorize(principal, Action.ACTIVATE_DIRECTORY, thing, purpose=access.purpose).policies
    _, directory = read_directory(rows[0]["document"])
    if await run(session, _UNTRIED, {"version": version}):
        raise DirectoryUntried
    await run(session, _ACTIVATED, {"version": version, "activated_by": me, "activated_at": now})
    await run(session, _BRING, {"version": version})
    ring = await vault.ring([NOBODY], create=True)
    intent = intents.Intent(
        Action.ACTIVATE_DIRECTORY,
        [NOBODY],
        outcome=f"sha256:{directory.digest}",
        policies=(*policies, directory.name),
    )
    await intents.activate(session, ring, intent, log=partial(intents.record, principal=principal))
    return directory
