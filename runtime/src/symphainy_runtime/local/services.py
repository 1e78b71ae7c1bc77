"""Kafka and Valkey for one data folder: start them, attach to them, or use configured ones.

Brokers are sought in this order: configured, else local Kafka, else a container. Of several
processes that start the same folder one owns the services; the others attach and stop nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from symphainy_runtime.local.containers import start_kafka_container
from symphainy_runtime.local.deadline import Deadline
from symphainy_runtime.local.errors import DataFolderBusy, JarsUnavailable, JavaMissing
from symphainy_runtime.local.kafka import KafkaServer
from symphainy_runtime.local.kafka_config import KafkaOptions
from symphainy_runtime.local.lock import Endpoints, FolderLock
from symphainy_runtime.local.probes import kafka_answers, valkey_answers
from symphainy_runtime.local.supervisor import Supervisor
from symphainy_runtime.local.valkey import ValkeyServer

_POLL_S = 0.05
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServicesOptions:
    """What is configured rather than started, and how the rest starts.

    ``bootstrap_servers`` and ``redis_url``, if given, are used as they are: nothing local is
    started in their place. ``attach_timeout_s`` bounds the wait for another process that is just
    starting the same folder: twice a first start, which fetches Kafka.
    """

    bootstrap_servers: str | None = None
    redis_url: str | None = None
    kafka: KafkaOptions | None = None
    attach_timeout_s: float = 60.0


class LocalServices:
    """The services of one data folder; also a context manager that yields their endpoints."""

    def __init__(
        self,
        data_dir: Path,
        *,
        kafka: bool = True,
        valkey: bool = True,
        options: ServicesOptions | None = None,
        supervisor: Supervisor | None = None,
        progress: Callable[[str], None] = _log.info,
    ) -> None:
        """``supervisor`` may be shared with other children; ``stop`` ends only the services."""
        self._folder = data_dir.absolute()
        self._options = options or ServicesOptions()
        self._progress = progress
        self._lock = FolderLock(self._folder)
        self._undo = ExitStack()
        self.supervisor = supervisor or Supervisor()
        logs = self._folder / "logs"
        self.kafka: KafkaServer | None = None
        self.valkey: ValkeyServer | None = None
        if kafka and self._options.bootstrap_servers is None:
            self.kafka = KafkaServer(
                self._folder / "kafka",
                self.supervisor,
                log_path=logs / "kafka.log",
                options=self._options.kafka,
                progress=progress,
            )
        if valkey and self._options.redis_url is None:
            self.valkey = ValkeyServer(
                self._folder / "valkey", self.supervisor, log_path=logs / "valkey.log"
            )

    def start(self) -> Endpoints:
        """Start or attach; where the services answer.

        Raises a LocalError, whose message tells an operator what to do.
        """
        if self.kafka is None and self.valkey is None:
            return self._configured(Endpoints("", ""))
        deadline = Deadline.after(self._options.attach_timeout_s)
        self._undo.callback(self._lock.release)
        while not self._lock.acquire():
            running = self._lock.published()
            if running is not None and self._lacks(running):
                raise self._busy("does not run all that is wanted here")
            if running is not None and self._healthy(running):
                return self._configured(running)
            if deadline.passed:
                state = "has not started its services" if running is None else "does not answer"
                raise self._busy(f"{state} after {self._options.attach_timeout_s:g} s")
            time.sleep(_POLL_S)
        try:
            return self._start_own()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop what this object started, in reverse order. Nothing if it attached."""
        self._undo.close()

    def __enter__(self) -> Endpoints:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _start_own(self) -> Endpoints:
        redis_url = bootstrap_servers = ""
        if self.valkey is not None:
            self._undo.callback(self.valkey.stop)
            redis_url = self.valkey.start()
        if self.kafka is not None:
            bootstrap_servers = self._start_broker(self.kafka)
        own = Endpoints(bootstrap_servers, redis_url)
        self._lock.publish(own)
        return self._configured(own)

    def _start_broker(self, kafka: KafkaServer) -> str:
        self._undo.callback(kafka.stop)
        try:
            return kafka.start()
        except (JavaMissing, JarsUnavailable) as missing:
            container = start_kafka_container(missing)
        self._undo.callback(container.stop)
        self._progress("Kafka runs in a container; its data is not kept")
        return container.bootstrap_servers

    def _configured(self, endpoints: Endpoints) -> Endpoints:
        """The endpoints, with the configured ones in place of local ones."""
        return replace(
            endpoints,
            bootstrap_servers=self._options.bootstrap_servers or endpoints.bootstrap_servers,
            redis_url=self._options.redis_url or endpoints.redis_url,
        )

    def _lacks(self, running: Endpoints) -> bool:
        """Whether the other process, which has started all it will, misses a service."""
        return bool(
            (self.kafka is not None and not running.bootstrap_servers)
            or (self.valkey is not None and not running.redis_url)
        )

    def _healthy(self, running: Endpoints) -> bool:
        """Whether the other process's services answer, as far as they are wanted here."""
        return (self.valkey is None or valkey_answers(running.redis_url)) and (
            self.kafka is None or kafka_answers(running.bootstrap_servers)
        )

    def _busy(self, state: str) -> DataFolderBusy:
        holder = self._lock.holder()
        return DataFolderBusy(
            f"Process {holder or '(unknown)'} holds {self._folder} and {state}."
            " End it, or choose another data folder."
        )
