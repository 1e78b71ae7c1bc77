"""G6: whom an operator has tried again states anew what it invoked in vain, and nothing else.

Followed over what is told of each step: what is recorded under which name, and how what was invoked
ended.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from symphainy_schemas import events as e
from symphainy_schemas.records import ENDED
from symphainy_simulation.checking.lives import Book, Life
from symphainy_simulation.checking.logs import Told
from symphainy_simulation.checking.violation import Violation

G = "G6"


class _Step(msgspec.Struct):
    """What is recorded of a step: an invocation's execution, or the end that was awaited."""

    children: dict[str, str] = {}
    names: list[str] = []
    lost: set[str] = set()


def check(book: Book) -> Iterator[Violation]:
    """Every retry that was asked for."""
    for _, life in book.all_lives():
        if any(isinstance(event, e.StepRetryRequested) for _, event in life.told):
            yield from _asked(life)


def _asked(life: Life) -> Iterator[Violation]:
    steps: dict[str, _Step] = {}
    ends: dict[str, bool] = {}
    for told in life.told:
        match told.event:
            case e.ChildEnded(child=child, outcome=outcome):
                ends[child] = _is_success(outcome)
            case e.ChildInvoked(step=step, name=name, child=child):
                one = steps.setdefault(step, _Step())
                one.names.append(name)
                one.children[name] = child
            case e.StepCheckpointed(step=step, name=name):
                steps.setdefault(step, _Step()).names.append(name)
            case e.StepResumed(step=step, name=name, result=result):
                one = steps.setdefault(step, _Step())
                one.names.append(name)
                if name.removesuffix(ENDED) in one.children and not (
                    result and _is_success(result)
                ):
                    one.lost.add(name)
            case e.StepRetryRequested(step=step, forgets=forgets):
                yield from _forgets(life, told, steps.setdefault(step, _Step()), ends, forgets)
            case _:
                pass


def _forgets(
    life: Life, told: Told, one: _Step, ends: dict[str, bool], forgets: tuple[str, ...]
) -> Iterator[Violation]:
    in_vain = {name for name, child in one.children.items() if ends.get(child) is False}
    may = one.lost | in_vain | {one.children[name] for name in in_vain}
    must = {name for name in in_vain if name + ENDED not in one.names}
    last = one.names[-1] if one.names else ""
    must |= one.lost & {last}
    for what, names in (("forgets", set(forgets) - may), ("does not forget", must - set(forgets))):
        if names:
            sentence = f"{life.execution_id}: {told.event.step} tried again {what} {sorted(names)}"  # type: ignore[union-attr]
            yield Violation(G, sentence, (told.entry.place,))
    one.names = [name for name in one.names if name not in forgets]
    one.children = {name: child for name, child in one.children.items() if name not in forgets}
    one.lost -= set(forgets)


def _is_success(outcome: bytes) -> bool:
    how = msgspec.json.decode(outcome)
    return bool(how["status"] == "succeeded" and how["error"] is None)
