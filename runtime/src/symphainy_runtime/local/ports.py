"""Free TCP ports on the loopback address. Knows no service."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack
from pathlib import Path

HOST = "127.0.0.1"
# Below the range from which the kernel takes the near end of outgoing connections. A port in that
# range could be taken while a broker is down for a restart, even by its own client: connecting
# again and again to a dead port of the range sooner or later connects to itself, and the broker
# finds its port in use. Above 20000 few known services listen.
_FIRST = 20_000
_EPHEMERAL_FIRST = 32_768  # Linux's default; macOS and IANA begin at 49152
_RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_TRIES = 200


def free_ports(count: int) -> tuple[int, ...]:
    """``count`` different ports that nothing listens on now; another process may take one later."""
    with ExitStack() as held:
        ports: list[int] = []
        for candidate in random.sample(range(_FIRST, _last() + 1), _TRIES):
            if len(ports) == count:
                break
            probe = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            try:
                probe.bind((HOST, candidate))
            except OSError:
                continue
            ports.append(candidate)
    if len(ports) < count:
        raise OSError(f"no {count} free ports between {_FIRST} and {_last()} on {HOST}")
    return tuple(ports)


def is_free(port: int) -> bool:
    """Whether nothing holds ``port`` now. Asked after a failed start: was it a race for it?"""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: what is left of closed connections does not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _last() -> int:
    try:
        first_ephemeral = int(_RANGE_FILE.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        first_ephemeral = _EPHEMERAL_FIRST
    return max(first_ephemeral - 1, _FIRST + _TRIES)
