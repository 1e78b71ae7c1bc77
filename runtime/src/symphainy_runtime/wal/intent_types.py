"""What an execution's intent asks for: said once, when it is received, and told with every event.

Whoever reads from the middle has not met that of executions which were under way: they are looked
for before the range, a stretch at a time, each longer than the one after it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from symphainy_runtime.journal.shown import RECEIVED, ShownRecord
from symphainy_schemas.events import IntentReceived, JournalRecord

FIRST_STRETCH = 500
GROWTH = 4
KEPT = 200_000
"""Executions whose type is remembered, of a partition: about 30 MB."""
Stretch = Callable[[int, int], Iterable[JournalRecord]]
"""The records of [start, end) of a partition, whether or not they count."""
Hint = Callable[[Collection[str]], Mapping[str, str]]
"""Somebody who may know."""


class IntentTypes:
    """The intent types of one partition's executions, as they are met."""

    def __init__(
        self,
        start: int,
        stretch: Stretch,
        hint: Hint = lambda _: {},
        elsewhere: Hint = lambda _: {},
    ) -> None:
        """Records are noted from `start` on; `stretch` reads what stands before, `elsewhere` knows
        of what is no longer kept."""
        self._known: dict[str, str | None] = {}
        self._stretch = stretch
        self._hint = hint
        self._elsewhere = elsewhere
        self._start = start
        self._forgot = False

    def note(self, counting: Iterable[tuple[int, ShownRecord]]) -> None:
        """Remember what records that count say."""
        for _, record in counting:
            events = record.events
            if events and type(events[0]) is RECEIVED and record.execution_id:
                intent_type: str = events[0].intent_type  # type: ignore[attr-defined]
                self._remember(record.execution_id, intent_type)

    def of(self, executions: Collection[str], low: int, reached: int) -> dict[str, str | None]:
        """The types of these executions; None of what was received before `low`, the first offset
        that is kept. Records below `reached` were noted."""
        found = {one: self._known[one] for one in executions if one in self._known}
        missing = {one for one in executions if one and one not in found}
        if missing:
            told: dict[str, str | None] = {**self._hint(missing)}
            missing -= told.keys()
            end = reached if self._forgot else self._start
            told |= self._looked_back(missing, low, end)
            for name, intent_type in told.items():
                self._remember(name, intent_type)
            found |= told
        return found

    def _looked_back(self, missing: set[str], low: int, end: int) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        length = FIRST_STRETCH
        while missing and end > low:
            start = max(low, end - length)
            for record in self._stretch(start, end):
                event = record.events[0] if record.events else None
                if type(event) is IntentReceived and record.execution_id in missing:
                    found[record.execution_id] = event.intent_type
            missing -= found.keys()
            end, length = start, length * GROWTH
        expired = self._elsewhere(missing) if missing and low > 0 else {}
        return {**dict.fromkeys(missing), **expired, **found}

    def _remember(self, execution_id: str, intent_type: str | None) -> None:
        if len(self._known) >= KEPT:
            # The first that came: its execution has most likely ended.
            self._known.pop(next(iter(self._known)))
            self._forgot = True
        self._known[execution_id] = intent_type
