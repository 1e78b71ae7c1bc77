"""`symphainy doctor`: what is set, from where, and what it reached."""

from __future__ import annotations

import asyncio
import os
import tomllib
from collections.abc import Callable

import typer
from redis import Redis
from redis.exceptions import RedisError

from symphainy_cli.connection import dev_file, kafka_settings
from symphainy_cli.output import Json, show_json, show_table
from symphainy_cli.showing import shown
from symphainy_cli.topics import as_json, show_findings
from symphainy_gateway.oidc.fetching import NotFetched, fetch_keys
from symphainy_runtime.cluster import Cluster, Finding
from symphainy_runtime.local.java import find_java
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import MisconfiguredCluster, SymphainyError, Unavailable
from symphainy_transport.artifacts import ArtifactStore
from symphainy_transport.settings import config_file


def register(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command()(doctor)


def doctor(json: Json = False) -> None:
    """Print every setting with its source, then try everything. Exits 1 if something is wrong."""
    settings = kafka_settings()
    told = [(name, shown(getattr(settings, name)), _source(name)) for name in _fields()]
    findings: list[Finding] = []
    checks = [_check(name, probe) for name, probe in _probes(settings, findings).items()]
    if json:
        show_json(
            {
                "settings": [
                    dict(zip(("name", "value", "source"), row, strict=True)) for row in told
                ],
                "checks": [dict(zip(("name", "ok", "detail"), row, strict=True)) for row in checks],
                "findings": as_json(findings),
            }
        )
    else:
        show_table(("setting", "value", "source"), told)
        show_table(
            ("check", "", "detail"),
            [(name, "ok" if ok else "FAILED", detail) for name, ok, detail in checks],
        )
        if findings:
            show_findings(findings)
    if not all(ok for _, ok, _ in checks):
        raise typer.Exit(1)


def _fields() -> list[str]:
    return list(RuntimeSettings.model_fields)


def _source(name: str) -> str:
    if f"SYMPHAINY_{name.upper()}" in os.environ:
        return f"environment SYMPHAINY_{name.upper()}"
    path = config_file()
    if path.exists() and name in tomllib.loads(path.read_text()):
        return str(path)
    running = dev_file(RuntimeSettings.load().data_dir)
    if name in ("kafka_bootstrap_servers", "redis_url") and running is not None and running.alive:
        return "symphainy dev"
    return "default"


def _check(name: str, probe: Callable[[], str]) -> tuple[str, bool, str]:
    try:
        return name, True, probe()
    except (SymphainyError, OSError) as error:
        return name, False, str(error)


def _probes(settings: RuntimeSettings, findings: list[Finding]) -> dict[str, Callable[[], str]]:
    """What to try, by name; what is found wrong with the cluster goes to `findings`."""
    return {
        "java": _java,
        "kafka": lambda: _kafka(settings),
        "cluster": lambda: _cluster(settings, findings),
        "redis": lambda: _redis(settings),
        "artifacts": lambda: _artifacts(settings),
        "identity": lambda: _identity(settings),
    }


def _java() -> str:
    return f"{find_java()} (only a local Kafka needs it)"


def _kafka(settings: RuntimeSettings) -> str:
    return Cluster(settings).identity()


def _cluster(settings: RuntimeSettings, findings: list[Finding]) -> str:
    findings += Cluster(settings).check()
    breaking = sum(finding.fatal for finding in findings)
    if breaking:
        raise MisconfiguredCluster(f"{breaking} settings break a guarantee; see the findings.")
    told = "nothing breaks a guarantee"
    return f"{told}; {len(findings)} finding(s) limit one" if findings else told


def _redis(settings: RuntimeSettings) -> str:
    client = Redis.from_url(settings.require_redis())
    try:
        info = client.info("server")
    except RedisError as error:
        raise Unavailable(f"Redis did not answer: {error}") from error
    finally:
        client.close()
    return (
        f"{info.get('server_name', 'redis')} {info.get('valkey_version') or info['redis_version']}"
    )


def _identity(settings: RuntimeSettings) -> str:
    """Each issuer's keys, and whether intents are sealed."""

    told: list[str] = []
    for issuer in settings.oidc():
        try:
            keys = asyncio.run(fetch_keys(issuer)).keys
            told.append(f"{issuer.issuer}: {len(keys)} key(s)")
        except NotFetched as error:
            raise Unavailable(f"The keys of {issuer.issuer} cannot be had: {error}") from error
    sealed = "intents are sealed" if settings.intent_secrets() else "intents are not sealed"
    return "; ".join([*told, sealed])


def _artifacts(settings: RuntimeSettings) -> str:
    async def probe() -> None:
        store = ArtifactStore.from_settings(settings)
        reference = await store.put("doctor", b"symphainy doctor")
        await store.get(reference)

    asyncio.run(probe())
    return f"{settings.artifacts_location()} takes and gives"
