"""Whether today's code still asks for what is recorded of its execution. No I/O.

A handler is run again from its start, past what is recorded. Which steps and waits it asks for
may depend on its payload, on what steps and waits gave, and on that one of them failed; so a
handler that returns has asked for every recorded one, in whatever order: branches run side by
side, and a set is walked in another order in another process. One that was not asked for was
recorded by other code.

Nothing earlier is certain. A new step that begins before a recorded one was asked for may have
that one beside it, or behind it in a loop over a set.

Not all of the journal binds. A step that failed is not recorded, and may succeed next time: what
the handler asked for after it was gone past, or while it handles whatever error, is then not asked
for again; nor is what a step's function asks for itself, once that step is recorded. Before the
first such thing is recorded, a mark is; what stands behind the mark is answered, but not missed.
The same mark stands before what a run records while something of the journal is still unasked for,
so that code that is rolled back does not miss what the code in between has recorded.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

from symphainy.errors import ChildFailed, ChildTimeout, JournalMismatch, SignalTimeout
from symphainy.values import to_json
from symphainy_schemas.records import BRANCHED, ENDED, INVOKED

_OURS = re.compile(rf"sleep:\d+|signal:.+:\d+|{INVOKED}[^:]+:\d+({ENDED})?|{BRANCHED}")
# What comes of these is the same in every run.
_RECORDED = (SignalTimeout, ChildTimeout, ChildFailed)
_SHOWN = 80
# The step whose function runs, also in the tasks and threads that it begins.
_INSIDE: ContextVar[str] = ContextVar("symphainy_inside_step")
_CURE = (
    "Roll the code back, or let it ask again for all that is recorded, under the same names: a "
    "step that is no longer needed, with a function that does nothing. Give a handler that does "
    "other things a new intent type."
)


class Replay:
    """What one run of a handler asks for, beside what was recorded before it."""

    def __init__(self, recorded: Iterable[str]) -> None:
        """`recorded` are the names in the order in which they were recorded."""
        names = list(recorded)
        self._marked = BRANCHED in names
        bound = names[: names.index(BRANCHED)] if self._marked else names
        self._missing = dict.fromkeys(bound)  # an ordered set
        self._new: list[str] = []
        self._why: dict[str, str] = {}
        self._unbound = False
        self.mismatch: JournalMismatch | None = None
        """Why this run cannot succeed; it stands, also where the handler caught it."""

    @property
    def missing(self) -> bool:
        """Whether something that binds has not been asked for yet."""
        return bool(self._missing)

    def ask(self, name: str, *, recorded: bool) -> None:
        """The handler asks for a step or a wait."""
        self._missing.pop(name, None)
        if not recorded:
            self._new.append(name)
            self.handling(sys.exception())
            if outer := _INSIDE.get(""):
                self._why = self._why or {"inside": outer}

    def handling(self, error: BaseException | None) -> None:
        """Where the handler asks, it handles an error, which another run may not meet."""
        if error is not None and not isinstance(error, _RECORDED):
            self._why = self._why or {"handling": type(error).__name__}

    @contextmanager
    def asked(self, name: str) -> Iterator[None]:
        """While a new step runs, or a new wait is waited for.

        One that leaves by an exception gave nothing that is recorded, and the handler may go on
        past it, where it would not have gone.
        """
        inside = _INSIDE.set(name)
        try:
            yield
        except BaseException:
            self._why = self._why or {"left": name}
            raise
        finally:
            with suppress(ValueError):  # a handler that is only collected, out of its context
                _INSIDE.reset(inside)

    def unbind(self) -> None:
        """The handler read what is not the same in every run: it may take another branch."""
        self._unbound = True

    def mark(self, name: str) -> bytes | None:
        """What must be recorded as `BRANCHED` before `name` is recorded; None for nothing.

        It says why, for people who read the journal.
        """
        if self._marked or not (self._why or self._missing):
            return None
        self._marked = True
        why = self._why or {"missing": next(iter(self._missing))}
        return to_json({**why, "before": name}, "The mark")

    def returned(self) -> None:
        """The handler has returned.

        Raises:
            JournalMismatch: it was not the code that the journal is of.
        """
        if self.mismatch is not None:
            raise self.mismatch
        if self._missing and not self._unbound:
            first = next(iter(self._missing))
            instead = f"; it asked for {described(self._new[0])} instead" if self._new else ""
            raise self.differs(
                f"{described(first)} is recorded, and the handler returned without asking for it"
                f"{instead}"
            )

    def differs(self, how: str, cure: str = _CURE) -> JournalMismatch:
        """The mismatch, to be raised; the first one stands."""
        if self.mismatch is None:
            self.mismatch = JournalMismatch(
                f"The handler's code does not match what is recorded of this execution: {how}.",
                cure=cure,
            )
        return self.mismatch


def is_ours(name: str) -> bool:
    """Whether a name is one that waits and marks are recorded under, and so no step's."""
    return _OURS.fullmatch(name) is not None


def described(name: str) -> str:
    """A recorded name as people say it."""
    shown = name if len(name) <= _SHOWN else name[: _SHOWN - 1] + "…"
    kind = "wait" if is_ours(name) else "step"
    if name.startswith(INVOKED) and kind == "wait":
        kind = "invocation"
    return f"{kind} {shown!r}"
