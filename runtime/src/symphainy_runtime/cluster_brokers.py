"""What the brokers themselves must be like. Pure.

Source of each rule: docs/journal-protocol.md, "The broker's part".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from symphainy_runtime.cluster_state import (
    WANTED_IN_SYNC,
    WANTED_REPLICATION,
    ClusterState,
    Finding,
    alter,
)
from symphainy_transport.topics import DAY_MS, JOURNAL, MAX_MESSAGE_BYTES, STATE, Topics

CLUSTER = "(cluster)"
# What the owners' clients ask for: a broker that allows less turns them away.
SESSION_TIMEOUT_MS = 6_000
TRANSACTION_TIMEOUT_MS = 600_000
# A worker group that is down this long still knows what it has done: as long as its tasks are kept.
OFFSETS_RETENTION_MINUTES = 7 * DAY_MS // 60_000
ANYBODY = "User:*"


@dataclass(frozen=True, slots=True)
class _BrokerRule:
    """What a broker's setting must be; `dynamic` ones change without a restart."""

    setting: str
    wanted: str
    holds: Callable[[str], bool]
    fatal: bool = False
    dynamic: bool = False


def _least(setting: str, floor: int, *, fatal: bool = False) -> _BrokerRule:
    return _BrokerRule(setting, f">= {floor}", lambda value: int(value) >= floor, fatal)


def _most(setting: str, ceiling: int) -> _BrokerRule:
    return _BrokerRule(setting, f"<= {ceiling}", lambda value: int(value) <= ceiling, fatal=True)


def _exactly(setting: str, wanted: str, *, dynamic: bool = False) -> _BrokerRule:
    return _BrokerRule(setting, wanted, lambda value: value == wanted, dynamic=dynamic)


BROKER_RULES = (
    _exactly("auto.create.topics.enable", "false"),
    _exactly("unclean.leader.election.enable", "false", dynamic=True),
    _exactly("log.cleaner.enable", "true"),
    _least("offsets.retention.minutes", OFFSETS_RETENTION_MINUTES),
    _least("fetch.max.bytes", MAX_MESSAGE_BYTES),
    _least("socket.request.max.bytes", 2 * MAX_MESSAGE_BYTES, fatal=True),
    _least("transaction.max.timeout.ms", TRANSACTION_TIMEOUT_MS, fatal=True),
    _most("group.min.session.timeout.ms", SESSION_TIMEOUT_MS),
)
REPLICATED_BROKER_RULES = (
    _least("offsets.topic.replication.factor", WANTED_REPLICATION),
    _least("transaction.state.log.replication.factor", WANTED_REPLICATION),
    _least("transaction.state.log.min.isr", WANTED_IN_SYNC),
)


def broker_findings(state: ClusterState) -> Iterator[Finding]:
    """What is wrong with the brokers' settings, brokers with the same value together."""
    one = len(state.brokers) == 1
    if one:
        yield Finding(
            CLUSTER,
            "brokers",
            f">= {WANTED_REPLICATION}",
            "1: an acknowledgement is one copy in its page cache",
            False,
            f"Run at least {WANTED_REPLICATION}, then raise replicas and min.insync.replicas.",
        )
    for rule in BROKER_RULES if one else (*BROKER_RULES, *REPLICATED_BROKER_RULES):
        wrong: dict[str, list[int]] = defaultdict(list)
        for broker, config in state.brokers.items():
            value = None if config is None else config.get(rule.setting)
            if value and not rule.holds(value):
                wrong[value].append(broker)
        for value, brokers in wrong.items():
            yield _broker(state, rule, value, brokers)
    unknown = sorted(broker for broker, config in state.brokers.items() if config is None)
    if unknown:
        fix = "Allow this principal DescribeConfigs on the cluster, and run it again."
        yield Finding(_named(unknown), "settings", "readable", "not allowed to ask", False, fix)


def _broker(state: ClusterState, rule: _BrokerRule, value: str, brokers: list[int]) -> Finding:
    least = rule.wanted.lstrip("<>= ")
    if rule.dynamic:
        fix = alter(state, "--entity-type brokers --entity-default", f"{rule.setting}={least}")
    else:
        fix = f"Set {rule.setting}={least} in the broker's server.properties, and restart it."
    return Finding(_named(brokers), rule.setting, rule.wanted, value, rule.fatal, fix)


def _named(brokers: list[int]) -> str:
    numbers = ", ".join(str(broker) for broker in sorted(brokers))
    return f"(broker {numbers})" if len(brokers) == 1 else f"(brokers {numbers})"


def access_findings(state: ClusterState, topics: Topics) -> Iterator[Finding]:
    """Only owners may write `journal` and `state`."""
    known = [config for config in state.brokers.values() if config is not None]
    if known and not any(config.get("authorizer.class.name") for config in known):
        yield Finding(
            CLUSTER,
            "authorizer.class.name",
            "an authorizer",
            "none: whoever reaches the brokers may write the journal",
            False,
            "Set up an authorizer; allow Write on journal and state to owners only.",
        )
        return
    for short in (JOURNAL, STATE):
        name = topics.name(short)
        if state.writers is not None and ANYBODY in state.writers.get(name, ()):
            fix = (
                f"kafka-acls --bootstrap-server {state.bootstrap_servers} --remove "
                f"--allow-principal '{ANYBODY}' --operation Write --topic {name}"
            )
            yield Finding(name, "write access", "owners only", ANYBODY, False, fix)
    if state.writers is None:
        fix = "Allow this principal Describe on the cluster, and run it again."
        yield Finding(CLUSTER, "access rules", "readable", "not allowed to ask", False, fix)
