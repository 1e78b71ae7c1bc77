"""Clients of a Kafka that asks who they are.

- With the settings, the asyncio producer, a librdkafka producer, consumer and admin work, over
  SASL/PLAIN and over TLS with certificates of both sides.
- Without them, or with wrong ones, nothing is let in, and no error tells the password.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaException, TopicPartition
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from msgspec.structs import replace
from pydantic import SecretStr
from tests.samples import INTENT

import symphainy_runtime.local.kafka as kafka_module
from symphainy_runtime.cluster import Cluster
from symphainy_runtime.local import KafkaOptions, KafkaServer, Supervisor
from symphainy_runtime.local.ports import free_ports
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas import ids
from symphainy_schemas.errors import Unavailable
from symphainy_schemas.records import Intent
from symphainy_transport.artifacts import ArtifactStore
from symphainy_transport.clients import admin, bounds, consumer, producer
from symphainy_transport.publishing import IntentPublisher

PASSWORD = "a-password-of-the-tests"
JAAS = (
    f'org.apache.kafka.common.security.plain.PlainLoginModule required user_symphainy="{PASSWORD}";'
)


def _certificates(folder: Path) -> None:
    """ca.pem, and server.pem and client.pem that it has signed, each with its key."""
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")])
    now = datetime(2025, 1, 1, tzinfo=UTC)

    def certificate(name: str, key: Any, ca: bool) -> bytes:
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(ca_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + timedelta(days=20_000))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), False
            )
        )
        if ca:
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            made = made.add_extension(usage, critical=True)
        return made.sign(ca_key, hashes.SHA256()).public_bytes(Encoding.PEM)

    (folder / "ca.pem").write_bytes(certificate("ca", ca_key, ca=True))
    for name in ("server", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / f"{name}.key").write_bytes(pem)
        (folder / f"{name}.crt").write_bytes(certificate(name, key, ca=False))
        (folder / f"{name}.pem").write_bytes(pem + (folder / f"{name}.crt").read_bytes())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("secured")
    _certificates(made)
    return made


@pytest.fixture(scope="module")
def doors(folder: Path) -> Iterator[dict[str, str]]:
    """Addresses of a broker's listeners: `sasl` and `tls`."""
    inner, controller, sasl, tls = free_ports(4)
    listed = f"CLIENT://127.0.0.1:{inner},SASL://127.0.0.1:{sasl},TLS://127.0.0.1:{tls}"
    protocols = "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL"
    ours = {
        "listeners": f"{listed},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": listed,
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listener.security.protocol.map": protocols,
        "listener.name.sasl.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl.plain.sasl.jaas.config": JAAS,
        "listener.name.tls.ssl.keystore.type": "PEM",
        "listener.name.tls.ssl.keystore.location": str(folder / "server.pem"),
        "listener.name.tls.ssl.truststore.type": "PEM",
        "listener.name.tls.ssl.truststore.location": str(folder / "ca.pem"),
        "listener.name.tls.ssl.client.auth": "required",
    }
    supervisor = Supervisor()
    options = KafkaOptions(overrides=ours)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kafka_module, "free_ports", lambda _: (inner, controller))
        KafkaServer(folder / "kafka", supervisor, options=options).start()
    yield {"sasl": f"127.0.0.1:{sasl}", "tls": f"127.0.0.1:{tls}"}
    supervisor.stop_all()


def _settings(doors: dict[str, str], folder: Path, door: str, **other: Any) -> RuntimeSettings:
    members: dict[str, dict[str, Any]] = {
        "sasl": {
            "kafka_security_protocol": "SASL_PLAINTEXT",
            "kafka_sasl_mechanism": "PLAIN",
            "kafka_sasl_username": "symphainy",
            "kafka_sasl_password": SecretStr(PASSWORD),
        },
        "tls": {
            "kafka_security_protocol": "SSL",
            "kafka_ssl_ca_location": str(folder / "ca.pem"),
            "kafka_ssl_certificate_location": str(folder / "client.crt"),
            "kafka_ssl_key_location": str(folder / "client.key"),
        },
    }
    return RuntimeSettings(
        **{
            "kafka_bootstrap_servers": doors[door],
            "topic_prefix": f"{door}.",
            "partitions": 2,
            "data_dir": folder / "data",
            **members[door],
            **other,
        }
    )


@pytest.mark.parametrize("door", ["sasl", "tls"])
async def test_every_client_comes_in(doors: dict[str, str], folder: Path, door: str) -> None:
    settings = _settings(doors, folder, door)
    Cluster(settings).create()
    publisher = IntentPublisher(settings, ArtifactStore.from_settings(settings), "test")
    await publisher.start()
    session = ids.new_session_id("acme", publisher.partitions)
    accepted = await publisher.publish(_intent(session))
    await publisher.stop()
    topic = f"{door}.intents"
    out = producer(settings, "test")
    out.produce(topic, b"x", partition=accepted.partition)
    assert out.flush(30) == 0
    place = TopicPartition(topic, accepted.partition, 0)
    reader = consumer(settings, "test", group_id="g")
    assert bounds(reader, place, 30) == (0, 2)
    reader.close()
    assert topic in admin(settings).list_topics(timeout=30).topics


@pytest.mark.parametrize(
    ("door", "wrong"),
    [
        ("sasl", {"kafka_sasl_password": SecretStr("wrong-" + PASSWORD)}),
        ("sasl", {"kafka_security_protocol": "PLAINTEXT"}),
        ("tls", {"kafka_ssl_certificate_location": "", "kafka_ssl_key_location": ""}),
        ("tls", {"kafka_ssl_ca_location": ""}),
    ],
)
async def test_nobody_else_does(
    doors: dict[str, str],
    folder: Path,
    door: str,
    wrong: dict[str, Any],
    capfd: pytest.CaptureFixture[str],
) -> None:
    settings = _settings(doors, folder, door, **wrong)
    with pytest.raises(KafkaException) as refused:
        admin(settings).list_topics(timeout=3)
    publisher = IntentPublisher(settings, ArtifactStore.from_settings(settings), "test")
    with pytest.raises(Unavailable) as unavailable:
        await publisher.start()
    told = f"{refused.value} {unavailable.value} {capfd.readouterr()}"
    assert PASSWORD not in told


def _intent(session: str) -> Intent:
    return replace(INTENT, tenant_id="acme", session_id=session, payload_ref=None, payload=b"{}")
