"""`symphainy services`: a real Kafka and a real Valkey on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from symphainy_cli.output import err, out
from symphainy_runtime.local import KafkaOptions, LocalServices, ServicesOptions, graceful_signals


def register(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command()(services)


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
