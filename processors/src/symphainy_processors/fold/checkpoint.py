"""Where a folded state stands in the journal, and in which journal."""

from __future__ import annotations

import msgspec

from symphainy_runtime.journal.validity import Validity

# Of the layout of a store. Another one is rebuilt, not read (rule 17).
FORMAT = 4


class Checkpoint(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The state after the valid record at `offset` (rule 17).

    `live` counts the executions that have not ended, `idle` those of them of which nothing is under
    way (see `layout.is_idle`). `turn` tells where those of the last turn's decisions stand
    from which something may follow for other executions. `identity` names cluster, topic and its
    id.
    """

    term: int = -1
    seq: int = -2
    offset: int = -1
    hash: bytes = b""
    intents_next: int = 0
    steps_next: int = 0
    acted_to: int = -1
    at: int = 0
    live: int = 0
    idle: int = 0
    turn: tuple[int, ...] = ()
    identity: str = ""
    format: int = FORMAT
    evolve_version: int = 0

    @property
    def standing(self) -> Validity:
        """Where a reader goes on."""
        return Validity(self.term, self.seq, self.offset, self.hash)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Checkpoint).decode


def pack_checkpoint(checkpoint: Checkpoint) -> bytes:
    """Its bytes in the store."""
    return _encode(checkpoint)


def unpack_checkpoint(value: bytes) -> Checkpoint | None:
    """The checkpoint in `value`; None if it is none."""
    try:
        found: Checkpoint = _decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found
