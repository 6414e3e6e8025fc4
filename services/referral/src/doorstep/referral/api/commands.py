"""Versions and digests of commands: which version the caller saw, and whether a command came again."""

import re
from typing import Annotated

from fastapi import Header
from pydantic import BaseModel

from doorstep.kit.vault import Vault
from doorstep.referral.api.refusals import version_required
from doorstep.referral.errors import VersionStale

IfMatch = Annotated[str | None, Header(alias="If-Match", description='The version that was seen, like "3".')]

_ENTITY_TAG = re.compile(r'"([1-9][0-9]{0,8})"')


def version_seen(if_match: str | None) -> int:
    """The version that If-Match (RFC 9110 section 13.1.1) names.

    Raises a Problem 428 where it is absent and VersionStale where it names no version of ours.
    """
    if if_match is None:
        raise version_required()
    found = _ENTITY_TAG.fullmatch(if_match.strip())
    if found is None:
        raise VersionStale
    return int(found.group(1))


def etag(version: int) -> str:
    """The entity tag of a version."""
    return f'"{version}"'


def digest(vault: Vault, body: BaseModel, *target: object) -> bytes:
    """By which a command is known again: what it asks, of what."""
    return vault.digest("\n".join([*map(str, target), body.model_dump_json()]).encode())
