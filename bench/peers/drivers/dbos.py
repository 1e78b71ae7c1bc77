"""DBOS: a library in a FastAPI application, as in its quickstart. It has no server of its own."""

# mypy: disable-error-code="import-not-found"
# psycopg is in the peers' own environment, which the project's type check does not see.

import asyncio
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from bench.peers.drivers.http import HttpPeer, answers, package_versions
from bench.peers.peer import python, source_env
from bench.peers.ports import HOST, free_ports
from bench.peers.steps import Json

_LIBRARY = "the engine is a library in the worker: it is killed as the worker"


class DbosSqlite(HttpPeer):
    """The default database."""

    name = "dbos"
    durability = "SQLite, rollback journal, synchronous=FULL (library defaults): fsync each commit"
    roles: ClassVar[tuple[str, ...]] = ("worker",)
    parts: ClassVar[Mapping[str, str]] = {"worker": "worker"}
    whole: ClassVar[Mapping[str, str]] = {
        "engine": _LIBRARY,
        "store": "SQLite is a library in the worker",
    }

    def __init__(self, work: Path) -> None:
        super().__init__(work)
        self.port, self.database_port = free_ports(2)
        self.base = f"http://{HOST}:{self.port}"
        self.database_url = ""

    @classmethod
    def versions(cls) -> dict[str, str]:
        """The library's and its HTTP server's."""
        return package_versions("dbos", "fastapi", "uvicorn")

    def command(self, role: str) -> tuple[list[str], dict[str, str]]:
        """The application under uvicorn."""
        env = {"BENCH_PORT": str(self.port), "BENCH_DB": self.database_url}
        return python("-m", "bench.peers.apps.dbos_app"), {**source_env(), **env}

    async def ready(self, role: str) -> None:
        """The application answers."""
        await self.until(role, lambda: answers(self.base + "/health"))

    async def run(self, flow: str, run_id: str, body: Json) -> Json:
        """A workflow whose id is the run id, awaited by the handler."""
        return await self.post(f"/{flow}", body)

    async def submit(self, flow: str, run_id: str, body: Json) -> None:
        """A workflow in the background."""
        await self.post(f"/{flow}/send", body)

    async def result(self, flow: str, run_id: str, body: Json) -> Json:
        """Read through the workflow's handle."""
        return await self.post(f"/{flow}/result", body)


class DbosPostgres(DbosSqlite):
    """With the database that its documentation recommends for production."""

    name = "dbos-pg"
    durability = "PostgreSQL defaults (fsync=on, synchronous_commit=on): fsync on each group commit"
    roles = ("server", "worker")
    parts: ClassVar[Mapping[str, str]] = {"worker": "worker", "store": "server"}
    whole: ClassVar[Mapping[str, str]] = {"engine": _LIBRARY}

    def __init__(self, work: Path) -> None:
        super().__init__(work)
        self.database_url = f"postgresql://postgres@{HOST}:{self.database_port}/bench"

    @classmethod
    def versions(cls) -> dict[str, str]:
        """With PostgreSQL's."""
        done = subprocess.run([_postgres("postgres"), "--version"], capture_output=True, text=True)
        return {**super().versions(), "postgresql": done.stdout.split()[2], "psycopg": _psycopg()}

    def command(self, role: str) -> tuple[list[str], dict[str, str]]:
        """PostgreSQL refuses to run as root, so then it runs as its own user."""
        if role == "worker":
            return super().command(role)
        data = self.work / "pg"
        as_user = _as_postgres()
        if not data.exists():
            data.mkdir()
            if as_user:
                shutil.chown(data, "postgres", "postgres")
            initdb = [*as_user, _postgres("initdb"), "-D", str(data), "-A", "trust"]
            subprocess.run(
                [*initdb, "-U", "postgres"], check=True, stdout=subprocess.DEVNULL, cwd="/"
            )
        listen = ("-h", HOST, "-p", str(self.database_port), "-k", str(data))
        return [*as_user, _postgres("postgres"), "-D", str(data), *listen], {}

    async def ready(self, role: str) -> None:
        """The database answers, then the application does."""
        if role == "server":
            await self.until(role, self._database_answers)
        else:
            await super().ready(role)

    async def _database_answers(self) -> None:
        import psycopg  # only this variant needs it

        url = f"postgresql://postgres@{HOST}:{self.database_port}/postgres"
        await asyncio.to_thread(lambda: psycopg.connect(url).close())


def _postgres(program: str) -> str:
    """Debian keeps each version's programs out of the search path."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    found = str(debian[-1]) if debian else shutil.which(program)
    if not found:
        raise FileNotFoundError(f"PostgreSQL's {program} is not installed")
    return found


def _as_postgres() -> list[str]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


def _psycopg() -> str:
    return package_versions("psycopg")["psycopg"]
