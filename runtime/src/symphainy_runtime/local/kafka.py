"""A real single-node Kafka (KRaft) as a supervised child. Its data is kept between runs.

Layout of its folder: ``data`` (Kafka's log directory, made by formatting, whole or not at all),
``server.properties`` and ``log4j2.properties`` (written anew at each start, with new ports).
"""

from __future__ import annotations

import base64
import fcntl
import logging
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from symphainy_runtime.local.deadline import Deadline
from symphainy_runtime.local.errors import ChildFailed, DataFolderBusy, DataFolderUnusable
from symphainy_runtime.local.jars import kafka_jars
from symphainy_runtime.local.java import Java, find_java
from symphainy_runtime.local.kafka_config import (
    LOG4J,
    NODE_ID,
    KafkaOptions,
    jvm_arguments,
    server_properties,
)
from symphainy_runtime.local.ports import HOST, free_ports, is_free
from symphainy_runtime.local.probes import kafka_answers
from symphainy_runtime.local.process import ChildSpec
from symphainy_runtime.local.supervisor import Supervisor

NAME = "kafka"
_PORT_TRIES = 3  # ports are chosen free; a second race in one start is already unlikely
_FORMAT_S = 60.0  # it takes one second
# A broker whose parent was killed is gone in milliseconds; one that still holds its folder after
# this has another parent, and waiting longer only delays saying so.
_OLD_BROKER_S = 5.0
_STOP_S = 8.0  # a controlled shutdown takes under one second; below the 10 s of ``stop_all``
_log = logging.getLogger(__name__)


class KafkaServer:
    """One local broker. ``start`` may be called again after ``stop``, on other ports."""

    def __init__(
        self,
        data_dir: Path,
        supervisor: Supervisor,
        *,
        log_path: Path | None = None,
        options: KafkaOptions | None = None,
        progress: Callable[[str], None] = _log.info,
    ) -> None:
        self._home = data_dir.absolute()
        self._data = self._home / "data"
        self._supervisor = supervisor
        self._log_path = log_path or self._home / "kafka.log"
        self._options = options or KafkaOptions()
        self._progress = progress
        self.bootstrap_servers = ""

    @property
    def pid(self) -> int | None:
        """The broker's process id while it runs."""
        return self._supervisor.pids.get(NAME)

    def start(self) -> str:
        """Start the broker, formatting its folder the first time; its bootstrap servers.

        Raises JavaMissing, JarsUnavailable, DataFolderBusy, DataFolderUnusable or ChildFailed.
        """
        java = find_java()
        jars = kafka_jars(self._progress)
        env = {**os.environ, "CLASSPATH": os.pathsep.join(map(str, jars))}
        self._home.mkdir(parents=True, exist_ok=True)
        self._await_folder()
        cluster_id = self._cluster_id() or self._format(java, env)
        for tries_left in reversed(range(_PORT_TRIES)):
            port, controller_port = free_ports(2)
            self.bootstrap_servers = f"{HOST}:{port}"
            self._write_settings(self._data, port, controller_port)
            try:
                self._supervisor.start(self._broker(java, env, cluster_id))
            except ChildFailed:
                if not tries_left or (is_free(port) and is_free(controller_port)):
                    raise
            else:
                break
        return self.bootstrap_servers

    def stop(self) -> None:
        """A controlled shutdown: SIGTERM, and wait."""
        self._supervisor.stop(NAME)

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        self._supervisor.kill(NAME)

    def restart(self) -> None:
        """Start again on the same ports, after ``kill`` or instead of ``stop``."""
        self._supervisor.restart(NAME)

    def _broker(self, java: Java, env: dict[str, str], cluster_id: str) -> ChildSpec:
        bootstrap_servers = self.bootstrap_servers
        return replace(
            self._java_child(java, env, NAME, "kafka.Kafka", ()),
            ready=lambda: kafka_answers(bootstrap_servers, cluster_id),
            ready_timeout_s=self._options.ready_timeout_s,
            stop_timeout_s=_STOP_S,
            cure=f"If its data is damaged, move {self._data} aside and start again without it.",
        )

    def _java_child(
        self, java: Java, env: dict[str, str], name: str, main: str, arguments: tuple[str, ...]
    ) -> ChildSpec:
        flags = jvm_arguments(self._options, self._home / "log4j2.properties")
        settings = str(self._home / "server.properties")
        return ChildSpec(
            name=name,
            argv=(str(java.path), *flags, main, *arguments, settings),
            env=env,
            log_path=self._log_path,
            cwd=self._home,
        )

    def _write_settings(self, log_dir: Path, port: int, controller_port: int) -> None:
        text = server_properties(log_dir, port, controller_port, self._options.overrides)
        (self._home / "server.properties").write_text(text, encoding="ascii")
        (self._home / "log4j2.properties").write_text(LOG4J, encoding="ascii")

    def _await_folder(self) -> None:
        """Wait until no broker holds the folder (Kafka locks ``data/.lock`` with fcntl)."""
        deadline = Deadline.after(_OLD_BROKER_S)
        while self._held():
            if deadline.passed:
                raise DataFolderBusy(
                    f"Another Kafka holds {self._data}. End it (pid in `lsof {self._data}/.lock`)"
                    " or choose another data folder."
                )
            time.sleep(0.05)

    def _held(self) -> bool:
        try:
            with (self._data / ".lock").open("r+b") as lock:
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except (BlockingIOError, PermissionError):
            return True
        return False

    def _cluster_id(self) -> str | None:
        """The folder's cluster, None if yet to be formatted; DataFolderUnusable if foreign."""
        if not self._data.exists():
            return None
        try:
            text = (self._data / "meta.properties").read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise self._unusable(f"its meta.properties cannot be read: {error.strerror}") from error
        meta = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        if not meta.get("cluster.id"):
            raise self._unusable("its meta.properties names no cluster")
        if meta.get("node.id") != str(NODE_ID):
            raise self._unusable(f"it belongs to node {meta.get('node.id')} of another cluster")
        return meta["cluster.id"]

    def _unusable(self, reason: str) -> DataFolderUnusable:
        return DataFolderUnusable(
            f"{self._data} is not a data folder of the local Kafka: {reason}."
            " Move it aside or choose another data folder."
        )

    def _format(self, java: Java, env: dict[str, str]) -> str:
        """Format beside and rename, so that a half-formatted folder never bears the name.

        The new cluster's id, which the folder keeps for good.
        """
        self._progress("formatting Kafka's data folder")
        unborn = self._data.with_name("data.new")
        shutil.rmtree(unborn, ignore_errors=True)
        self._write_settings(unborn, 1, 2)  # formatting opens no port
        cluster_id = _new_cluster_id()
        spec = self._java_child(
            java,
            env,
            f"{NAME}-format",
            "kafka.tools.StorageTool",
            ("format", "--cluster-id", cluster_id, "--config"),
        )
        self._supervisor.run(replace(spec, ready_timeout_s=_FORMAT_S))
        unborn.rename(self._data)
        return cluster_id


def _new_cluster_id() -> str:
    """A random id in Kafka's form: 16 bytes in base64url, which may not look like an option."""
    while True:
        text = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")
        if not text.startswith("-"):
            return text
