"""How often a peer syncs its files, counted by strace, for one run and for runs at once.

strace slows the stack down, so only the counts per run mean anything.
"""

import asyncio
import itertools
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

from bench.peers.load import run_ids
from bench.peers.peer import Peer
from bench.peers.steps import Json, payload

_CALLS = ("fsync", "fdatasync", "sync_file_range", "msync")
_ATTACH_S = 1.0


async def fsyncs(peer: Peer, n: int) -> AsyncIterator[Json]:
    """One row for each concurrency, ``n`` runs of one step each, on a started peer."""
    if shutil.which("strace") is None:
        raise FileNotFoundError("strace is needed (Debian: apt-get install strace)")
    for concurrency in (1, 16):
        yield await _count(peer, n, concurrency)


async def _count(peer: Peer, n: int, concurrency: int) -> Json:
    out = peer.work / f"strace-{concurrency}"
    processes = [p for role in peer.processes.roles for p in peer.processes.tree(role)]
    tracer = _attach(out, [process.pid for process in processes])
    try:
        await asyncio.sleep(_ATTACH_S)
        todo = itertools.islice(run_ids("fsync"), n)

        async def user() -> None:
            for run_id in todo:
                await peer.run("one", run_id, payload(run_id))

        await asyncio.gather(*(user() for _ in range(concurrency)))
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
    calls = _summary(out)
    row = {"what": "fsyncs", "peer": peer.name, "concurrency": concurrency, "n": n}
    return {**row, "calls": calls, "per_run": round(sum(calls.values()) / n, 2)}


def _attach(out: Path, pids: list[int]) -> subprocess.Popen[bytes]:
    argv = ["strace", "-f", "-c", "-e", f"trace={','.join(_CALLS)}", "-o", str(out)]
    return subprocess.Popen([*argv, *(f"-p{pid}" for pid in pids)], stderr=subprocess.DEVNULL)


def _summary(out: Path) -> dict[str, int]:
    """strace -c: "% time, seconds, usecs/call, calls, [errors,] syscall" lines."""
    fields = [line.split() for line in out.read_text().splitlines()]
    return {line[-1]: int(line[3]) for line in fields if line and line[-1] in _CALLS}
