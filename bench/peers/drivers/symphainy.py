"""Symphainy itself: this checkout's command, one process a role, so that CPU has a name."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar
from zlib import crc32

from bench.peers.drivers.http import HttpPeer, answers, output_of
from bench.peers.peer import REPO, source_env
from bench.peers.ports import HOST, free_ports
from bench.peers.steps import Json, payload

_COMMAND = os.environ.get("SYMPHAINY_BIN") or str(REPO / ".venv/bin/symphainy")
_TENANT = "bench"
# A session lives on one partition; this many use all of the default 8 evenly enough.
_SESSIONS = 64
_ROLES = {
    # A stable name, as operators are told to give: a restart has its partitions back at once.
    "owner": ("up", "owner", "--name", "owner-0"),
    "projector": ("up", "projector"),
    "gateway": ("up", "gateway"),
    "worker": ("worker", "bench.peers.apps.symphainy_app:realm", "--name", "worker-1"),
}


class Symphainy(HttpPeer):
    """All defaults, 8 partitions; Kafka on one node, with the full JIT."""

    name = "symphainy"
    durability = (
        "Kafka's default: acknowledged when in the page cache of the one broker; "
        "fsync is left to replication, so compare symphainy-fsync with peers that fsync"
    )
    roles: ClassVar[tuple[str, ...]] = ("services", *_ROLES)
    parts: ClassVar[Mapping[str, str]] = {
        "engine": "owner",
        "worker": "worker",
        "store": "services",
        "projector": "projector",
        "gateway": "gateway",
    }
    whole: ClassVar[Mapping[str, str]] = {}
    topic_settings: tuple[str, ...] = ()
    #: Whether awaited runs carry an id of their own, and so can be repeated.
    idempotent: ClassVar[bool] = False
    #: Flow -> intent type, where it is not `bench.<flow>`.
    intents: ClassVar[Mapping[str, str]] = {}

    def __init__(self, work: Path) -> None:
        super().__init__(work)
        (self.port,) = free_ports(1)
        self.base = f"http://{HOST}:{self.port}"
        self.data = work / "data"
        self.endpoints: dict[str, str] = {}
        self.key = ""
        self.sessions: list[str] = []

    @classmethod
    def versions(cls) -> dict[str, str]:
        """The commit of the checkout."""
        git = shutil.which("git")
        if git is None:
            return {"symphainy": "unknown"}
        describe = [git, "-C", str(REPO), "describe", "--always", "--dirty", "--tags"]
        done = subprocess.run(describe, capture_output=True, text=True)
        return {"symphainy": done.stdout.strip() or "unknown"}

    def command(self, role: str) -> tuple[list[str], dict[str, str]]:
        """Each role finds the others by its environment."""
        if role == "services":
            self._endpoints_file().unlink(missing_ok=True)
            options = ("--full-jit", "--heap-mb", "1024")  # a broker that runs for long
            return [_COMMAND, "services", "--data-dir", str(self.data), *options], {}
        return [_COMMAND, *_ROLES[role]], self._env()

    async def ready(self, role: str) -> None:
        """Services answer and have topics and a key; owner and projector say that they are ready.

        The gateway answers; the worker is ready when `connect` has its first result.
        """
        if role == "services":
            self.endpoints = await self.until(role, self._read_endpoints)
            await self._set_up()
        elif role in ("owner", "projector"):
            await self.until(role, lambda: self._said_ready(role))
        elif role == "gateway":
            await self.until(role, lambda: answers(self.base + "/readyz"))

    async def connect(self) -> None:
        """Open the sessions, then wait until the worker has declared the realm's intents."""
        await super().connect()
        self.sessions = [await self.until("gateway", self._open_session) for _ in range(_SESSIONS)]
        tries = iter(range(10**6))  # a refused intent id stays refused

        async def answered() -> Json:
            run_id = f"ready-{next(tries)}"
            return await self.run("one", run_id, payload(run_id))

        await self.until("worker", answered)

    async def restart(self, role: str) -> None:
        """As for every peer, but of the services Kafka alone, which is what everything is kept in.

        It must come back where the others look for it, and `symphainy services`, started again,
        would choose other ports.
        """
        if role == "services":
            self.processes.restart_child(role, "java")
        else:
            await super().restart(role)

    async def run(self, flow: str, run_id: str, body: Json) -> Json:
        """An intent, awaited by the gateway."""
        named = {"intent_id": run_id} if self.idempotent else {}
        return self.answer_of(await self._send("/v1/intents?wait=60s", flow, run_id, body, named))

    @staticmethod
    def answer_of(document: Json) -> Json:
        """The flow's answer, out of the document of an execution that has ended."""
        if document.get("status") == "compensated":
            return _undone(document)
        if document.get("status") != "succeeded":
            raise RuntimeError(f"not succeeded: {json.dumps(document)[:300]}")
        result: Json = document["result"]
        return result

    async def submit(self, flow: str, run_id: str, body: Json) -> None:
        """An intent; a repeat names the same execution, as it goes to the same session."""
        await self._send("/v1/intents", flow, run_id, body, {"intent_id": run_id})

    async def result(self, flow: str, run_id: str, body: Json) -> Json:
        """The same intent again: its execution's end is the answer."""
        named = {"intent_id": run_id}
        return self.answer_of(await self._send("/v1/intents?wait=60s", flow, run_id, body, named))

    async def _send(self, path: str, flow: str, run_id: str, body: Json, named: Json) -> Json:
        intent = {
            **named,
            "intent_type": self.intents.get(flow, f"bench.{flow}"),
            "session_id": self.sessions[crc32(run_id.encode()) % len(self.sessions)],
            "payload": body,
        }
        return await self.post(path, intent, self._credential())

    async def _open_session(self) -> str:
        document = await self.post("/v1/sessions", {}, self._credential())
        return str(document["session_id"])

    async def _set_up(self) -> None:
        """Topics and a key, by the commands that an operator would type."""
        if self.key:
            return
        settings = [part for setting in self.topic_settings for part in ("--set", setting)]
        await self._command("topics", "create", "--realm", "bench", *settings)
        created = await self._command("key", "create", "--tenant", _TENANT, "--json")
        self.key = str(json.loads(created)["key"])

    async def _command(self, *arguments: str) -> str:
        return await output_of([_COMMAND, *arguments], {**os.environ, **self._env()})

    async def _said_ready(self, role: str) -> None:
        if f"ready {role}" not in (self.work / f"{role}.log").read_text(errors="replace"):
            raise RuntimeError(f"{role} is not ready")

    async def _read_endpoints(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self._endpoints_file().read_text())
        return {name: found[name] for name in ("bootstrap_servers", "redis_url")}

    def _endpoints_file(self) -> Path:
        return self.data / "endpoints.json"

    def _credential(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def _env(self) -> dict[str, str]:
        return {
            **source_env(),
            "SYMPHAINY_KAFKA_BOOTSTRAP_SERVERS": self.endpoints["bootstrap_servers"],
            "SYMPHAINY_REDIS_URL": self.endpoints["redis_url"],
            "SYMPHAINY_DATA_DIR": str(self.data),
            "SYMPHAINY_GATEWAY_PORT": str(self.port),
        }


def _undone(document: Json) -> Json:
    """What the peers' own code returns of a saga that was undone, from what the engine tells."""
    undone = [step for step in document["steps"] if step["step"].startswith("compensate:")]
    done = [step for step in undone if step["status"] == "succeeded"]
    return {"ok": document["success"], "compensated": len(done)}


class SymphainyFsync(Symphainy):
    """Fsync before an intent or a decision is acknowledged, as the peers' databases do."""

    name = "symphainy-fsync"
    durability = (
        "flush.messages=1 on all our topics: Kafka fsyncs each append before it acknowledges; "
        "not on Kafka's own topics"
    )
    topic_settings = ("flush.messages=1",)


class SymphainyStep(Symphainy):
    """Everything inside one handler, as the peers' code is: W1 with a `ctx.step` in the handler,
    which by itself is already a recorded step, and W3 undone by the handler's own `except`."""

    name = "symphainy-step"
    intents: ClassVar[Mapping[str, str]] = {"one": "bench.one_inside", "comp": "bench.comp_inside"}


class SymphainyIdempotent(Symphainy):
    """Each awaited intent carries an id of the client's, as the other peers' run ids do."""

    name = "symphainy-idem"
    idempotent = True
