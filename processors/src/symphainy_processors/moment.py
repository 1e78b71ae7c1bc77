"""What a decision may know of time and chance: values that the shell read before it asked."""

from __future__ import annotations

from msgspec import Struct


class Moment(Struct, frozen=True, gc=False):
    """`now` in ms since the epoch: max(clock, last journaled time) (rule 9). `jitter` is in
    [0, 1)."""

    now: int
    jitter: float
