"""The command line: measure, list the peers, print the table of earlier results, count fsyncs."""

import argparse
import asyncio
import contextlib
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop

from bench.peers.drivers import DEFAULT, NAMES, OURS, load
from bench.peers.fsyncs import fsyncs
from bench.peers.load import checked
from bench.peers.machine import machine
from bench.peers.peer import Peer
from bench.peers.results import Results, read
from bench.peers.table import FAILED, NOT_APPLICABLE, NOT_YET, report
from bench.peers.workload import NOTHING, Options
from bench.peers.workloads import DEFAULT as DEFAULT_WORKLOADS
from bench.peers.workloads import WORKLOADS

_USAGE = "bench/peers/run.sh [run] [OPTION ...] | list | table FILE | fsyncs [--peers ...]"
_KILL_HELP = "parts to kill in w4: engine, worker, store, nothing (or projector, gateway: ours)"
_COMMANDS = ("run", "list", "table", "fsyncs")


def _names(known: tuple[str, ...], text: str) -> list[str]:
    chosen = [name for name in text.split(",") if name]
    unknown = [name for name in chosen if name not in known]
    if unknown or not chosen:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; of {', '.join(known)}")
    return chosen


def _peers(text: str) -> list[str]:
    return _names(NAMES, text)


def _parts(text: str) -> list[str]:
    return _names((NOTHING, *dict.fromkeys(p for name in OURS for p in load(name).parts)), text)


def _workloads(text: str) -> list[str]:
    return _names(tuple(WORKLOADS), text)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench/peers/run.sh", usage=_USAGE)
    sub = parser.add_subparsers(required=True)
    sub.add_parser("list", help="the peers, and what each makes durable").set_defaults(do=_list)
    table = sub.add_parser("table", help="the table of a results file")
    table.add_argument("file", type=Path)
    table.set_defaults(do=_table)
    sync = sub.add_parser("fsyncs", help="count how often each peer syncs its files (strace)")
    sync.add_argument("--peers", type=_peers, default=list(DEFAULT))
    sync.add_argument("--runs", type=int, default=200)
    sync.set_defaults(do=_fsyncs, out=None, work=None, keep=False)
    run = sub.add_parser("run", usage=_USAGE, help="measure (the default command)")
    run.set_defaults(do=_run)
    known = Options()
    run.add_argument("--peers", type=_peers, default=list(DEFAULT), help=f"of {', '.join(NAMES)}")
    run.add_argument(
        "--workloads",
        type=_workloads,
        default=list(DEFAULT_WORKLOADS),
        help=f"of {', '.join(WORKLOADS)}; default: {','.join(DEFAULT_WORKLOADS)}",
    )
    run.add_argument("--seconds", type=float, default=known.seconds, help="of each closed loop")
    run.add_argument("--warm", type=float, default=known.warm, help="seconds of load before w1-w3")
    run.add_argument("--repeat", type=int, default=known.repeat, help="of each measurement, w1-w3")
    run.add_argument("--sequential", type=int, default=known.sequential, help="runs, one by one")
    run.add_argument("--concurrency", type=_numbers, default=known.concurrency, help="closed loops")
    run.add_argument("--runs", type=int, default=known.runs, help="runs in w4")
    run.add_argument("--kill", type=_parts, default=["engine", "worker"], help=_KILL_HELP)
    run.add_argument("--timers", type=int, default=known.timers, help="timers in w5")
    run.add_argument("--out", type=Path, help="default: bench/results/local/peers-<UTC>.jsonl")
    run.add_argument("--work", type=Path, help="where the stacks keep data and logs")
    run.add_argument("--keep", action="store_true", help="keep that data")
    return parser


def _folder(name: str, at: Path | None) -> Path:
    if at:
        at.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f"peers-{name}-", dir=at))
    work.chmod(0o755)  # PostgreSQL runs as a user of its own
    return work


