"""What a process of a replay does: it runs recorded handlers, and reaches nothing outside.

Started anew, not forked: what its parent holds, connections too, it does not have.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from msgspec import Struct

from symphainy.artifacts import Store
from symphainy.replaying.comparing import Compared, Verdict
from symphainy.replaying.isolation import Isolation
from symphainy.replaying.running import Rerunner
from symphainy.replaying.scratch import Scratch
from symphainy.worker.loading import load
from symphainy_processors.replay.recordings import Recordings
from symphainy_schemas.errors import CallerError, SymphainyError
from symphainy_transport.artifacts import ArtifactMissing, ArtifactStore

_WORST = (Verdict.FAILED, Verdict.DIFFERENT, Verdict.UNDETERMINED, Verdict.EQUAL)


class Ground(Struct, frozen=True, kw_only=True):
    """On what a process works: realms as module:name, where artifacts really lie, its own scratch
    folder, how long a handler may do nothing, and what a result may have."""

    handlers: tuple[str, ...]
    artifacts_url: str
    scratch: str
    patience_s: float
    inline_limit_bytes: int


class Ready(Struct, frozen=True):
    """The realms are loaded; these intent types they answer."""

    intent_types: tuple[str, ...]


class Done(Struct, frozen=True, kw_only=True):
    """One execution was run again."""

    execution_id: str
    tenant_id: str
    intent_type: str
    end: str
    steps: tuple[Compared, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of its steps'; of one whose handler was never called, `equal`."""
        found = {step.verdict for step in self.steps}
        return next((one for one in _WORST if one in found), Verdict.EQUAL)


Told = Ready | Done | SymphainyError


def work(channel: Connection, ground: Ground) -> None:
    """Run what comes until nobody sends any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to take
    sys.dont_write_bytecode = True
    try:
        realms = [load(target) for target in ground.handlers]
    except SymphainyError as error:
        channel.send(error)
        return
    except Exception as error:  # whatever the realm's module does when it is imported
        channel.send(
            CallerError(
                f"The handlers cannot be imported: {type(error).__name__}: {error}",
                code="no_realm",
                field="--handlers",
                cure="Start from the folder that holds them, with all that they import.",
            )
        )
        return
    scratch = Path(ground.scratch)
    store = Scratch(ArtifactStore(scratch.as_uri()), lambda: _real(ground.artifacts_url))
    rerunner = Rerunner(
        realms,
        store,
        Isolation(scratch),
        patience_s=ground.patience_s,
        inline_limit_bytes=ground.inline_limit_bytes,
    )
    channel.send(Ready(tuple(handler.intent_type for realm in realms for handler in realm)))
    with asyncio.Runner() as runner:
        while (asked := _next(channel)) is not None:
            steps = [runner.run(rerunner.run(step)) for step in asked.steps]
            channel.send(_done(asked, steps))
    os._exit(0)  # a thread in which a handler hangs does not hold us


def _next(channel: Connection) -> Recordings | None:
    try:
        asked: Recordings | None = channel.recv()
    except (EOFError, ConnectionResetError):
        return None
    return asked


def _done(asked: Recordings, steps: Sequence[Compared]) -> Done:
    return Done(
        execution_id=asked.execution_id,
        tenant_id=asked.tenant_id,
        intent_type=asked.intent_type,
        end=asked.end,
        steps=tuple(steps),
    )


def _real(url: str) -> Store:
    parts = urlsplit(url)
    if parts.scheme == "file" and not Path(url2pathname(parts.path)).is_dir():
        raise ArtifactMissing(f"There are no artifacts at {url}.")  # opening it would make it
    return ArtifactStore(url)
