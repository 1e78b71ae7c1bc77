"""What a backtest found, as every surface tells it. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from symphainy_processors.backtesting.processes import Whole
from symphainy_processors.backtesting.range import Span
from symphainy_runtime.policy.backtest import Change, Counted, Group, as_json


class Shown(NamedTuple):
    """What a backtest found, where, and in how many seconds; `url` is the gateway's or ""."""

    scope: str
    spans: tuple[Span, ...]
    whole: Whole
    seconds: float
    url: str


def document(shown: Shown) -> dict[str, Any]:
    """It as one JSON document."""
    tally = shown.whole.tally
    return {
        "scope": shown.scope,
        "looked_at": tally.looked_at,
        "unchanged": tally.unchanged,
        "changed": tally.changed,
        "undetermined": tally.undetermined,
        "before_policy": tally.assumed,
        "refused_before_policy": tally.refused,
        "seconds": round(shown.seconds, 3),
        "intents_per_second": round(tally.looked_at / shown.seconds),
        "ranges": [
            {
                "partition": span.partition,
                "journal": [span.start, span.end],
                **({"intents": [span.first, span.last]} if span.last >= 0 else {}),
            }
            for span in shown.spans
        ],
        "notes": shown.whole.notes,
        "groups": [_group(group, counted, shown.url) for group, counted in largest(shown)],
    }


def largest(shown: Shown) -> list[tuple[Group, Counted]]:
    """The groups, the largest first."""
    return sorted(shown.whole.tally.groups.items(), key=lambda one: (-one[1].count, one[0]))


def _group(group: Group, counted: Counted, url: str) -> dict[str, Any]:
    return {
        "tenant_id": group.tenant_id,
        "intent_type": group.intent_type,
        "transition": group.transition,
        "baseline": group.baseline,
        "recorded": list(group.recorded),
        "candidate": list(group.candidate),
        "count": counted.count,
        "examples": [_example(one, url) for one in counted.examples],
    }


def _example(change: Change, url: str) -> dict[str, Any]:
    link = {"url": link_to(change, url)} if url else {}
    return {**as_json(change), **link}


def link_to(change: Change, url: str) -> str:
    """Where a gateway shows the execution."""
    return f"{url}/v1/executions/{change.execution_id}"
