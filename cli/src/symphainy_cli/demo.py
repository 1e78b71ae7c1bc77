"""The demo: real documents through the real system, both ways in, and proof of what happened."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from symphainy import Client, IntentProducer
from symphainy_cli.connection import DevFile
from symphainy_cli.output import err, out, show_table
from symphainy_cli.proof import Proof, prove
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas import ids
from symphainy_schemas.errors import Unavailable

INTENT_TYPE = "content.ingest_file"
DOCUMENTS = ("handbook.pdf", "permits.csv", "policies.dat")
AT_ONCE = 32
PATIENCE_S = 120.0  # an owner's session timeout and a broker's restart fit in it many times


def run_demo(running: DevFile, settings: RuntimeSettings, load: int) -> bool:
    """Run it; whether everything that was acknowledged came to its result, exactly once."""
    return asyncio.run(_demo(running, settings, load))


async def _demo(running: DevFile, settings: RuntimeSettings, load: int) -> bool:
    async with (
        Client(running.url, running.key) as client,
        IntentProducer(settings, running.tenant, "developer") as producer,
    ):
        begin = time.perf_counter()
        over_http = await _over_http(client)
        direct = await _directly(client, producer)
        show_table(
            ("way in", "document", "execution", "status", "counts", "ms"),
            [_row("HTTP", *pair) for pair in over_http] + [_row("Kafka", *pair) for pair in direct],
            "Documents",
        )
        for way, pairs in (("HTTP", over_http), ("Kafka", direct)):
            await _show_events(client, way, pairs[0][1]["execution_id"])
        accepted = await _load(client, producer, load)
        everything = [one["execution_id"] for _, one in over_http + direct] + accepted
        statuses = await _await_all(client, everything)
    proof = await asyncio.to_thread(prove, settings, everything)
    return _verdict(statuses, proof, time.perf_counter() - begin)


async def _over_http(client: Client) -> list[tuple[str, dict[str, Any]]]:
    session = await client.open_session({"opened_by": "demo"})
    found = []
    for name in DOCUMENTS:
        result = await client.submit(INTENT_TYPE, {"path": name}, session_id=session, wait="60s")
        found.append((name, await client.execution(result.execution_id)))
    return found


async def _directly(client: Client, producer: IntentProducer) -> list[tuple[str, dict[str, Any]]]:
    session = await producer.open_session({"opened_by": "demo"})
    accepted = [
        (name, await producer.submit(INTENT_TYPE, {"path": name}, session_id=session))
        for name in DOCUMENTS
    ]
    await _await_all(client, [one.execution_id for _, one in accepted])
    return [(name, await client.execution(one.execution_id)) for name, one in accepted]


async def _load(client: Client, producer: IntentProducer, load: int) -> list[str]:
    """Submit `load` further intents, half each way; the executions that were acknowledged."""
    if not load:
        return []
    sessions = [await client.open_session() for _ in range(8)]
    todo = iter(range(load))
    accepted: list[str] = []
    bar = Progress("load", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=err)
    with bar as progress:
        task = progress.add_task("load", total=load)

        async def user() -> None:
            for number in todo:
                session = sessions[number % len(sessions)]
                body = {"path": DOCUMENTS[1 + number % 2]}
                accepted.append(await _submit(client, producer, number, session, body))
                progress.advance(task)

        await asyncio.gather(*(user() for _ in range(AT_ONCE)))
    return accepted


async def _submit(
    client: Client, producer: IntentProducer, number: int, session: str, body: dict[str, str]
) -> str:
    """Submit until acknowledged: one intent id, so a repeat cannot double it."""
    intent_id = ids.new_intent_id()
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            if number % 2:
                direct = await producer.submit(
                    INTENT_TYPE, body, session_id=session, intent_id=intent_id
                )
                return direct.execution_id
            answer = await client.submit(
                INTENT_TYPE, body, session_id=session, intent_id=intent_id, wait="0s"
            )
            return answer.execution_id
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.2)


async def _await_all(client: Client, executions: Sequence[str]) -> Counter[str]:
    """Wait for every execution's end on its event stream; how many ended how."""
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(execution_id: str) -> str:
        async with limit, asyncio.timeout(PATIENCE_S):
            return await client.ended(execution_id)

    return Counter(await asyncio.gather(*(one(execution_id) for execution_id in executions)))


async def _show_events(client: Client, way: str, execution_id: str) -> None:
    show_table(
        ("event", "topic", "partition", "offset", "caused by"),
        [
            (
                event["type"],
                event["topic"],
                event["partition"],
                event["offset"],
                _place(event["cause"]),
            )
            for event in await client.events(execution_id)
        ],
        f"Events of one execution, submitted over {way}",
    )


def _place(cause: dict[str, Any] | None) -> str:
    return "" if cause is None else f"{cause['topic']}/{cause['partition']}@{cause['offset']}"


def _row(way: str, name: str, document: dict[str, Any]) -> tuple[Any, ...]:
    counts = document.get("result") or {}
    told = " ".join(f"{k}={v}" for k, v in counts.items() if isinstance(v, int | str))
    return (
        way,
        name,
        document["execution_id"],
        document["status"],
        told,
        document["execution_time_ms"],
    )


def _verdict(statuses: Counter[str], proof: Proof, seconds: float) -> bool:
    total = sum(statuses.values())
    ok = statuses["succeeded"] == total and proof.exact
    out.print(
        f"{total} intents acknowledged, "
        + ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))
        + f"; in the journal: {proof.received} received once, {proof.ended} ended once, "
        + f"{proof.twice} twice, {proof.missing} missing; {seconds:.1f} s",
        highlight=False,
    )
    out.print("[green]demo passed[/]" if ok else "[red]demo failed[/]")
    return ok
