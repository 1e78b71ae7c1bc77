"""Temporal: the development server in one process with a database file, and an SDK worker."""

# mypy: disable-error-code="import-not-found"
# Temporal's SDK is in the peers' own environment, which the project's type check does not see.

import re
from pathlib import Path
from typing import Any, ClassVar

from temporalio.client import Client
from temporalio.exceptions import WorkflowAlreadyStartedError

from bench.peers.drivers.http import package_versions, version_line
from bench.peers.peer import HOME, Peer, python, source_env
from bench.peers.ports import HOST, free_ports
from bench.peers.steps import Json

_SERVER = HOME / "bin/temporal"
_QUEUE = "bench"


class Temporal(Peer):
    """`temporal server start-dev --db-filename`; the SDK's default worker."""

    name = "temporal"
    durability = "SQLite file, SQLite's defaults (rollback journal, FULL): fsync each commit"
    note = (
        "start-dev has one history shard, which by default loads tasks at most 20 times a second "
        "(history.transferProcessorMaxPollRPS): at low load its latency is that limit, not the "
        "engine's cost (its throughput is not); compare temporal-unthrottled"
    )
    settings: ClassVar[tuple[str, ...]] = ()

    def __init__(self, work: Path) -> None:
        super().__init__(work)
        self.port, self.ui_port, self.http_port, self.metrics_port = free_ports(4)
        self.target = f"{HOST}:{self.port}"
        self.client: Any = None

    @classmethod
    def versions(cls) -> dict[str, str]:
        """The server's and the SDK's."""
        server = re.search(r"Server ([\d.]+)", version_line(_SERVER))
        known = {"temporal-server": server.group(1)} if server else {}
        return {**known, **package_versions("temporalio")}

    def command(self, role: str) -> tuple[list[str], dict[str, str]]:
        """All defaults, except for ports and the file."""
        if role == "worker":
            env = {"BENCH_TARGET": self.target, "BENCH_QUEUE": _QUEUE}
            return python("-m", "bench.peers.apps.temporal_app"), {**source_env(), **env}
        ports = {
            "--port": self.port,
            "--ui-port": self.ui_port,
            "--http-port": self.http_port,
            "--metrics-port": self.metrics_port,
        }
        argv = [str(_SERVER), "server", "start-dev"]
        argv += ["--db-filename", str(self.work / "temporal.db"), *self.settings]
        return [*argv, *(str(part) for item in ports.items() for part in item)], {}

    async def ready(self, role: str) -> None:
        """The server lists workflows; a worker is ready when it is."""
        if role == "server":
            await self.until(role, self._server_answers)

    async def _server_answers(self) -> None:
        client = await Client.connect(self.target)
        async for _ in client.list_workflows("WorkflowId='none'"):
            pass

    async def connect(self) -> None:
        """One client, as the SDK advises."""
        self.client = await Client.connect(self.target)

    async def run(self, flow: str, run_id: str, body: Json) -> Json:
        """A workflow whose id is the run id."""
        answer: Json = await self.client.execute_workflow(flow, body, id=run_id, task_queue=_QUEUE)
        return answer

    async def submit(self, flow: str, run_id: str, body: Json) -> None:
        """Start it; a repeat finds it started."""
        try:
            await self.client.start_workflow(flow, body, id=run_id, task_queue=_QUEUE)
        except WorkflowAlreadyStartedError:
            return

    async def result(self, flow: str, run_id: str, body: Json) -> Json:
        """Read through the workflow's handle."""
        answer: Json = await self.client.get_workflow_handle(run_id).result()
        return answer


class TemporalWal(Temporal):
    """With the pragmas that make SQLite fast, and an acknowledged run lost with the machine."""

    name = "temporal-wal"
    durability = "SQLite file, WAL, synchronous=NORMAL: no fsync on commit"
    settings: ClassVar[tuple[str, ...]] = (
        *("--sqlite-pragma", "journal_mode=wal"),
        *("--sqlite-pragma", "synchronous=normal"),
    )


class TemporalUnthrottled(Temporal):
    """Without the limit that a cluster of hundreds of shards does not feel.

    Found here: a run of one step needs three task loads in sequence, so at 20 a second it takes
    150 ms with any database, also with none on disk, however idle the machine.
    """

    name = "temporal-unthrottled"
    note = "start-dev with history.{transfer,timer}ProcessorMaxPollRPS=1000"
    settings: ClassVar[tuple[str, ...]] = (
        *("--dynamic-config-value", "history.transferProcessorMaxPollRPS=1000"),
        *("--dynamic-config-value", "history.timerProcessorMaxPollRPS=1000"),
    )
