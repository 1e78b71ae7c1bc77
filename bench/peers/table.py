"""Result rows to Markdown tables, with ratios "symphainy / peer". Pure.

A row is a measurement if it has ``peer``, ``workload`` and ``what``. Repeated measurements stand
in one cell ("4.1 / 4.3"); a ratio is taken between their medians.
"""

import math
from collections.abc import Iterable, Sequence
from statistics import median

from bench.peers.steps import Json

#: Kinds of measurement, found by the first word of ``what``: their columns.
_COLUMNS: dict[str, tuple[str, ...]] = {
    "cold": ("seconds", "cpu_s"),
    "sequential": ("p50_ms", "p95_ms", "p99_ms", "cpu_s_per_1k", "other_cores"),
    "closed": ("per_s", "p50_ms", "p99_ms", "cpu_s_per_1k", "stack_cores", "other_cores", "failed"),
    "kill": (
        *("killed", "n", "at_s", "steps_at_kill", "first_step_after_s", "first_run_after_s"),
        *("effects_s", "settled_s", "lost", "steps", "steps_repeated", "tails_repeated"),
        *("cpu_s_per_1k", "other_cores"),
    ),
    "timers": (
        *("submit_s", "late_submit_p50_ms", "late_submit_p99_ms", "late_start_p50_ms"),
        *("late_start_p99_ms", "waiting_cores", "cpu_s_per_1k", "other_cores"),
    ),
    "idle": ("pss_total_mib", "cpu_percent", "other_cores"),
}
#: And what is worth a ratio.
_RATIOS: dict[str, tuple[str, ...]] = {
    "cold": ("seconds", "cpu_s"),
    "sequential": ("p50_ms", "cpu_s_per_1k"),
    "closed": ("p50_ms", "per_s", "cpu_s_per_1k"),
    "kill": ("first_run_after_s", "settled_s", "cpu_s_per_1k"),
    "timers": ("late_submit_p50_ms", "cpu_s_per_1k"),
    "idle": ("pss_total_mib", "cpu_percent"),
}
_TITLES = {
    "per_s": "runs/s",
    "p50_ms": "p50 ms",
    "p95_ms": "p95 ms",
    "p99_ms": "p99 ms",
    "cpu_s_per_1k": "CPU s/1000 runs",
    "stack_cores": "cores",
    "other_cores": "other cores",
    "cpu_percent": "CPU %",
    "pss_total_mib": "PSS MiB",
}
#: Share of a core that the rest of the machine may use before a ratio is marked as doubtful. A
#: quiet machine shows 0.05 to 0.2 here: the kernel's own work for the stack is among it.
QUIET_CORES = 0.3
NOT_YET = "not yet"
NOT_APPLICABLE = "not applicable"
FAILED = "failed"
_DASH = "–"

Group = dict[str, list[Json]]  # peer -> its rows, in the order in which they were measured


def report(rows: Sequence[Json], ours: Sequence[str], titles: dict[str, str]) -> str:
    """The whole text: machine, what each peer makes durable, the tables, how to read them.

    ``ours`` are the peers whose ratios to the others are wanted; ``titles`` the workloads' names.
    """
    parts = [*_heads(rows), *_tables(rows, ours, titles)]
    parts.append(
        "Ratios are symphainy / peer. Below 1 is better for symphainy, except for runs/s, where "
        "above 1 is. `other cores` is what the rest of the machine used; where it was above "
        f"{QUIET_CORES:g} on either side a ratio is marked with ?, and is not to be quoted: repeat "
        "the run on a quiet machine."
    )
    return "\n\n".join(parts)


def ratio(ours: Sequence[Json], theirs: Sequence[Json], column: str) -> float | None:
    """Median by median; None where one has no such number, or the peer's is zero."""
    mine, other = _median(ours, column), _median(theirs, column)
    if mine is None or not other:
        return None
    return mine / other


def _median(rows: Sequence[Json], column: str) -> float | None:
    values = [row[column] for row in rows if isinstance(row.get(column), int | float)]
    values = [value for value in values if not math.isnan(value)]
    return median(values) if values else None


def _heads(rows: Iterable[Json]) -> list[str]:
    heads, peers, notes = [], {}, {}
    for row in rows:
        if row["what"] == "machine":
            facts = (f"{name} {value}" for name, value in row.items() if name not in ("what", "at"))
            heads = ["Machine: " + ", ".join(facts)]
        elif row["what"] == "peer":
            versions = ", ".join(f"{name} {v}" for name, v in row.get("versions", {}).items())
            peers[row["peer"]] = [row["peer"], versions, row["durability"]]
            if row.get("note"):
                notes[row["peer"]] = f"- {row['peer']}: {row['note']}"
    if peers:
        heads.append(markdown(["peer", "versions", "durability"], [*peers.values()], left=3))
    if notes:
        heads.append("\n".join(notes.values()))
    return heads


def _tables(rows: Sequence[Json], ours: Sequence[str], titles: dict[str, str]) -> list[str]:
    groups: dict[tuple[str, str], Group] = {}
    remarks: dict[str, list[str]] = {}
    for row in rows:
        workload, what = row.get("workload"), row["what"]
        if workload is None:
            continue
        if what in (NOT_YET, NOT_APPLICABLE, FAILED):
            line = f"- {row['peer']}: {what}: {row['reason']}"
            if line not in remarks.setdefault(workload, []):
                remarks[workload].append(line)
        else:
            groups.setdefault((workload, what), {}).setdefault(row["peer"], []).append(row)
    parts = []
    for workload in sorted({*remarks, *(workload for workload, _ in groups)}):
        parts.append(f"## {workload.upper()} {titles.get(workload, '')}".rstrip())
        for (of, what), group in groups.items():
            if of == workload:
                parts += _group(what, group, ours)
        if workload in remarks:
            parts.append("\n".join(remarks[workload]))
    return parts


def _group(what: str, group: Group, ours: Sequence[str]) -> list[str]:
    kind = _kind(what)
    columns = _COLUMNS[kind]
    lines = [[peer, *(_cell(rows, column) for column in columns)] for peer, rows in group.items()]
    parts = [f"### {what}", markdown(["peer", *map(_title, columns)], lines)]
    compared = [
        [f"{us} / {peer}", *(_times(group[us], rows, column) for column in _RATIOS[kind])]
        for us in ours
        if us in group
        for peer, rows in group.items()
        if peer not in ours
    ]
    if compared:
        parts.append(markdown(["ratio", *map(_title, _RATIOS[kind])], compared))
    return parts


def _kind(what: str) -> str:
    return next(kind for kind in _COLUMNS if kind in what.split())


def _title(column: str) -> str:
    return _TITLES.get(column, column.replace("_", " "))


def _cell(rows: Sequence[Json], column: str) -> str:
    return " / ".join(_text(row.get(column)) for row in rows)


def _text(value: object) -> str:
    if value is None:
        return _DASH
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _times(ours: Sequence[Json], theirs: Sequence[Json], column: str) -> str:
    value = ratio(ours, theirs, column)
    if value is None:
        return _DASH
    doubtful = any(row.get("other_cores", 0.0) > QUIET_CORES for row in (*ours, *theirs))
    return f"{value:.2f}" + (" ?" if doubtful else "")


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]], left: int = 1) -> str:
    """A Markdown table, aligned for reading as it is; all but ``left`` columns to the right."""
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "| " + " | ".join(padded) + " |"

    rule = ("-" * width if i < left else "-" * (width - 1) + ":" for i, width in enumerate(widths))
    return "\n".join([line(head), "| " + " | ".join(rule) + " |", *map(line, lines)])
