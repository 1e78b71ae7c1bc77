"""How clients of Kafka are secured: one set of settings, every client.

- Each client of librdkafka, and the asyncio producer, gets protocol, SASL and TLS from the
  settings; what is not set is not passed.
- No module makes a client elsewhere.
- A secret is in no repr.
"""

from __future__ import annotations

import ast
import ssl
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from symphainy_transport import async_clients, clients
from symphainy_transport.settings import TransportSettings

ROOT = Path(__file__).parents[3]
PASSWORD = "not for a log"
SASL = {
    "security.protocol": "SASL_SSL",
    "sasl.mechanism": "SCRAM-SHA-512",
    "sasl.username": "symphainy",
    "sasl.password": PASSWORD,
    "ssl.ca.location": "/ca.pem",
    "ssl.certificate.location": "/client.pem",
    "ssl.key.location": "/client.key",
    "ssl.key.password": PASSWORD,
}
PARTS = {"security.protocol", "sasl.", "ssl."}


def _settings(**more: Any) -> TransportSettings:
    stated: dict[str, Any] = {
        f"kafka_{name.replace('.', '_')}": SecretStr(value) if "password" in name else value
        for name, value in SASL.items()
    }
    return TransportSettings(kafka_bootstrap_servers="127.0.0.1:1", **stated, **more)


def _secured(config: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in config.items() if any(k.startswith(part) for part in PARTS)}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The configuration of each client that is made; none connects."""
    configs: list[dict[str, Any]] = []
    for name in ("Producer", "Consumer", "AdminClient"):
        monkeypatch.setattr(clients, name, configs.append)
    return configs


def test_every_client_of_librdkafka_is_secured(made: list[dict[str, Any]]) -> None:
    settings = _settings()
    clients.producer(settings, "p")
    clients.consumer(settings, "c", group_id="g")
    clients.admin(settings)
    assert len(made) == 3
    for config in made:
        assert _secured(config) == SASL


def test_what_is_not_set_is_not_passed(made: list[dict[str, Any]]) -> None:
    clients.producer(TransportSettings(kafka_bootstrap_servers="127.0.0.1:1"), "p")
    assert _secured(made[0]) == {"security.protocol": "PLAINTEXT"}


def test_a_property_that_is_stated_itself_is_stronger(made: list[dict[str, Any]]) -> None:
    settings = _settings(kafka_extra={"sasl.mechanism": "OAUTHBEARER"})
    clients.producer(settings, "p")
    assert made[0]["sasl.mechanism"] == "OAUTHBEARER"


def test_the_asyncio_producer_is_secured_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Any] = []

    class Context:
        def load_cert_chain(self, *arguments: Any) -> None:
            loaded.append(arguments)

    context = Context()

    def create(cafile: str | None) -> Context:
        loaded.append(cafile)
        return context

    monkeypatch.setattr(ssl, "create_default_context", create)
    monkeypatch.setattr(async_clients, "AIOKafkaProducer", dict)
    config: Any = async_clients.async_producer(_settings(), "p")
    assert loaded == ["/ca.pem", ("/client.pem", "/client.key", PASSWORD)]
    assert config["ssl_context"] is context
    assert config["security_protocol"] == "SASL_SSL"
    told = [config[f"sasl_{name}"] for name in ("mechanism", "plain_username", "plain_password")]
    assert told == ["SCRAM-SHA-512", "symphainy", PASSWORD]
    plain: Any = async_clients.async_producer(
        TransportSettings(kafka_bootstrap_servers="127.0.0.1:1"), "p"
    )
    assert plain["security_protocol"] == "PLAINTEXT"
    assert "ssl_context" not in plain
    assert "sasl_mechanism" not in plain


def _makes_a_client(file: Path) -> bool:
    nodes = list(ast.walk(ast.parse(file.read_text())))
    theirs = {
        alias.name
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith(("confluent_kafka", "aiokafka"))
        for alias in node.names
    } & {"Producer", "Consumer", "AdminClient", "AIOKafkaProducer", "AIOKafkaConsumer"}
    return any(isinstance(n, ast.Call) and getattr(n.func, "id", "") in theirs for n in nodes)


def test_nobody_makes_a_client_elsewhere() -> None:
    """But where the system asks the broker that it has started itself, on this machine."""
    makers = {file.name for file in ROOT.glob("*/src/**/*.py") if _makes_a_client(file)}
    assert makers == {"clients.py", "async_clients.py", "probes.py"}


def test_no_secret_is_in_a_repr() -> None:
    settings = _settings(kafka_extra={"sasl.password": PASSWORD})
    assert PASSWORD not in repr(settings) + str(settings)
