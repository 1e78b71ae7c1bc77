"""A cluster as it is, and what is found wrong with it: the words of the rules beside this file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

WANTED_REPLICATION = 3
WANTED_IN_SYNC = 2
INTERNAL = ("__consumer_offsets", "__transaction_state")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that breaks, or limits, a guarantee. `fatal` ones must be mended."""

    topic: str
    setting: str
    expected: str
    actual: str
    fatal: bool
    fix: str


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as it is; `replicas` of the partition that has the fewest.

    `config` is None where we may not ask.
    """

    partitions: int
    replicas: int
    config: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class ClusterState:
    """A cluster as it is.

    `brokers` holds each one's settings; `writers` who may write a topic by the cluster's access
    rules. None where we may not ask.
    """

    bootstrap_servers: str
    brokers: Mapping[int, Mapping[str, str] | None]
    topics: Mapping[str, TopicState]
    writers: Mapping[str, frozenset[str]] | None = None


def alter(state: ClusterState, entity: str, config: str) -> str:
    """The command that sets a dynamic setting."""
    return (
        f"kafka-configs --bootstrap-server {state.bootstrap_servers} --alter {entity} "
        f"--add-config {config}"
    )
