"""The service directory in force, read once by each process, and documents of directories as they were published."""

import json
import logging
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.kit.db import run
from doorstep.kit.telemetry import describe
from doorstep.referral.domain.directory import Directory
from doorstep.referral.domain.offices import parse_directory
from doorstep.referral.errors import DirectoryInvalid, DirectoryUnknown

log = logging.getLogger(__name__)

CURRENT = "current"

_DOCUMENT = "SELECT document FROM service_directory WHERE version = :version"
_IN_FORCE = "SELECT version, digest FROM directory_in_force JOIN service_directory USING (version)"

_read: dict[str, Directory | None] = {}
"""Directories by their digest, which says all that is in them: each process reads one once."""


async def read_document(session: AsyncSession, version: str) -> dict[str, Any]:
    """The document of a version, or of the one in force if that is `current`. Raises DirectoryUnknown."""
    if version == CURRENT:
        rows = await run(session, _IN_FORCE, {})
        version = str(rows[0]["version"]) if rows else ""
    rows = await run(session, _DOCUMENT, {"version": version})
    if not rows:
        raise DirectoryUnknown
    return dict(json.loads(rows[0]["document"]))


async def in_force(session: AsyncSession) -> Directory | None:
    """The directory in force; None where there is none, or it no longer fits what this version knows of needs."""
    rows = await run(session, _IN_FORCE, {})
    if not rows:
        return None
    version, digest = rows[0]
    if digest not in _read:
        try:
            _read[digest] = parse_directory(await read_document(session, version))
        except DirectoryInvalid as error:
            log.error("directory not usable", extra={"version": version, "error": describe(error)})
            _read[digest] = None
    return _read[digest]
