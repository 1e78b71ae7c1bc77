"""The intent that a handler executes, as it sees it. Immutable."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from msgspec import Struct

from symphainy.steps import read_payload
from symphainy_schemas.records import Task

T = TypeVar("T")


class Intent(Struct, frozen=True):
    """The intent that is being executed. What is JSON is decoded anew at each access."""

    _task: Task
    _payload: bytes

    def __repr__(self) -> str:
        return f"Intent({self.intent_type}, {self.intent_id})"

    @property
    def intent_id(self) -> str:
        """The intent's id, its idempotency key within tenant and session."""
        return self._task.intent_id

    @property
    def intent_type(self) -> str:
        """`{realm}.{action}`."""
        return self._task.intent_type

    @property
    def realm(self) -> str:
        """The realm that executes it."""
        return self._task.realm

    @property
    def session_id(self) -> str:
        """The session in which it was stated."""
        return self._task.session_id

    @property
    def tenant_id(self) -> str:
        """The tenant for whom it was stated."""
        return self._task.tenant_id

    @property
    def payload(self) -> Any:
        """The payload as JSON values, before any contract."""
        return json.loads(self._payload)

    def read(self, model: type[T]) -> T:
        """The payload read as `model`: a pydantic model, or a type such as `dict[str, int]`.

        A handler has it as its argument; this is for its compensation.

        Raises:
            ContractViolation: `payload_unreadable`, it is no `model`.
        """
        return cast(T, read_payload(model, self._payload))

    @property
    def metadata(self) -> dict[str, Any]:
        """Source and whatever the producer added."""
        return _object(self._task.metadata)

    @property
    def solution_context(self) -> dict[str, Any]:
        """Solution-level context, handed through; empty if there is none."""
        return _object(self._task.solution_context)

    @property
    def created_at(self) -> datetime:
        """When the producer stated it, by its clock, in UTC."""
        return moment(self._task.created_at)


def _object(data: bytes) -> dict[str, Any]:
    return cast(dict[str, Any], json.loads(data)) if data else {}


def moment(milliseconds: int) -> datetime:
    """Milliseconds since the epoch, in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
