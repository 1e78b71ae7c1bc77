"""Where the system is: flags, then the environment, then what `symphainy dev` left behind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import OperatorError

DEV_FILE = "dev.json"
KEYS = "keys"
"""The folder of the keys that wrap tenants' data keys; readable by its user only."""
INTENT_SECRET = "intent.secret"
"""With what a `symphainy dev` seals intents; readable by its user only."""
Url = Annotated[str, typer.Option("--url", envvar="SYMPHAINY_URL", help="The gateway's base URL.")]
Key = Annotated[
    str, typer.Option("--key", envvar="SYMPHAINY_API_KEY", help="API key.", show_default=False)
]


class DevFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a running `symphainy dev` tells the other verbs. Readable by its user only."""

    pid: int
    url: str
    key: str
    tenant: str
    bootstrap_servers: str
    redis_url: str
    gateway_port: int

    @property
    def alive(self) -> bool:
        """Whether the process that wrote it still runs."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


def dev_file(folder: Path) -> DevFile | None:
    """What `symphainy dev` left in `folder`, running or not."""
    try:
        return msgspec.json.decode((folder / DEV_FILE).read_bytes(), type=DevFile)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def write_dev_file(folder: Path, content: DevFile) -> None:
    """Leave word for the other verbs, atomically."""
    scratch = folder / f"{DEV_FILE}.new"
    scratch.touch(mode=0o600)
    scratch.write_bytes(msgspec.json.format(msgspec.json.encode(content)))
    scratch.replace(folder / DEV_FILE)


def kafka_settings() -> RuntimeSettings:
    """Settings to reach Kafka and Redis, from `symphainy dev`'s folder where none are set."""
    settings = RuntimeSettings.load()
    running = dev_file(settings.data_dir)
    if settings.kafka_bootstrap_servers or running is None or not running.alive:
        return settings
    found: dict[str, Any] = {
        "kafka_bootstrap_servers": running.bootstrap_servers,
        "redis_url": settings.redis_url or running.redis_url,
    }
    if settings.key_folder is None:
        found["key_folder"] = settings.data_dir / KEYS
    secret = settings.data_dir / INTENT_SECRET
    if secret.exists() and not settings.intent_secrets():
        found["intent_secret_file"] = secret
    return RuntimeSettings(**found)


def gateway(url: str, key: str) -> tuple[str, str]:
    """The gateway's URL and a key.

    Raises:
        OperatorError: none is set, and no `symphainy dev` runs here.
    """
    running = dev_file(RuntimeSettings.load().data_dir)
    if running is not None and running.alive:
        url, key = url or running.url, key or running.key
    if not url or not key:
        raise OperatorError(
            "No gateway is configured.",
            code="gateway_not_configured",
            cure="Run `symphainy dev` here, or set SYMPHAINY_URL and SYMPHAINY_API_KEY.",
        )
    return url, key
