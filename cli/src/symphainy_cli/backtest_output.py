"""What `symphainy policy backtest` tells: a table of changes, or JSON."""

from __future__ import annotations

from collections.abc import Sequence

from symphainy_cli.output import out, show_json, show_table
from symphainy_processors.backtesting.telling import Shown, document, largest, link_to
from symphainy_runtime.policy.backtest import ASSUMED, Counted, Group

ROWS = 50
"""Groups that the table shows, the largest first; --json has all."""


def show(shown: Shown, json: bool) -> None:
    """Tell it."""
    if json:
        show_json(document(shown))
        return
    groups = largest(shown)
    show_table(
        ("tenant", "intent type", "change", "decided by", "would be by", "count", "examples"),
        [_row(group, counted, shown.url) for group, counted in groups[:ROWS]],
        f"Decisions that would change: {shown.whole.tally.changed}"
        + (f", the {ROWS} largest of {len(groups)} groups" if groups[ROWS:] else ""),
    )
    for note in shown.whole.notes:
        out.print(f"note: {note}", highlight=False, soft_wrap=True)
    out.print(_summary(shown), highlight=False, soft_wrap=True)


def _row(group: Group, counted: Counted, url: str) -> Sequence[object]:
    by = "as it ran, before policy" if group.baseline == ASSUMED else "\n".join(group.recorded)
    examples = [link_to(one, url) if url else one.execution_id for one in counted.examples]
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
