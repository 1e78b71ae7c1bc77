"""`python -m bench`: the system through HTTP and through the direct producer, beside a bare Kafka
pipeline with the same hops, in one run; prints ratios and keeps the figures as JSON."""

from __future__ import annotations

import argparse
import json
import platform
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console
from rich.table import Table

from bench.clients import BareClient, DirectClient, HttpClient
from bench.load import Figures, measure
from bench.stack import TENANT, Stack

RESULTS = Path(__file__).parent / "results"
SERVICES = ("kafka", "valkey")
ROLES = {
    "bare": ("kafka", "bare-owner", "bare-worker"),
    "direct": ("kafka", "owner", "worker"),
    "http": ("kafka", "valkey", "owner", "projector", "gateway", "worker"),
}
console = Console(width=140)


async def series(
    client: Any, name: str, stack: Stack, options: argparse.Namespace
) -> list[Figures]:
    """All loads of one pipeline, after a warm-up."""

    def cpu() -> dict[str, float]:
        return stack.cpu(*ROLES[name])

    found = []
    async with client:
        await measure(client.run, 16, options.warm, cpu, f"{name}-warm")
        for in_flight in options.in_flight:
            figures = await measure(
                client.run, in_flight, options.seconds, cpu, f"{name}-{in_flight}"
            )
            console.print(
                f"  {name:7} {in_flight:4} in flight: {figures.per_second:8} /s "
                f"p50 {figures.p50_ms} ms  p99 {figures.p99_ms} ms"
            )
            found.append(figures)
    return found


def run_all(options: argparse.Namespace, flush: bool) -> dict[str, list[Figures]]:
    """Every pipeline on one broker, one after the other."""
    results: dict[str, list[Figures]] = {}
    with Stack(flush_each_message=flush) as stack:
        if "bare" in options.pipelines:
            stack.start_bare()
            results["bare"] = uvloop.run(series(BareClient(stack.settings), "bare", stack, options))
            stack.stop("bare-owner", "bare-worker")
        if "direct" in options.pipelines:
            stack.start_system(http=False)
            client = DirectClient(stack.settings, TENANT)
            results["direct"] = uvloop.run(series(client, "direct", stack, options))
            stack.stop("worker", "owner")
        if "http" in options.pipelines:
            stack.start_system(http=True)
            http = HttpClient(stack.gateway, stack.key)
            results["http"] = uvloop.run(series(http, "http", stack, options))
    return results


def show(results: dict[str, list[Figures]], title: str) -> None:
    """The table, with ratios to the bare pipeline."""
    table = Table(title=title, title_justify="left")
    for column in (
        "pipeline",
        "in flight",
        "executions/s",
        "p50 ms",
        "p99 ms",
        "p50 / bare",
        "rate / bare",
        "CPU ms each",
        "CPU ms by role",
    ):
        table.add_column(column, justify="left" if "role" in column else "right")
    for name, series_ in results.items():
        for index, one in enumerate(series_):
            bare = results["bare"][index] if "bare" in results else None
            table.add_row(
                name,
                str(one.in_flight),
                f"{one.per_second:g}",
                f"{one.p50_ms:g}",
                f"{one.p99_ms:g}",
                f"{one.p50_ms / bare.p50_ms:.2f}" if bare else "",
                f"{one.per_second / bare.per_second:.2f}" if bare else "",
                f"{one.cpu_total_ms:g}",
                " ".join(f"{role} {ms:g}" for role, ms in one.cpu_ms.items()),
            )
    console.print(table)


def main() -> None:
    """Parse, measure, show, keep."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="per measurement")
    parser.add_argument("--warm", type=float, default=5.0, help="warm-up per pipeline, seconds")
    parser.add_argument("--in-flight", type=_ints, default=[1, 16, 64, 256])
    parser.add_argument(
        "--pipelines", type=lambda s: s.split(","), default=["bare", "direct", "http"]
    )
    parser.add_argument(
        "--flush",
        choices=["no", "yes", "both"],
        default="both",
        help="flush.messages=1 on our topics: fsync before each acknowledgement",
    )
    parser.add_argument("--out", type=Path, help="where to keep the figures")
    options = parser.parse_args()
    kept: dict[str, Any] = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "options": {k: str(v) for k, v in vars(options).items()},
    }
    modes: dict[str, tuple[str, bool]] = {
        "page-cache": ("Kafka's default: an acknowledgement is a copy in the page cache", False),
        "fsync": ("flush.messages=1: an acknowledgement is on disk", True),
    }
    wanted = {"no": ["page-cache"], "yes": ["fsync"], "both": ["page-cache", "fsync"]}
    for mode in wanted[options.flush]:
        title, flush = modes[mode]
        console.rule(title)
        results = run_all(options, flush)
        show(results, title)
        kept[mode] = {name: [asdict(one) for one in series_] for name, series_ in results.items()}
    out = (
        options.out
        or RESULTS / "local" / f"bench-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.json"
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(kept, indent=1) + "\n")
    console.print(f"kept in {out}")


def _names(text: str) -> list[str]:
    return text.split(",")


def _ints(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
