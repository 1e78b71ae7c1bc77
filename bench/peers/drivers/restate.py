"""Restate: one node of restate-server with its defaults, and a Python service behind it."""

from pathlib import Path

import aiohttp

from bench.peers.drivers.http import HttpPeer, answers, package_versions, version_line
from bench.peers.peer import HOME, python, source_env
from bench.peers.ports import HOST, free_ports
from bench.peers.steps import Json

_APP = "bench.peers.apps.restate_app:app"


def server_binary() -> Path:
    """The binary of this platform's npm package (its wrapper would be one process more)."""
    packages = HOME / "npm/node_modules/@restatedev"
    return next(packages.glob("restate-server-*/bin/restate-server"))


class Restate(HttpPeer):
    """The service under hypercorn, the server that the SDK's documentation shows."""

    name = "restate"
    durability = "RocksDB log, WAL fsynced on each group commit (rocksdb-disable-wal-fsync=false)"

    def __init__(self, work: Path) -> None:
        super().__init__(work)
        self.ingress, self.admin, self.node, self.service = free_ports(4)
        self.base = f"http://{HOST}:{self.ingress}"
        self.registered = False

    @classmethod
    def versions(cls) -> dict[str, str]:
        """The server's and the SDK's."""
        return {
            "restate-server": version_line(server_binary()).split()[-1],
            **package_versions("restate-sdk", "hypercorn", "granian"),
        }

    def command(self, role: str) -> tuple[list[str], dict[str, str]]:
        """All defaults, except for ports and telemetry."""
        if role == "worker":
            return self.worker(), source_env()
        argv = [str(server_binary()), "--base-dir", str(self.work / "restate-data")]
        return [*argv, "--node-name", "n1"], {
            "RESTATE_DISABLE_TELEMETRY": "true",
            "RESTATE_BIND_IP": HOST,
            "RESTATE_BIND_PORT": str(self.node),
            "RESTATE_INGRESS__BIND_PORT": str(self.ingress),
            "RESTATE_ADMIN__BIND_PORT": str(self.admin),
        }

    def worker(self) -> list[str]:
        """The command line of the service."""
        bind = ("--bind", f"{HOST}:{self.service}")
        return python("-m", "hypercorn", *bind, "--log-level", "warning", _APP)

    async def ready(self, role: str) -> None:
        """The server answers; the service is registered, once."""
        if role == "server":
            await self.until(role, lambda: answers(f"http://{HOST}:{self.admin}/health"))
            await self.until(role, lambda: answers(f"{self.base}/restate/health"))
        elif not self.registered:
            await self.until(role, self._register)
            self.registered = True

    async def _register(self) -> None:
        deployments = f"http://{HOST}:{self.admin}/deployments"
        service = {"uri": f"http://{HOST}:{self.service}"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(deployments, json=service) as answer,
        ):
            if answer.status >= 300:
                raise RuntimeError(await answer.text())

    async def run(self, flow: str, run_id: str, body: Json) -> Json:
        """Request and response."""
        return await self.post(f"/Bench/{flow}", body)

    async def submit(self, flow: str, run_id: str, body: Json) -> None:
        """One-way call."""
        await self.post(f"/Bench/{flow}/send", body, {"idempotency-key": run_id})

    async def result(self, flow: str, run_id: str, body: Json) -> Json:
        """The same key attaches to the call that was sent."""
        return await self.post(f"/Bench/{flow}", body, {"idempotency-key": run_id})


class RestateGranian(Restate):
    """The service under granian, whose HTTP/2 is native."""

    name = "restate-granian"

    def worker(self) -> list[str]:
        """granian with its defaults, HTTP/2 only."""
        where = ("--host", HOST, "--port", str(self.service), "--http", "2")
        return python(
            "-m", "granian", "--interface", "asgi", *where, "--log-level", "warning", _APP
        )


class RestateTwoWorkers(Restate):
    """The documentation's production advice: no stream limits, one process per core."""

    name = "restate-2w"

    def worker(self) -> list[str]:
        """hypercorn with a configuration file."""
        config = self.work / "hypercorn.toml"
        config.write_text(
            f'bind = "{HOST}:{self.service}"\n'
            "workers = 2\n"
            "h2_max_concurrent_streams = 2147483647\n"
            "keep_alive_max_requests = 2147483647\n"
            "keep_alive_timeout = 2147483647\n"
        )
        return python("-m", "hypercorn", "--config", str(config), _APP)


class RestateIdempotent(Restate):
    """Each awaited call carries an idempotency key, as the other peers' run ids do."""

    name = "restate-idem"

    async def run(self, flow: str, run_id: str, body: Json) -> Json:
        """Request and response, at most once per run id."""
        return await self.post(f"/Bench/{flow}", body, {"idempotency-key": run_id})
