"""Webhooks by the Standard Webhooks specification: signatures, addresses that may be called, waits after failures.

A signature is `v1,` and the base64 of HMAC-SHA256 over `<id>.<timestamp>.<body>`; while a secret is being changed a
message has one of each. Invariant: an address is public, or nobody of ours calls it; every form in which IPv6 can hold
an IPv4 address counts as the address that it holds, and a host that is a number in another spelling is no address.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit
from uuid import UUID

SECRET_PREFIX = "whsec_"  # noqa: S105 — what stands before a secret, by the specification
SECRET_BYTES = 32
REFUSED_BY_CONTENT = frozenset({400, 413, 415, 422})
"""Answers that are about this message and no other: after some tries the feed goes on without it."""
GONE = 410
LONGEST_WAIT = 3600.0
_NAT64 = IPv6Network("64:ff9b::/96")
_MOST_DOUBLINGS = 20
_A_NUMBER = re.compile(r"(.*\.)?(0x[0-9a-f]*|[0-9]+)\.?", re.IGNORECASE)
"""A host whose last part is a number is an IPv4 address in some spelling, or nothing (URL standard, 3.5)."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where webhooks of a department go: the URL as it was registered, and the host in it."""

    url: str
    host: str


def shown_secret(secret: bytes) -> str:
    """A secret as its receiver is shown it, once."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def signatures(secrets: Iterable[bytes], message_id: UUID, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`: one signature by each secret, the newest first."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return " ".join("v1," + base64.b64encode(hmac.digest(one, signed, hashlib.sha256)).decode() for one in secrets)


def address_of(url: str, *, inside: bool) -> Address | None:
    """The address that `url` names if webhooks may go there; `inside` lets them go to plain http and to this machine.

    A host that is a name has to be looked up, and `is_public` asked of what it names. A number counts in its usual
    spelling alone: 2130706433, 0x7f000001, 127.1 and 0177.0.0.1 are 127.0.0.1 to many a resolver.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return None
    plain = url.isascii() and url.isprintable() and " " not in url and "\\" not in url
    schemes = ("https", "http") if inside else ("https",)
    if not plain or parts.scheme not in schemes or not host or "@" in parts.netloc or "#" in url:
        return None
    try:
        literal = ip_address(host)
    except ValueError:
        return None if _A_NUMBER.fullmatch(host) or "%" in host else Address(url, host)
    return Address(url, host) if inside or is_public(str(literal)) else None


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public network: none of a machine, a link, a private or a shared one."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv6Address):
        held = _held(found)
        if held is not None:
            return is_public(str(held))
    return found.is_global and not found.is_multicast and not found.is_reserved


def _held(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address in an IPv6 one: mapped, 6to4 (RFC 3056), Teredo (RFC 4380), NAT64 (RFC 6052)."""
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    if address.teredo:
        return address.teredo[1]
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None


def wait(failures: int, first: float, chance: float) -> float:
    """Seconds until the next try after so many failures in a row: doubled each time, `chance` (0 to 1) halves at most.

    It is an hour at the longest.
    """
    longest = min(LONGEST_WAIT, first * 2.0 ** min(failures - 1, _MOST_DOUBLINGS))
    return longest * (1 - chance / 2)
