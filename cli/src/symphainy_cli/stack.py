"""The whole system as supervised children: services, then roles; used by `dev` and `demo`."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from secrets import token_hex

import httpx

from symphainy_cli.connection import INTENT_SECRET, KEYS, DevFile, dev_file, write_dev_file
from symphainy_cli.keys import create_key
from symphainy_runtime.api_keys import authenticate
from symphainy_runtime.cluster import Cluster
from symphainy_runtime.configuration import read_configuration
from symphainy_runtime.local import ChildSpec, Death, LocalServices, ServicesOptions, Supervisor
from symphainy_runtime.local.ports import free_ports, is_free
from symphainy_runtime.policy.defaults import TENANT_ADMIN
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import OperatorError
from symphainy_schemas.records import ApiKey
from symphainy_transport.clock import SystemClock

TENANT = "dev"
PRINCIPAL = "developer"
SERVICES = frozenset({"kafka", "valkey"})
MAX_RESTARTS = 5  # of one role: beyond it the fault is not a passing one
Say = Callable[[str], None]


class DevStack:
    """Starts everything for one data folder, restarts roles that die, stops everything."""

    def __init__(self, settings: RuntimeSettings, realms: Sequence[str], say: Say) -> None:
        self._folder = settings.data_dir.absolute()
        self._say = say
        self._realms = tuple(realms)
        self._restarts: dict[str, int] = {}
        self._stopping = threading.Event()
        self.broken = threading.Event()
        self._supervisor = Supervisor(on_death=self._died)
        options = ServicesOptions(
            bootstrap_servers=settings.kafka_bootstrap_servers or None,
            redis_url=settings.redis_url or None,
        )
        self._services = LocalServices(
            self._folder, options=options, supervisor=self._supervisor, progress=say
        )
        self.settings = settings
        self._secret: Path | None = None

    def start(self) -> DevFile:
        """Start services and roles; where everything is.

        Raises:
            OperatorError: another stack runs in this folder.
            LocalError: a child did not start; with the end of its log.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._say("starting Kafka and Valkey")
        endpoints = self._services.start()
        if endpoints.attached:
            self._refuse_second()
        self.settings = RuntimeSettings(
            kafka_bootstrap_servers=endpoints.bootstrap_servers,
            redis_url=endpoints.redis_url,
            data_dir=self._folder,
            gateway_port=self._gateway_port(),
            key_folder=self.settings.key_folder or self._folder / KEYS,
        )
        self._secret = _intent_secret(self._folder, self.settings)
        Cluster(self.settings).create()
        key = self._key()
        self._say("starting owner, projector, gateway")
        self._role("owner", "up", "owner", "--name", "dev-owner")
        self._role("projector", "up", "projector", "--name", "dev-projector")
        self._role("gateway", "up", "gateway")
        for realm in self._realms:
            self._say(f"starting worker {realm}")
            name = f"worker-{realm.replace(':', '-')}"
            self._role(name, "worker", realm, "--name", f"dev-{name}")
        content = DevFile(
            pid=os.getpid(),
            url=self._url,
            key=key,
            tenant=TENANT,
            bootstrap_servers=endpoints.bootstrap_servers,
            redis_url=endpoints.redis_url,
            gateway_port=self.settings.gateway_port,
        )
        write_dev_file(self._folder, content)
        return content

    def stop(self) -> None:
        """Stop every child within 10 s; a second call does nothing."""
        self._stopping.set()
        self._supervisor.stop_all(deadline_s=10.0)
        self._services.stop()

    @property
    def pids(self) -> dict[str, int]:
        """The children that run, by name."""
        return self._supervisor.pids

    @property
    def _url(self) -> str:
        return f"http://{self.settings.gateway_host}:{self.settings.gateway_port}"

    def _gateway_port(self) -> int:
        """The port that was asked for, or a free one if that is taken."""
        wanted = self.settings.gateway_port
        if wanted and is_free(wanted):
            return wanted
        (port,) = free_ports(1)
        self._say(f"port {wanted} is taken; the gateway listens on {port}")
        return port

    def _refuse_second(self) -> None:
        running = dev_file(self._folder)
        if running is not None and running.alive:
            raise OperatorError(
                f"`symphainy dev` already runs in this folder (pid {running.pid}).",
                code="already_running",
                cure=f"Use it: {running.url}; or set SYMPHAINY_DATA_DIR to another folder.",
            )

    def _key(self) -> str:
        """The development key of the last run if it is still valid, else a new one."""
        before = dev_file(self._folder)
        if before is not None:
            keys = read_configuration(self.settings, "symphainy-dev").keys
            valid = isinstance(authenticate(keys, before.key, SystemClock().now_ms()), ApiKey)
            if valid:
                return before.key
        return create_key(self.settings, TENANT, PRINCIPAL, (TENANT_ADMIN,))

    def _role(self, name: str, *arguments: str) -> None:
        log = self._folder / "logs" / f"{name}.log"
        log.unlink(missing_ok=True)
        ready = self._answers if name == "gateway" else lambda: _says_ready(log)
        self._supervisor.start(
            ChildSpec(
                name=name,
                argv=[sys.executable, "-m", "symphainy_cli", *arguments],
                env={**os.environ, **self._environment()},
                log_path=log,
                ready=ready,
                ready_timeout_s=60.0,
                cure=f"See {log.name} in the folder logs of the data folder.",
            )
        )

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self._url}/readyz", timeout=2.0).status_code == 200
        except httpx.TransportError:
            return False

    def _environment(self) -> dict[str, str]:
        secret = {"SYMPHAINY_INTENT_SECRET_FILE": str(self._secret)} if self._secret else {}
        return {
            **secret,
            "SYMPHAINY_KEY_FOLDER": str(self.settings.key_folder),
            "SYMPHAINY_KAFKA_BOOTSTRAP_SERVERS": self.settings.kafka_bootstrap_servers,
            "SYMPHAINY_REDIS_URL": self.settings.redis_url,
            "SYMPHAINY_DATA_DIR": str(self._folder),
            "SYMPHAINY_GATEWAY_PORT": str(self.settings.gateway_port),
        }

    def _died(self, death: Death) -> None:
        """Report a child's death; start a role again, end with a service."""
        if self._stopping.is_set():
            return
        self._say(f"{death}\n{death.tail}")
        count = self._restarts[death.name] = self._restarts.get(death.name, 0) + 1
        if death.name in SERVICES or count > MAX_RESTARTS:
            self.broken.set()
            return
        threading.Thread(target=self._start_again, args=(death.name,), daemon=True).start()

    def _start_again(self, name: str) -> None:
        self._say(f"starting {name} again")
        try:
            self._supervisor.restart(name)
        except Exception as error:
            self._say(f"{name} did not start again: {error}")
            self.broken.set()


def _intent_secret(folder: Path, settings: RuntimeSettings) -> Path | None:
    """The file with the secret that seals intents, made for its user alone if it is not there; None
    where the settings have a secret anyway."""
    if settings.intent_secrets():
        return None
    file = folder / INTENT_SECRET
    if not file.exists():
        scratch = folder / f"{INTENT_SECRET}.new"
        scratch.unlink(missing_ok=True)
        scratch.touch(mode=0o600, exist_ok=False)
        scratch.write_text(token_hex(32) + "\n")
        scratch.replace(file)
    return file


def _says_ready(log: Path) -> bool:
    try:
        return "\nready " in "\n" + log.read_text(errors="replace")
    except FileNotFoundError:
        return False
