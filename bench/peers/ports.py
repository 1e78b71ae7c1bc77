"""Free TCP ports on the loopback address. Knows no engine."""

import random
import socket
from contextlib import ExitStack
from pathlib import Path

HOST = "127.0.0.1"
# Below the range from which the kernel takes the near end of outgoing connections: a port of that
# range could be taken, by a peer's own client, while the peer is down between kill and restart.
_FIRST = 20_000
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_TRIES = 500


def free_ports(count: int) -> tuple[int, ...]:
    """``count`` different ports that nothing listens on now."""
    last = max(_FIRST + _TRIES, int(_EPHEMERAL.read_text().split()[0]) - 1)
    with ExitStack() as held:
        ports: list[int] = []
        for port in random.sample(range(_FIRST, last + 1), _TRIES):
            if len(ports) == count:
                break
            probe = held.enter_context(socket.socket())
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            ports.append(port)
    if len(ports) < count:
        raise OSError(f"no {count} free ports between {_FIRST} and {last}")
    return tuple(ports)
