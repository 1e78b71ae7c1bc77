"""Would today's handler go on where a recorded execution stands?

The handler is run from its start along what was recorded (`symphainy.replaying`), up to a mark:
what stands behind it is not compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec

from symphainy.artifacts import Store
from symphainy.durations import duration_ms
from symphainy.invocation import Failed, Succeeded
from symphainy.realm import Realm
from symphainy.replaying.retelling import Stalled, retell
from symphainy_schemas.records import Error
from symphainy_testing.recording import Recording
from symphainy_transport.artifacts import ArtifactStore


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of it.

    `difference` says where handler and record first part, and is empty if they do not; `asked` are
    the steps and waits that the handler asked for, in its order.
    """

    recording: Recording
    asked: tuple[str, ...]
    difference: str
    answer: Succeeded | Failed | None

    @property
    def result(self) -> Any:
        """What the handler returns today, as JSON values; None if it does not come to an end."""
        answer = self.answer
        return msgspec.json.decode(answer.result) if isinstance(answer, Succeeded) else None

    @property
    def error(self) -> Error | None:
        """Why it fails today, if it does."""
        return self.answer.error if isinstance(self.answer, Failed) else None

    def compatible(self) -> Replay:
        """The handler may take over such executions.

        Raises:
            AssertionError: it may not; the message names the first difference.
        """
        if self.difference:
            recorded = ", ".join(answer.name for answer in self.recording.answers) or "nothing"
            raise AssertionError(
                f"{self.recording.intent_type} has changed under a recorded execution: "
                f"{self.difference}\n  recorded: {recorded}\n"
                f"  asked for: {', '.join(self.asked) or 'nothing'}\n"
                "Executions under way would not go on as they began. Keep the old order, give what "
                "is new a new intent type, or let them end first."
            )
        return self


async def replay(
    realm: Realm,
    recording: Recording,
    *,
    artifacts: Store | None = None,
    patience: timedelta | str = "10s",
) -> Replay:
    """Run today's handler against a recording.

    Args:
        realm: the realm that answers the recording's intent type.
        recording: what was recorded.
        artifacts: where the artifacts lie that the handler reads; none are there by default.
        patience: how long the handler may do nothing, in real time.

    Raises:
        ValueError: the realm does not answer this intent type; `patience` is no duration.
        AssertionError: the handler does nothing for too long.
    """
    handler = next((h for h in realm if h.intent_type == recording.intent_type), None)
    if handler is None:
        raise ValueError(f"Realm {realm.name} does not answer {recording.intent_type}.")
    store = artifacts or ArtifactStore("memory:///")
    try:
        told = await retell(handler, recording, store, duration_ms(patience) / 1_000)
    except Stalled as stalled:
        raise AssertionError(str(stalled)) from None
    return Replay(recording, told.asked, told.difference, told.answer)
