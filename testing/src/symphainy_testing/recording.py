"""What is recorded of an execution, as far as another run of its handler needs it.

Read from what every surface shows: `symphainy executions show --json`, `watch --json`, `GET
/v1/executions/{id}/events`, `Client.events`, or a `Run`. None of the first four shows payloads, so
whoever reads one states the payload.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import msgspec
from pydantic import BaseModel

from symphainy.values import to_json
from symphainy_schemas.recording import Recorded
from symphainy_schemas.records import Checkpoint, Task
from symphainy_testing.run import Run

Document = Mapping[str, Any]
_ENDS = {
    "execution_succeeded": "succeeded",
    "execution_failed": "failed",
    "execution_cancelled": "cancelled",
}


class Recording(Recorded, frozen=True, kw_only=True):
    """One execution's journal.

    `answers` are the results of its steps and waits in the order in which they were recorded;
    `waits` what it waited for in the end; `end` is `succeeded`, `failed`, `cancelled`, or empty.
    """

    @classmethod
    def of(cls, run: Run) -> Self:
        """Of an execution under test.

        Raises:
            ValueError: its handler was never called for.
        """
        received = run.journal[0].event
        return cls.from_events(
            [one.document for one in run.journal],
            payload=getattr(received, "payload", b"") or b"{}",
        )

    @classmethod
    def read(cls, text: str, *, payload: bytes | BaseModel | Mapping[str, Any]) -> Self:
        """From JSON, or JSON lines, as the CLI and the gateway print them.

        Raises:
            ValueError: it is no execution's events.
        """
        try:
            told = [msgspec.json.decode(text)]
        except msgspec.DecodeError:
            told = _lines(text)
        if len(told) == 1:
            told = _unpacked(told[0])
        return cls.from_events(told, payload=payload)

    @classmethod
    def from_events(
        cls, documents: Sequence[Document], *, payload: bytes | BaseModel | Mapping[str, Any]
    ) -> Self:
        """From event documents, in order; `payload` is what the intent carried.

        Raises:
            ValueError: they are not one execution's events from its beginning.
        """
        _check(documents)
        answers: list[Checkpoint] = []
        waits: tuple[str, ...] = ()
        end = ""
        for document in documents:
            data, kind = document["data"], document["type"]
            if kind in ("step_checkpointed", "step_resumed"):
                answers.append(Checkpoint(data["name"], _result(kind, data)))
                waits = tuple(name for name in waits if name != data["name"])
            elif kind == "child_invoked":
                answers.append(Checkpoint(data["name"], msgspec.json.encode(data["child"])))
            elif kind == "step_suspended":
                waits = tuple(wait["name"] for wait in data["waits"])
            elif kind in _ENDS:
                end, waits = _ENDS[kind], ()
        data = payload if isinstance(payload, bytes) else to_json(payload, "The payload")
        task = _task(documents, data, tuple(answers))
        return cls(
            task=task, answers=tuple(answers), waits=waits, end=end, begun_ms=documents[0]["at"]
        )


def _lines(text: str) -> list[Any]:
    try:
        return [msgspec.json.decode(line) for line in text.splitlines() if line.strip()]
    except msgspec.DecodeError as error:
        raise ValueError(f"The recording is neither JSON nor JSON lines: {error}") from error


def _unpacked(document: Any) -> list[Any]:
    """The events in the one document that the CLI's `show` or the gateway gives."""
    if isinstance(document, dict):
        document = document.get("log", document.get("events", [document]))
    return document if isinstance(document, list) else [document]


def _check(documents: Sequence[Document]) -> None:
    first = documents[0] if documents else {}
    if not isinstance(first, Mapping) or first.get("type") != "intent_received":
        raise ValueError(
            "A recording begins with the event intent_received: give all events of one execution, "
            "as `symphainy executions show <id> --json` prints them."
        )
    if len({document["execution_id"] for document in documents}) > 1:
        raise ValueError("The recording holds events of more than one execution.")
    ran = {d["data"]["step"] for d in documents if d["type"] == "step_dispatched"}
    if not ran:
        raise ValueError("The handler of this execution was never called: there is no replay.")
    if len(ran) > 1:
        raise ValueError(
            f"The execution has several steps ({', '.join(sorted(ran))}): a recording is of one "
            "handler. Replay an execution that has only that step."
        )


def _result(kind: str, data: Document) -> bytes:
    """As the journal has it: a wait that its time has ended has no result."""
    if kind == "step_resumed" and not data["signal"]:
        return b""
    return msgspec.json.encode(data["result"])


def _task(
    documents: Sequence[Document], payload: bytes, checkpoints: tuple[Checkpoint, ...]
) -> Task:
    """The delivery that the handler is given again, with everything that was recorded."""
    first, received = documents[0], documents[0]["data"]
    last = [d["data"] for d in documents if d["type"] == "step_dispatched"][-1]
    resolved = next(d["data"] for d in documents if d["type"] == "capability_resolved")
    return Task(
        execution_id=first["execution_id"],
        session_id=first["session_id"],
        tenant_id=first["tenant_id"],
        partition=first["partition"],
        dispatched_at=first["offset"],
        step=last["step"],
        attempt=last["attempt"],
        delivery=last["delivery"],
        token="",
        start_by=0,
        timeout_ms=resolved["timeout_ms"],
        realm=received["realm"],
        intent_id=received["intent_id"],
        intent_type=received["intent_type"],
        capability_version=resolved["version"],
        handler=resolved["handler"],
        principal=received["principal"],
        correlation_id=first["correlation_id"],
        payload=payload,
        metadata=b"{}",
        solution_context=b"",
        created_at=received["created_at"],
        checkpoints=checkpoints,
    )
