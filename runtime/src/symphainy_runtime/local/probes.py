"""Do Kafka and Valkey answer? One question, one bounded wait, no retries, no log lines.

A free port can be lost to another server between its choice and its use, so a starter also asks
whether it is the right one that answers.
"""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

_CONNECT_S = 0.5


def kafka_answers(
    bootstrap_servers: str, cluster_id: str | None = None, timeout_s: float = 2.0
) -> bool:
    """Whether a broker (of that cluster, if given) lists topics and knows a live broker."""
    host, _, port = bootstrap_servers.partition(",")[0].rpartition(":")
    if not _listens(host, int(port)):  # librdkafka would go on trying, and backing off
        return False
    settings: dict[str, Any] = {  # Any: the annotation of AdminClient forgets callbacks
        "bootstrap.servers": bootstrap_servers,
        "log_level": 0,
        "error_cb": lambda error: None,
    }
    try:
        cluster = AdminClient(settings).list_topics(timeout=timeout_s)
    except KafkaException:
        return False
    return len(cluster.brokers) > 0 and cluster_id in (None, cluster.cluster_id)


def valkey_answers(redis_url: str, pid: int | None = None) -> bool:
    """Whether the server (that process, if given) answers PING; not while it loads its data."""
    address = urlsplit(redis_url)
    answer = b""
    try:
        with socket.create_connection((address.hostname, address.port), _CONNECT_S) as connection:
            connection.sendall(b"PING\r\nINFO server\r\nQUIT\r\n")
            while received := connection.recv(4096):
                answer += received
    except OSError:
        return False
    return answer.startswith(b"+PONG") and (
        pid is None or f"\r\nprocess_id:{pid}\r\n".encode() in answer
    )


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), _CONNECT_S).close()
    except OSError:
        return False
    return True
