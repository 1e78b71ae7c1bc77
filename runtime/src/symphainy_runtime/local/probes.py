"""Do Kafka and Valkey answer? One question, one bounded wait, no retries, no log lines."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

_CONNECT_S = 0.5


def kafka_answers(bootstrap_servers: str, timeout_s: float = 2.0) -> bool:
    """Whether a broker lists topics and knows of at least one live broker."""
    host, _, port = bootstrap_servers.partition(",")[0].rpartition(":")
    if not _listens(host, int(port)):  # librdkafka would go on trying, and backing off
        return False
    settings: dict[str, Any] = {  # Any: the annotation of AdminClient forgets callbacks
        "bootstrap.servers": bootstrap_servers,
        "log_level": 0,
        "error_cb": lambda error: None,
    }
    client = AdminClient(settings)
    try:
        return len(client.list_topics(timeout=timeout_s).brokers) > 0
    except KafkaException:
        return False


def valkey_answers(redis_url: str) -> bool:
    """Whether the server answers PING; while it loads its data it does not."""
    address = urlsplit(redis_url)
    try:
        with socket.create_connection((address.hostname, address.port), _CONNECT_S) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), _CONNECT_S).close()
    except OSError:
        return False
    return True
