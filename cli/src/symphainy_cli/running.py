"""`symphainy up`, `services`: the processes of the system, one verb each."""

from __future__ import annotations

import logging
import os
import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from symphainy_cli.connection import kafka_settings
from symphainy_cli.output import err, out
from symphainy_runtime.settings import RuntimeSettings


class Role(StrEnum):
    """What a process can be."""

    OWNER = "owner"
    PROJECTOR = "projector"
    GATEWAY = "gateway"


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command()(up)
    app.command()(services)
    app.command()(worker)


def log_to_stderr() -> None:
    """One line an entry: time, level, logger, message."""
    logging.basicConfig(
        stream=sys.stderr,
        level=os.environ.get("SYMPHAINY_LOG_LEVEL", "INFO").upper(),
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
    )


def up(
    role: Annotated[Role, typer.Argument(help="Which role this process plays.")],
    name: Annotated[
        str, typer.Option(help="Unique and stable name of this process; default: role-<pid>.")
    ] = "",
) -> None:
    """Run one role in the foreground until SIGTERM or Ctrl-C."""
    log_to_stderr()
    settings = RuntimeSettings()
    name = name or f"{role}-{os.getpid()}"
    if role is Role.OWNER:
        _owner(settings, name)
    elif role is Role.PROJECTOR:
        _projector(settings, name)
    else:
        from symphainy_gateway.serving import serve

        serve(settings)


def _owner(settings: RuntimeSettings, name: str) -> None:
    from prometheus_client import (
        CollectorRegistry,
        PlatformCollector,
        ProcessCollector,
        start_http_server,
    )

    from symphainy_processors.owner.kafka import KafkaShell
    from symphainy_processors.owner.loop import Owner
    from symphainy_processors.owner.metrics import OwnerMetrics
    from symphainy_processors.owner.options import OwnerOptions
    from symphainy_runtime.cluster import Cluster
    from symphainy_transport.clock import SystemClock

    Cluster(settings).require()
    with KafkaShell(settings, name, SystemClock()) as shell:
        owner = Owner(name, shell.ports, OwnerOptions.of(settings))
        if settings.owner_metrics_port:
            registry = CollectorRegistry()
            for collector in (ProcessCollector, PlatformCollector):
                collector(registry=registry)
            registry.register(OwnerMetrics(owner))
            start_http_server(settings.owner_metrics_port, settings.gateway_host, registry)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: owner.stop())
        owner.run(on_ready=lambda owned: _ready("owner", f"partitions {sorted(owned)}"))


def _projector(settings: RuntimeSettings, name: str) -> None:
    from symphainy_processors.projection.projector import Projector

    projector = Projector(settings, name)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: projector.stop())
    projector.run(on_ready=lambda: _ready("projector", ""))


def _ready(role: str, detail: str) -> None:
    """Supervisors wait for this line."""
    print(f"ready {role} {detail}".rstrip(), file=sys.stderr, flush=True)


def worker(
    target: Annotated[str, typer.Argument(help="module:realm, importable from this folder.")],
    concurrency: Annotated[int, typer.Option(help="Handlers at once.", min=1)] = 256,
    name: Annotated[str, typer.Option(help="Name of this worker; default: host and pid.")] = "",
) -> None:
    """Run a realm's handlers until SIGTERM or Ctrl-C; running ones are drained."""
    import uvloop

    from symphainy.worker import run_worker

    log_to_stderr()
    sys.path.insert(0, os.getcwd())
    uvloop.run(
        run_worker(
            target,
            kafka_settings(),
            concurrency=concurrency,
            worker_id=name,
            on_ready=lambda: _ready("worker", target),
        )
    )


def services(
    data_dir: Annotated[
        Path, typer.Option(help="Folder for data, logs and endpoints.json.")
    ] = Path(".symphainy"),
    heap_mb: Annotated[int, typer.Option(help="Kafka's heap, MB.", min=128)] = 512,
    full_jit: Annotated[
        bool, typer.Option(help="Kafka with the full JIT: starts slower, runs faster.")
    ] = False,
) -> None:
    """Run only Kafka and Valkey, in the foreground until SIGTERM or Ctrl-C."""
    from symphainy_runtime.local import KafkaOptions, LocalServices, ServicesOptions
    from symphainy_runtime.local.signals import graceful_signals

    running = LocalServices(
        data_dir,
        options=ServicesOptions(kafka=KafkaOptions(heap_mb=heap_mb, full_jit=full_jit)),
        progress=lambda text: err.print(text, highlight=False),
    )
    with graceful_signals(running.stop) as signals:
        endpoints = running.start()
        out.print(f"kafka  {endpoints.bootstrap_servers}", highlight=False)
        out.print(f"valkey {endpoints.redis_url}", highlight=False)
        signals.wait()
