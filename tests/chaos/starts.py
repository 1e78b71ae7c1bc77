"""What handlers really did: one line in an append-only file at every start and every step body.

A short line written with O_APPEND is whole or absent, and survives a `kill -9` of the worker.
"""

from __future__ import annotations

import itertools
import json
import os
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from symphainy import Context
from symphainy_simulation.checking import HandlerStart
from symphainy_transport.clock import SystemClock

FILE = "CHAOS_STARTS"
_numbers = itertools.count()


class Noted:
    """A start that is written down; `ran` adds what it runs."""

    def __init__(self, ctx: Context) -> None:
        task = ctx._task  # the token and the checkpoints are nobody else's business
        self._id = f"{os.getpid()}-{next(_numbers)}"
        _write(
            id=self._id,
            execution_id=task.execution_id,
            step=task.step,
            attempt=task.attempt,
            delivery=task.delivery,
            token=task.token,
            at_ms=SystemClock().now_ms(),
            carried=[known.name for known in task.checkpoints],
        )

    def ran(self, name: str) -> None:
        """The body of a `ctx.step` runs now."""
        _write(id=self._id, ran=name)


def _write(**line: Any) -> None:
    os.write(_file(), json.dumps(line).encode() + b"\n")


@cache
def _file() -> int:
    return os.open(os.environ[FILE], os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)


class StartsFile:
    """Reads what was added since the last time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reached = 0
        path.touch()

    def news(self) -> list[HandlerStart]:
        """The starts since the last call; call it when no handler runs."""
        found: dict[str, HandlerStart] = {}
        with self._path.open("rb") as file:
            file.seek(self._reached)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._reached += len(line)
                _take(found, json.loads(line))
        return list(found.values())


def _take(found: dict[str, HandlerStart], told: dict[str, Any]) -> None:
    name = told.pop("id")
    if "ran" not in told:
        told["carried"] = tuple(told["carried"])
        found[name] = HandlerStart(**told)
    elif name in found:  # else the handler was started before the last call, and checked then
        found[name] = replace(found[name], ran=(*found[name].ran, told["ran"]))
