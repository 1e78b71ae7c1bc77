"""How long to let inputs gather between two turns: nothing when idle, milliseconds under load.

Each turn's appends are one request to the broker per partition, and requests, not records, are
what a broker's CPU goes to. With nothing else under way a turn must not wait; with much under way
a few milliseconds are little beside the queue that there already is.
"""

from __future__ import annotations

ALONE = 3.0  # an execution by itself keeps one input and one or two acknowledgements going
PAUSE_PER_ITEM_S = 0.000_25
LONGEST_S = 0.008  # below the 10 ms that anybody notices
SMOOTHING = 0.1  # ten turns to believe in a change


class Pace:
    """Follows how much is under way and says how long to pause."""

    def __init__(self) -> None:
        self._under_way = 0.0
        self.pause_s = 0.0

    def turned(self, under_way: int) -> None:
        """A turn began with `under_way` inputs and acknowledgements outstanding."""
        self._under_way += SMOOTHING * (under_way - self._under_way)
        beyond = self._under_way - ALONE
        self.pause_s = min(LONGEST_S, beyond * PAUSE_PER_ITEM_S) if beyond > 0 else 0.0
