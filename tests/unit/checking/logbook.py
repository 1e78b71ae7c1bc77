"""What producers and workers leave in the logs of one partition, line by line.

Time moves by STEP_MS with every line.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from msgspec.structs import replace

from symphainy_schemas import ids
from symphainy_schemas.codec import encode
from symphainy_schemas.records import DeadLetter, Intent, ReportKind, StepReport, Task
from symphainy_simulation.checking import Acknowledged, HandlerStart, Written

P = 0
STEP_MS = 10
TENANT = "acme"
SESSION = "ses-0-" + "0a" * 16
NOBODY = Task(
    execution_id="",
    session_id=SESSION,
    tenant_id=TENANT,
    partition=P,
    dispatched_at=-1,
    step="main",
    attempt=0,
    delivery=0,
    token="",
    start_by=0,
    timeout_ms=0,
    realm="work",
    intent_id="",
    intent_type="work.add",
    capability_version=0,
    handler="",
    principal="ann",
    correlation_id="",
    payload=b"",
    metadata=b"{}",
    solution_context=b"",
    created_at=0,
)


def execution(intent_id: str = "i1") -> str:
    """The execution of an intent."""
    return ids.execution_id(TENANT, SESSION, intent_id, P)


@dataclass
class Logbook:
    """One partition's topics, as they grow."""

    now: int = 1_000_000
    intents: list[Written] = field(default_factory=list)
    steps: list[Written] = field(default_factory=list)
    journal: list[Written] = field(default_factory=list)
    state: list[Written] = field(default_factory=list)
    tasks: list[Written] = field(default_factory=list)
    letters: list[Written] = field(default_factory=list)
    acknowledged: list[Acknowledged] = field(default_factory=list)
    starts: list[HandlerStart] = field(default_factory=list)

    # --- producers ------------------------------------------------------------------------------

    def intent(
        self, intent_id: str = "i1", payload: bytes = b"{}", intent_type: str = "work.add"
    ) -> int:
        """State an intent; its offset. Kafka acknowledges it."""
        intent = Intent(
            intent_id=intent_id,
            intent_type=intent_type,
            realm=intent_type.partition(".")[0],
            session_id=SESSION,
            tenant_id=TENANT,
            principal="ann",
            correlation_id=intent_id,
            payload=payload,
            metadata=b"{}",
            solution_context=b"",
            created_at=self.now,
        )
        offset = self.write(self.intents, encode(intent))
        self.acknowledged.append(
            Acknowledged(
                TENANT,
                SESSION,
                intent_id,
                execution(intent_id),
                P,
                offset,
                sha256(payload).digest(),
            )
        )
        return offset

    def garbage(self, topic: str) -> int:
        """Write what cannot be read; its offset."""
        return self.write({"intents": self.intents, "steps": self.steps}[topic], b"\x00garbage")

    def letter(self, topic: str, offset: int) -> None:
        """Keep what cannot be read."""
        letter = DeadLetter(
            topic=topic,
            partition=P,
            offset=offset,
            reason="not_single_object",
            message="",
            role="owner",
            at=self.now,
        )
        self.write(self.letters, encode(letter))

    # --- workers --------------------------------------------------------------------------------

    def report(self, kind: ReportKind, task: Task, **other: Any) -> int:
        """A worker reports; the offset."""
        report = StepReport(
            kind=kind,
            execution_id=task.execution_id,
            session_id=task.session_id,
            tenant_id=task.tenant_id,
            step=task.step,
            attempt=task.attempt,
            delivery=task.delivery,
            token=task.token,
            dispatched_at=task.dispatched_at,
            worker="w1",
            at=self.now,
        )
        return self.write(self.steps, encode(replace(report, **other)))

    def start(self, task: Task, ran: tuple[str, ...] = (), **other: Any) -> None:
        """A handler is called."""
        self.tick()
        told: dict[str, Any] = {
            "execution_id": task.execution_id,
            "step": task.step,
            "attempt": task.attempt,
            "delivery": task.delivery,
            "token": task.token,
            "at_ms": self.now,
            "carried": tuple(known.name for known in task.checkpoints),
            "ran": ran,
        }
        self.starts.append(HandlerStart(**(told | other)))

    def write(
        self,
        log: list[Written],
        value: bytes | None,
        key: bytes | None = None,
        *,
        same_time: bool = False,
    ) -> int:
        """Append to a topic; the offset."""
        if not same_time:
            self.tick()
        offset = log[-1].offset + 1 if log else 0
        log.append(Written(P, offset, key, value, self.now))
        return offset

    def tick(self) -> None:
        """Time moves."""
        self.now += STEP_MS
