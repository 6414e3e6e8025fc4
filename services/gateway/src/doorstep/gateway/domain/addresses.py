"""From which address a request comes, for counting; a proxy is believed if it was named, and nobody else."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
_HOUSEHOLD = 64  # whoever has one IPv6 address has as many as this prefix leaves


def networks(listed: str) -> tuple[Network, ...]:
    """The networks that stand in a setting, with commas between them. Raises ValueError."""
    return tuple(ip_network(one.strip()) for one in listed.split(",") if one.strip())


def caller_address(peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """The address that is counted for a request of `peer`.

    `forwarded` are the lines of X-Forwarded-For. Read from the right, each address that a trusted proxy tells is
    believed, until the first that is none: what stands further left, anybody may have written.
    """
    found = _parsed(peer)
    if found is None:
        return peer
    told = [part.strip() for line in forwarded for part in line.split(",")]
    while told and any(found in network for network in trusted):
        before = _parsed(told.pop())
        if before is None:
            break
        found = before
    return _counted(found)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def _counted(found: IPv4Address | IPv6Address) -> str:
    if isinstance(found, IPv4Address):
        return str(found)
    return str(IPv6Network((found.packed, _HOUSEHOLD), strict=False))
