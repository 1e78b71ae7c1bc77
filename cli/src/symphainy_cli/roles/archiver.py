"""The archiver: keeps the journal's rows in Parquet, as they come."""

from __future__ import annotations

import signal

from symphainy_cli.process import say_ready
from symphainy_runtime.settings import RuntimeSettings
from symphainy_runtime.wal.archive.archiver import Archiver
from symphainy_runtime.wal.archive.files import Archive
from symphainy_transport.clock import SystemClock


def play(settings: RuntimeSettings, name: str) -> None:
    """Archive until a signal says to stop.

    Raises:
        SymphainyError: no Kafka is set or reached, or the archive does not answer.
    """
    settings.require_kafka()
    archive = Archive(settings.archive_location())
    archiver = Archiver(settings, archive, SystemClock(), name)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: archiver.stop())
    archiver.run(on_ready=lambda: say_ready("archiver", f"keeps in {archive.url}"))
