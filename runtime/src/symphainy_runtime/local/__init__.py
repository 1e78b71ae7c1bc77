"""Real Kafka and Valkey as supervised child processes, for development and for tests.

Linux and macOS. Production configures its brokers; nothing here runs there.
"""

from symphainy_runtime.local.errors import (
    ChildFailed,
    DataFolderBusy,
    DataFolderUnusable,
    JarsUnavailable,
    JavaMissing,
    LocalError,
    NoBroker,
)
from symphainy_runtime.local.kafka import KafkaServer
from symphainy_runtime.local.kafka_config import KafkaOptions
from symphainy_runtime.local.lock import Endpoints
from symphainy_runtime.local.process import Child, ChildSpec, Death
from symphainy_runtime.local.services import LocalServices, ServicesOptions
from symphainy_runtime.local.signals import StopRequested, graceful_signals
from symphainy_runtime.local.supervisor import Supervisor
from symphainy_runtime.local.valkey import ValkeyServer

__all__ = [
    "Child",
    "ChildFailed",
    "ChildSpec",
    "DataFolderBusy",
    "DataFolderUnusable",
    "Death",
    "Endpoints",
    "JarsUnavailable",
    "JavaMissing",
    "KafkaOptions",
    "KafkaServer",
    "LocalError",
    "LocalServices",
    "NoBroker",
    "ServicesOptions",
    "StopRequested",
    "Supervisor",
    "ValkeyServer",
    "graceful_signals",
]
