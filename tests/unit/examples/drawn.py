"""What `symphainy saga show` prints of an execution in a harness: its journal, projected."""

from __future__ import annotations

from io import StringIO
from typing import Any

import msgspec
from rich.console import Console

from symphainy import Saga
from symphainy.testing import Harness, Run
from symphainy_cli.drawing import draw
from symphainy_gateway.sagas import saga_of
from symphainy_processors.projection.project import Projection
from symphainy_runtime.journal.validity import Validity, judge
from symphainy_runtime.read_model.keys import Keys
from symphainy_runtime.read_model.reader import execution_document


def drawn(harness: Harness, run: Run) -> str:
    """The saga as a terminal without colours shows it, as of the harness's time."""
    console = Console(file=StringIO(), width=140)
    for part in draw(saga(harness, run), round(harness.now.timestamp() * 1_000)):
        console.print(part, highlight=False, soft_wrap=not hasattr(part, "columns"))
    assert isinstance(console.file, StringIO)
    return "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines())


def saga(harness: Harness, run: Run) -> Saga:
    """The execution step by step, as the gateway answers it."""
    keys = Keys("", 0)
    projection = Projection(keys, 0)
    key = keys.execution(run.execution_id)
    fields: dict[bytes, bytes] = {}
    standing = Validity()
    for offset, value in enumerate(harness.journal):
        stored = judge(value, offset, standing)
        standing = stored.standing
        if stored.record is None:
            continue
        for name, of, *rest in projection.project(stored.record, offset).commands:
            if of != key:
                continue
            if name == "HSET":
                pairs = [str(part).encode() for part in rest]
                fields |= dict(zip(pairs[::2], pairs[1::2], strict=True))
            elif name == "STATUS":
                fields[b"status"] = str(rest[0]).encode()
    document = execution_document(fields)
    assert document is not None
    shown: Any = msgspec.to_builtins(saga_of(document))
    return Saga.model_validate(shown)