@asynccontextmanager
async def _started(name: str, at: Path | None, keep: bool) -> AsyncIterator[tuple[Peer, float]]:
    """A peer that has done its first run, and the seconds that this took from nothing."""
    peer = load(name)(_folder(name, at))
    began = time.monotonic()
    try:
        await peer.start()
        await checked(peer, "one")
        yield peer, round(time.monotonic() - began, 2)
    finally:
        await peer.stop()
        if keep:
            print(f"kept: {peer.work}", file=sys.stderr)
        else:
            shutil.rmtree(peer.work, ignore_errors=True)


async def _measure(name: str, key: str, part: str, opt: argparse.Namespace, out: Results) -> bool:
    """One workload on a fresh stack; whether it could be measured."""
    tag = {"peer": name, "workload": key}
    chosen = {field: getattr(opt, field) for field in Options.__dataclass_fields__}
    try:
        async with _started(name, opt.work, opt.keep) as (peer, cold_s):
            if key == "w6":
                spent = round(sum(peer.processes.cpu_s().values()), 2)
                row = {"what": "cold start to first run", "seconds": cold_s, "cpu_s": spent}
                out.add({**tag, **row})
            workload = WORKLOADS[key]
            async for row in workload.measure(peer, workload, Options(**chosen), part):
                out.add({**tag, **row})
            peer.processes.check()
    except Exception as error:
        traceback.print_exc()
        out.add({**tag, "what": FAILED, "reason": f"{type(error).__name__}: {error}"[:600]})
        return False
    return True


async def _measure_all(key: str, name: str, opt: argparse.Namespace, out: Results) -> bool:
    """A workload on a peer, once or once for each part to kill; what cannot be done is said."""
    workload, peer = WORKLOADS[key], load(name)
    reason = peer.unsupported.get(workload.flow)
    if reason:
        out.add({"peer": name, "workload": key, "what": NOT_YET, "reason": reason})
        return True
    good = True
    for part in opt.kill if workload.kills else (NOTHING,):
        if part != NOTHING and part not in peer.parts:
            reason = f"kill -9 {part}: {peer.whole.get(part, 'it has none')}"
            out.add({"peer": name, "workload": key, "what": NOT_APPLICABLE, "reason": reason})
            continue
        good &= await _measure(name, key, part, opt, out)
    return good


async def _run(opt: argparse.Namespace) -> int:
    """Every workload on every peer, one after another."""
    out = Results(opt.out)
    out.add({"what": "machine", **machine()})
    for name in opt.peers:
        peer = load(name)
        facts = {
            "versions": peer.versions(),
            "durability": peer.durability,
            "note": peer.note,
        }
        out.add({"what": "peer", "peer": name, **facts})
    good = True
    try:
        for key in opt.workloads:
            for name in opt.peers:
                good &= await _measure_all(key, name, opt, out)
    finally:
        titles = {key: workload.title for key, workload in WORKLOADS.items()}
        print(f"\n{report(out.rows, OURS, titles)}\n\nResults: {out.path}", flush=True)
    return 0 if good else 1


async def _fsyncs(opt: argparse.Namespace) -> int:
    out = Results(opt.out)
    for name in opt.peers:
        async with _started(name, opt.work, opt.keep) as (peer, _):
            async for row in fsyncs(peer, opt.runs):
                out.add(row)
    return 0


async def _list(_: argparse.Namespace) -> int:
    for name in NAMES:
        mark = "*" if name in DEFAULT else " "
        peer = load(name)
        print(f"{mark} {name:<20} {peer.durability}" + (f" ({peer.note})" if peer.note else ""))
    return 0


async def _table(opt: argparse.Namespace) -> int:
    titles = {key: workload.title for key, workload in WORKLOADS.items()}
    print(report(read(opt.file), OURS, titles))
    return 0


async def _until_told(opt: argparse.Namespace) -> int:
    """Run the command; SIGTERM ends it as Ctrl-C does, with its stacks."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    code: int = await opt.do(opt)
    return code


def main(argv: list[str]) -> int:
    """Parse, run, and give the exit code: 1 if a measurement failed, 130 if interrupted."""
    if not argv or argv[0] not in _COMMANDS:
        argv = ["run", *argv]
    opt = _parser().parse_args(argv)
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        return uvloop.run(_until_told(opt))
    return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
