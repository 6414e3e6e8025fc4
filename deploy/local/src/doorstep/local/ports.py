"""Free ports on the loopback address."""

import os
import random
import socket
import sys
from collections import deque
from pathlib import Path

from doorstep.local.failures import PortTaken

HOST = "127.0.0.1"
PREFERRED = 8600  # the front door, when nothing else was asked for
_FIRST = 15000
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_RESERVED = 128  # of one process; each holds a handle
_reserved: deque[int] = deque()


def is_free(port: int) -> bool:
    """Tell whether nobody listens on this port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_ports(count: int) -> list[int]:
    """Return that many different free ports.

    They lie below the range from which the kernel takes the ports of outgoing connections: otherwise one of the
    many connections that a starting stack opens could take a port before its service listens there. They are kept
    from other stacks that start at the same time: a service listens many seconds after its port was chosen.
    """
    try:
        limit = int(_EPHEMERAL.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        limit = 32768
    candidates = list(range(_FIRST, limit if limit > _FIRST + 1000 else 60000))
    random.shuffle(candidates)
    found: list[int] = []
    for port in candidates:
        if _reserve(port):
            found.append(port)
        if len(found) == count:
            return found
    raise PortTaken(_FIRST)


def _reserve(port: int) -> bool:
    """Keep a free port from others who choose, until this process ends or chose many more; tell whether it is ours.

    What they see is a name in the kernel's own name space for sockets, which is gone with the process that took it.
    """
    if sys.platform != "linux":
        return is_free(port)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as name:
        try:
            name.bind(f"\0doorstep-port-{port}")
        except OSError:
            return False
        if not is_free(port):
            return False
        _reserved.append(name.detach())
    if len(_reserved) > _RESERVED:
        os.close(_reserved.popleft())
    return True


def front_door_port(asked: int | None, remembered: int | None) -> int:
    """Return the port of the front door; raises PortTaken when the one that was asked for is taken.

    Nobody asked: the one of the last time, else the usual one, else any free one.
    """
    if asked is not None:
        if asked != 0 and not is_free(asked):
            raise PortTaken(asked)
        return asked or free_ports(1)[0]
    for port in (remembered, PREFERRED):
        if port is not None and is_free(port):
            return port
    return free_ports(1)[0]
