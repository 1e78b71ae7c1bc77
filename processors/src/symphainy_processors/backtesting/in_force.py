"""Which policies are in force now: what a candidate is tried beside.

An activation stands in every partition, and the owner of each folds it into `state`; only higher
versions are adopted, so the highest that any partition holds is in force, or about to be. Where
nobody has activated anything, the newest version in `config` is taken, and that is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing

from symphainy_processors.backtesting.earlier import states
from symphainy_processors.owner.kafka.ranges import RangeReader
from symphainy_runtime.configuration import Configuration
from symphainy_runtime.policy.defaults import BUILT_IN
from symphainy_runtime.policy.writing import newest
from symphainy_schemas import ids
from symphainy_schemas.codec import decode
from symphainy_schemas.errors import CallerError, OperatorError, UnreadableRecord
from symphainy_schemas.events import JournalRecord, PolicyActivated
from symphainy_schemas.records import PLATFORM, PolicySet
from symphainy_schemas.state import TenantState
from symphainy_transport.settings import TransportSettings
from symphainy_transport.topics import JOURNAL, Topics

TAIL = 2_000
"""Records at the journal's end in which an activation is looked for that `state` may lack yet: an
owner writes `state` several times a second."""
_CLIENT = "symphainy-backtest"
Version = tuple[int, bytes]


def in_force(
    settings: TransportSettings,
    configuration: Configuration,
    scopes: Iterable[str],
    partitions: Sequence[int],
) -> tuple[dict[str, PolicySet], list[str]]:
    """The set of each scope that has one, and what is to be told about how it was found.

    Raises:
        OperatorError: `policy_missing`; a version is in force that `config` does not hold.
        Unavailable: Kafka did not answer.
    """
    known = {scope for scope, _ in configuration.policies}
    asked = [scope for scope in scopes if scope in known]
    active = _activated(settings, asked, partitions) if asked else {}
    found: dict[str, PolicySet] = {}
    notes = []
    for scope in asked:
        if scope in active:
            found[scope] = _text(configuration, scope, *active[scope])
            continue
        last = newest(configuration, scope)
        assert last is not None
        found[scope] = last
        notes.append(
            f"No activation of policies of {scope} was found: version {last.version}, the newest "
            "in config, counts as in force."
        )
    return found, notes


def platform_of(found: dict[str, PolicySet]) -> PolicySet:
    """The platform's set among those in force: the built-in one if there is no other."""
    return found.get(PLATFORM, BUILT_IN)


def version_of(configuration: Configuration, scope: str, version: int) -> PolicySet:
    """A version of a scope's policies.

    Raises:
        CallerError: `policy_not_found`; those that are known are named.
    """
    found = configuration.policies.get((scope, version))
    if found is None:
        known = sorted(v for s, v in configuration.policies if s == scope)
        named = ", ".join(map(str, known)) or "none"
        raise CallerError(
            f"config holds no version {version} of the policies of {scope}; it holds: {named}.",
            code="policy_not_found",
            field="version",
            cure="See symphainy policy list.",
        )
    return found


def _text(configuration: Configuration, scope: str, version: int, sha256: bytes) -> PolicySet:
    found = configuration.policies.get((scope, version))
    if found is None or found.sha256 != sha256:
        raise OperatorError(
            f"Version {version} of the policies of {scope} is in force, and config does not hold "
            "it.",
            code="policy_missing",
            cure="See docs/operations.md, Policies that are missing.",
        )
    return found


def _activated(
    settings: TransportSettings, scopes: Sequence[str], partitions: Sequence[int]
) -> dict[str, Version]:
    active: dict[str, Version] = {}

    def take(scope: str, version: int, sha256: bytes) -> None:
        if scope in scopes and version > active.get(scope, (0, b""))[0]:
            active[scope] = version, sha256

    p = partitions[0]
    sessions = [ids.governing_session(scope, p) for scope in scopes]
    for body in states(settings, p, sessions).values():
        if isinstance(body, TenantState):
            take(body.scope, body.policy_version, body.policy_sha256)
    for event in _lately(settings, partitions):
        take(event.scope, event.version, event.sha256)
    return active


def _lately(settings: TransportSettings, partitions: Sequence[int]) -> Iterable[PolicyActivated]:
    """Activations near the end of the journal, of whatever term: an owner that was overtaken
    decided what its successor decides as well."""
    reader = RangeReader(settings, _CLIENT, Topics(settings.topic_prefix).name(JOURNAL))
    try:
        for p in partitions:
            low, high = reader.bounds(p)
            with closing(reader.read(p, max(low, high - TAIL), high)) as batches:
                for batch in batches:
                    for message in batch:
                        yield from _activations(message.value())
    finally:
        reader.close()


def _activations(value: bytes | None) -> Iterable[PolicyActivated]:
    try:
        events = decode(value, JournalRecord).events
    except UnreadableRecord:
        return ()
    return [event for event in events if type(event) is PolicyActivated]
