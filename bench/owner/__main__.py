"""`python -m bench.owner [names…]`: the partition owner's speed and size, against their targets."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.owner import fold, million, noisy, takeover, timers
from bench.owner.figures import Report, circumstances, table
from bench.owner.options import Options

RESULTS = Path(__file__).parents[1] / "results"
BENCHMARKS: dict[str, tuple[str, Callable[[Options], Report]]] = {
    "fold": ("Folding a journal on one core", fold.run),
    "takeover": ("Takeover after kill -9", takeover.run),
    "million": ("A million waiting executions", million.run),
    "timers": ("Timers while intents flow", timers.run),
    "noisy": ("A noisy neighbour", noisy.run),
}
console = Console(width=140)


def main() -> None:
    """Parse, measure, show, keep."""
    parser = argparse.ArgumentParser(prog="bench.owner", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(BENCHMARKS)}; all by default")
    parser.add_argument("--out", type=Path, help="where to keep the figures; others there stay")
    for one in fields(Options):
        flag = "--" + one.name.replace("_", "-")
        parser.add_argument(flag, type=type(one.default), default=one.default)
    told = parser.parse_args()
    unknown = set(told.names) - BENCHMARKS.keys()
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    options = replace(Options(), **{f.name: getattr(told, f.name) for f in fields(Options)})
    utc = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    out = told.out or RESULTS / "local" / f"owner-{utc}.json"
    for name in told.names or BENCHMARKS:
        title, run = BENCHMARKS[name]
        console.rule(title)
        load = os.getloadavg()[0]
        report = run(options)
        console.print(table(title, report))
        _keep(out, name, {**_circumstances(options, load), **report.as_json()})
    console.print(f"kept in {out}")


def _circumstances(options: Options, load: float) -> dict[str, Any]:
    """`load_before`: what the machine did besides, which must be next to nothing."""
    return {
        **circumstances(load),
        "options": asdict(options),
    }


def _keep(out: Path, name: str, found: dict[str, Any]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    kept = json.loads(out.read_text()) if out.exists() else {}
    out.write_text(json.dumps({**kept, name: found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
