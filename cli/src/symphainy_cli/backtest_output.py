"""What `symphainy policy backtest` tells: a table of changes, or JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from symphainy_cli.output import out, show_json, show_table
from symphainy_processors.backtesting.processes import Whole
from symphainy_processors.backtesting.range import Span
from symphainy_runtime.policy.backtest import ASSUMED, Change, Counted, Group, as_json

ROWS = 50
"""Groups that the table shows, the largest first; --json has all."""


class Shown(NamedTuple):
    """What a backtest found, where, and in how many seconds; `url` is the gateway's or ""."""

    scope: str
    spans: tuple[Span, ...]
    whole: Whole
    seconds: float
    url: str


def show(shown: Shown, json: bool) -> None:
    """Tell it."""
    if json:
        show_json(document(shown))
        return
    groups = _largest(shown)
    show_table(
        ("tenant", "intent type", "change", "decided by", "would be by", "count", "examples"),
        [_row(group, counted, shown.url) for group, counted in groups[:ROWS]],
        f"Decisions that would change: {shown.whole.tally.changed}"
        + (f", the {ROWS} largest of {len(groups)} groups" if groups[ROWS:] else ""),
    )
    for note in shown.whole.notes:
        out.print(f"note: {note}", highlight=False, soft_wrap=True)
    out.print(_summary(shown), highlight=False, soft_wrap=True)


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
        "groups": [_group(group, counted, shown.url) for group, counted in _largest(shown)],
    }


def _largest(shown: Shown) -> list[tuple[Group, Counted]]:
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
    link = {"url": _link(change, url)} if url else {}
    return {**as_json(change), **link}


def _link(change: Change, url: str) -> str:
    return f"{url}/v1/executions/{change.execution_id}"


def _row(group: Group, counted: Counted, url: str) -> Sequence[object]:
    by = "as it ran, before policy" if group.baseline == ASSUMED else "\n".join(group.recorded)
    examples = [_link(one, url) if url else one.execution_id for one in counted.examples]
    return (
        group.tenant_id,
        group.intent_type,
        group.transition,
        by,
        "\n".join(group.candidate),
        counted.count,
        "\n".join(examples),
    )


def _summary(shown: Shown) -> str:
    tally = shown.whole.tally
    parts = [
        f"{tally.looked_at} intents looked at",
        f"{tally.unchanged} unchanged",
        f"{tally.changed} changed",
        f"{tally.undetermined} undetermined",
        f"{tally.refused} refused before policy was asked",
    ]
    if tally.assumed:
        parts.append(f"{tally.assumed} from before policy was recorded")
    rate = round(tally.looked_at / shown.seconds)
    return f"{', '.join(parts)}; {shown.seconds:.1f} s, {rate} intents/s"
