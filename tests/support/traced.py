"""`python -m tests.support.traced N FOLDER`: records N executions, runs each again under a tracer
of what Python reports of network, disk and processes (PEP 578), and tells as JSON what it saw."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.shadowed_realm import before

from symphainy.replaying.running import Rerunner
from symphainy.replaying.scratch import Scratch
from symphainy.testing import Harness
from symphainy_processors.replay.history import Kept, history
from symphainy_processors.replay.recordings import Recordings, recordings
from symphainy_runtime.journal.validity import Validity, judge
from symphainy_transport.artifacts import ArtifactStore

KINDS = ("quick", "stepped", "parent", "refused")
_NOTED = ("socket.", "subprocess.", "os.", "shutil.", "tempfile.", "pty.", "sqlite3.", "urllib.")
_HARMLESS = ("os.listdir", "os.scandir", "os.fwalk", "os.walk", "socket.__new__")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


async def record(count: int) -> tuple[list[bytes], ArtifactStore]:
    """The journal of so many executions of every kind, and where their artifacts lie."""
    async with Harness(before) as harness:
        for n in range(count):
            kind = KINDS[n % len(KINDS)]
            await harness.submit(f"shadowed.{kind}", {"n": n}, until="ended")
        return list(harness.journal), harness._store


def told(values: list[bytes]) -> list[Recordings]:
    """What is recorded of each execution that a handler answered."""
    standing = Validity()
    found: dict[str, list[Kept]] = {}
    for offset, value in enumerate(values):
        stored = judge(value, offset, standing)
        standing = stored.standing
        if stored.valid and stored.record is not None and stored.record.execution_id:
            name = stored.record.execution_id
            found.setdefault(name, []).append(Kept(offset, value, stored.record))
    each = (recordings(history(name, 0, own)) for name, own in found.items())
    return [one for one in each if one.steps]


class Tracer:
    """Notes what reaches outside of a folder while it is on; it refuses nothing."""

    def __init__(self, folder: Path) -> None:
        self.on = False
        self.seen: list[str] = []
        self._folder = str(folder)
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "open":
            path, mode, flags = arguments
            writes = isinstance(mode, str) and any(one in mode for one in "wax+")
            writes = writes or bool(isinstance(flags, int) and flags & _WRITING)
            if writes and not str(path).startswith(self._folder):
                self.seen.append(f"open {path} {mode}")
            return
        inside = bool(arguments) and str(arguments[0]).startswith(self._folder)
        if event.startswith(_NOTED) and event not in _HARMLESS and not inside:
            self.seen.append(f"{event} {str(arguments)[:200]}")


async def main(count: int, folder: Path) -> None:
    """Record, trace, tell."""
    logging.disable(logging.WARNING)  # handlers fail as they should
    values, real = await record(count)
    found = told(values)
    scratch = Scratch(ArtifactStore((folder / "scratch").as_uri()), lambda: real)
    rerunner = Rerunner([before], scratch, None)
    tracer = Tracer(folder)
    verdicts = Counter[str]()
    others = []
    tracer.on = True
    for one in found:
        for step in one.steps:
            came = await rerunner.run(step)
            verdicts[came.verdict.value] += 1
            if came.verdict.value != "equal":
                others.append(f"{one.intent_type}: {came.why}")
    seen = list(tracer.seen)
    with contextlib.suppress(OSError):  # what it is not deaf to
        (folder.parent / "outside.txt").write_text("")
        socket.create_connection(("127.0.0.1", 1), 0.1)
    tracer.on = False
    print(
        json.dumps(
            {
                "executions": len(found),
                "verdicts": verdicts,
                "others": others[:5],
                "seen": seen,
                "control": tracer.seen[len(seen) :],
                "artifacts": sum(1 for one in (folder / "scratch").rglob("*") if one.is_file()),
            }
        )
    )


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
