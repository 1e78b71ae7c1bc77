"""What `state` knows of what stood before a range: what policies ask of sessions, executions."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from typing import Any

from symphainy_processors.owner.kafka.ranges import RangeReader
from symphainy_runtime.policy.recorded import Session, Standing, Target
from symphainy_schemas.codec import decode
from symphainy_schemas.state import ExecutionState, SessionState, State
from symphainy_transport.settings import TransportSettings
from symphainy_transport.topics import STATE, Topics

_CLIENT = "symphainy-backtest"


def facts_before(settings: TransportSettings, p: int, names: Iterable[str]) -> dict[str, Standing]:
    """What `state` knows of sessions and executions: what policy sees of them never changes."""
    found: dict[str, Standing] = {}
    for name, body in states(settings, p, names).items():
        if isinstance(body, SessionState):
            found[name] = Session(
                body.principal,
                body.opened_at,
                attributes=body.attributes,
                changed_at=body.changed_at,
            )
        elif isinstance(body, ExecutionState):
            found[name] = Target(
                body.tenant_id,
                body.intent_type,
                body.principal,
                body.realm,
                body.started_at,
                window_ms=body.dedupe_window_ms,
            )
    return found


def states(settings: TransportSettings, p: int, names: Iterable[str]) -> dict[str, Any]:
    """The newest states of these names on `state`.

    Raises:
        Unavailable: Kafka did not answer.
    """
    wanted = {name.encode(): name for name in names}
    reader = RangeReader(settings, _CLIENT, Topics(settings.topic_prefix).name(STATE))
    found: dict[str, Any] = {}
    try:
        with closing(reader.read(p, *reader.bounds(p))) as batches:
            for batch in batches:
                for message in batch:
                    name = wanted.get(message.key() or b"")
                    value = message.value()
                    if name is None:
                        continue
                    if value is None:
                        found.pop(name, None)
                    else:
                        found[name] = decode(value, State).body
    finally:
        reader.close()
    return found
