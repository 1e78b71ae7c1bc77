"""Names and required settings of every topic: `topics create` applies, `topics check` verifies.

Source of each rule: docs/journal-protocol.md, "The broker's part".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

DAY_MS = 86_400_000
# The largest record is a decision of 1,000,000 bytes, or an inline payload (<= 256 KiB) with
# checkpoints beside it, and batch and record headers.
MAX_MESSAGE_BYTES = 1_048_588
INTENTS = "intents"
STEPS = "steps"
JOURNAL = "journal"
STATE = "state"
CONFIG = "config"
OUTCOMES = "outcomes"
EVENTS = "events"
DEAD_LETTERS = "dead-letters"
CANCELS = "cancels"
TASKS = "tasks."
# Partition p of one is about what stands in partition p of the others.
CO_PARTITIONED = (INTENTS, STEPS, JOURNAL, STATE)


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic as it must be.

    `settings` are exact. `floors` break a guarantee where they are missed, `at_least` only limit
    one (-1 is endless).
    """

    name: str
    partitions: int
    settings: Mapping[str, str]
    at_least: Mapping[str, int] = field(default_factory=dict)
    floors: Mapping[str, int] = field(
        default_factory=lambda: {"max.message.bytes": MAX_MESSAGE_BYTES}
    )

    @property
    def config(self) -> dict[str, str]:
        """What the topic is created with."""
        least = {**self.at_least, **self.floors}
        return {**self.settings, **{name: str(value) for name, value in least.items()}}


@dataclass(frozen=True, slots=True)
class Topics:
    """The cluster's topic names, under one prefix."""

    prefix: str = "symphainy."

    def name(self, short: str) -> str:
        """The full name of a topic."""
        return self.prefix + short

    def tasks(self, realm: str) -> str:
        """The full name of a realm's task topic."""
        return self.prefix + TASKS + realm

    def short(self, full: str) -> str:
        """The name without the prefix."""
        return full.removeprefix(self.prefix)

    def specs(self, partitions: int) -> tuple[TopicSpec, ...]:
        """Every topic but the realms' own."""
        return (
            _log(self.name(INTENTS), partitions, retention_days=30),
            _log(self.name(STEPS), partitions, retention_days=7),
            _log(self.name(JOURNAL), partitions, retention_days=365),
            _compacted(self.name(STATE), partitions),
            _compacted(self.name(CONFIG), 1),
            _log(self.name(OUTCOMES), partitions, retention_days=7),
            _log(self.name(EVENTS), partitions, retention_days=7),
            _log(self.name(DEAD_LETTERS), 1, retention_days=90),
            # What was told is of use for as long as a task may start: a minute.
            _log(self.name(CANCELS), 1, retention_days=1),
        )

    def realm_spec(self, realm: str, partitions: int) -> TopicSpec:
        """A realm's task topic."""
        return _log(self.tasks(realm), partitions, retention_days=7)


def _log(name: str, partitions: int, *, retention_days: int) -> TopicSpec:
    return TopicSpec(
        name,
        partitions,
        {
            "cleanup.policy": "delete",
            "message.timestamp.type": "LogAppendTime",
            "unclean.leader.election.enable": "false",
            "retention.bytes": "-1",
        },
        {"retention.ms": retention_days * DAY_MS},
    )


def _compacted(name: str, partitions: int) -> TopicSpec:
    return TopicSpec(
        name,
        partitions,
        {
            "cleanup.policy": "compact",
            "unclean.leader.election.enable": "false",
        },
        # Above the longest restore: a reader must not miss a tombstone between two reads.
        {
            "min.compaction.lag.ms": 3_600_000,
            "delete.retention.ms": 7 * DAY_MS,
        },
    )
