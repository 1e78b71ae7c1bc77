"""Dead letters: what could not be read, with its place and reason."""

from __future__ import annotations

from symphainy_processors.owner.ports import Input
from symphainy_schemas.errors import UnreadableRecord
from symphainy_schemas.records import DeadLetter

# The original stays where it stands; the copy is for a look, and must fit any topic.
COPY_LIMIT_BYTES = 65_536


def of(taken: Input, error: UnreadableRecord, now: int) -> DeadLetter:
    """The letter for an unreadable record; the loop goes on behind it."""
    key, value = taken.key, taken.value
    return DeadLetter(
        topic=taken.topic,
        partition=taken.partition,
        offset=taken.offset,
        reason=error.code,
        message=error.message[:1_000],
        role="owner",
        at=now,
        key=key[:COPY_LIMIT_BYTES] if key is not None else None,
        value=value[:COPY_LIMIT_BYTES] if value is not None else None,
    )
