"""The client's side: run ids, one run after another, a closed loop, many submissions."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator

from bench.peers.clock import wall_clock
from bench.peers.meter import Meter, percentiles_ms
from bench.peers.peer import Peer
from bench.peers.steps import FLOWS, Json, payload

_RUN_TIMEOUT_S = 90.0  # above the 60 s that a server may hold a request
_SUBMIT_TIMEOUT_S = 20.0
_SUBMITTERS = 128
_TRY_TIMEOUT_S = 20.0
_serial = itertools.count(1)


class WrongAnswer(Exception):
    """A peer did not do the work: its answer is not the one that the flow defines."""


def run_ids(prefix: str) -> Iterator[str]:
    """Ids that no earlier call of this program has given."""
    base = f"{prefix}{next(_serial)}-{int(wall_clock() * 1000):x}"
    return (f"{base}-{i:06d}" for i in itertools.count())


async def checked(peer: Peer, flow: str) -> None:
    """One run, whose answer must be the flow's."""
    run_id = next(run_ids(f"{flow}-check"))
    answer = await peer.run(flow, run_id, payload(run_id))
    if answer != FLOWS[flow].answer:
        raise WrongAnswer(f"{flow} answered {answer!r}, not {FLOWS[flow].answer!r}")


async def sequential(peer: Peer, flow: str, n: int, warm: int) -> Json:
    """``n`` runs, each after the answer of the one before it, after ``warm`` unmeasured ones."""
    ids = run_ids(flow)
    for run_id in itertools.islice(ids, warm):
        await peer.run(flow, run_id, payload(run_id))
    latencies = []
    meter = Meter(peer)
    for run_id in itertools.islice(ids, n):
        body = payload(run_id)
        began = time.perf_counter()
        await peer.run(flow, run_id, body)
        latencies.append(time.perf_counter() - began)
    return {
        "what": "sequential",
        **percentiles_ms(latencies, 0.5, 0.95, 0.99),
        **meter.read(n),
    }


async def closed_loop(peer: Peer, flow: str, concurrency: int, seconds: float) -> Json:
    """``concurrency`` users, each with one run at a time, for ``seconds``.

    Throughput and latency count the runs that were answered within the time; CPU is divided by
    all that were answered, as it was spent on all.
    """
    ids = run_ids(flow)
    latencies: list[float] = []
    failed: Counter[str] = Counter()
    answered = 0
    meter = Meter(peer)
    end = time.perf_counter() + seconds

    async def user() -> None:
        nonlocal answered
        while (began := time.perf_counter()) < end:
            run_id = next(ids)
            try:
                await asyncio.wait_for(peer.run(flow, run_id, payload(run_id)), _RUN_TIMEOUT_S)
            except Exception as error:
                failed[f"{type(error).__name__}: {error}"[:120]] += 1
                await asyncio.sleep(0.1)
                continue
            now = time.perf_counter()
            answered += 1
            if now <= end:
                latencies.append(now - began)

    await asyncio.gather(*(user() for _ in range(concurrency)))
    row = {
        "what": f"closed loop c={concurrency}",
        "per_s": round(len(latencies) / seconds, 1),
        **percentiles_ms(latencies, 0.5, 0.99),
        **meter.read(answered),
    }
    return {**row, "failed": failed.total(), "errors": dict(failed.most_common(3))}


async def submit_all(peer: Peer, flow: str, n: int) -> dict[str, float]:
    """Submit ``n`` runs; when each was acknowledged, seconds since the epoch."""
    acknowledged: dict[str, float] = {}
    await submit_into(acknowledged, peer, flow, n)
    return acknowledged


async def submit_into(acknowledged: dict[str, float], peer: Peer, flow: str, n: int) -> None:
    """The same, filling a dict that the caller watches.

    A failed submission is repeated with the same run id until it is taken.
    """
    todo = itertools.islice(run_ids(flow), n)

    async def user() -> None:
        for run_id in todo:
            while run_id not in acknowledged:
                try:
                    await asyncio.wait_for(
                        peer.submit(flow, run_id, payload(run_id)), _SUBMIT_TIMEOUT_S
                    )
                    acknowledged[run_id] = wall_clock()
                except Exception:  # the peer may just be dead: that is the experiment
                    await asyncio.sleep(0.05)

    await asyncio.gather(*(user() for _ in range(_SUBMITTERS)))


async def settle(peer: Peer, flow: str, submitted: Iterable[str], timeout_s: float) -> list[str]:
    """Ask for the result of each run, again where that fails; those without the right one in time.

    A side effect says that a handler ran, not that the engine knows: this does.
    """
    todo = iter(list(submitted))
    lost: list[str] = []
    end = time.monotonic() + timeout_s

    async def user() -> None:
        for run_id in todo:
            if await _answer(peer.result, flow, run_id, end) != FLOWS[flow].answer:
                lost.append(run_id)

    await asyncio.gather(*(user() for _ in range(_SUBMITTERS)))
    return lost


async def answered(peer: Peer, timeout_s: float) -> bool:
    """Whether a new run of one step is answered in time, trying with new ids."""
    end = time.monotonic() + timeout_s
    for run_id in run_ids("fresh"):
        limit = min(end, time.monotonic() + _TRY_TIMEOUT_S)
        if await _answer(peer.run, "one", run_id, limit, tries=1) == FLOWS["one"].answer:
            return True
        if time.monotonic() >= end:
            break
        await asyncio.sleep(0.02)
    return False


async def _answer(
    ask: Callable[[str, str, Json], Awaitable[Json]],
    flow: str,
    run_id: str,
    end: float,
    tries: int | None = None,
) -> Json | None:
    """What ``ask`` answers before ``end``; None if it does not."""
    for attempt in itertools.count(1):
        left = end - time.monotonic()
        if left <= 0:
            break
        try:
            return await asyncio.wait_for(ask(flow, run_id, payload(run_id)), left)
        except Exception:  # the peer may just be dead: that is the experiment
            if attempt == tries:
                break
            await asyncio.sleep(0.05)
    return None
