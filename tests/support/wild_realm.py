"""A realm that does what a replay must not: it writes files, connects, and ends its process."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

from tests.support.shadowed_realm import Number

from symphainy import Context, Realm

realm = Realm("shadowed")


@realm.intent("shadowed.quick")
def quick(ctx: Context, payload: Number) -> dict[str, int]:
    """By its number: writes, connects and hides it, ends the process, or does as it should."""
    match payload.n % 4:
        case 0:
            Path(os.environ["WILD_FILE"]).write_text("written")
        case 1:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", 9), 0.1)
        case 2:
            os._exit(3)
        case _:
            pass
    return {"n": payload.n}
