"""Ids and routes: what an id looks like, which partition it carries, how one is made.

A session's and an execution's id carry their partition, so nobody needs a lookup to route
(rule 10 of the journal protocol). Only the `new_*` functions are impure; shells alone call them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b

import uuid_utils

from symphainy_schemas.errors import CallerError

INTENT_TYPE = re.compile(r"[a-z][a-z0-9_]{0,62}\.[a-z][a-z0-9_]{0,62}")
INTENT_ID = re.compile(r"[A-Za-z0-9._:~-]{1,128}")
TENANT_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_PARTITIONED = re.compile(r"(ses|exe)-(\d{1,6})-([0-9a-f]{32})")


def new_intent_id() -> str:
    """A fresh UUIDv7 (RFC 9562), so that ids sort by creation."""
    return str(uuid_utils.uuid7())


def new_session_id(tenant_id: str, partitions: int, shard_size: int = 0) -> str:
    """A fresh session id on one of the tenant's partitions."""
    unique = uuid_utils.uuid7().hex
    return f"ses-{route(tenant_id, unique, partitions, shard_size)}-{unique}"


def execution_id(tenant_id: str, session_id: str, intent_id: str, partition: int) -> str:
    """The id of the one execution of an intent: a function of (tenant, session, intent id).

    A repeat of an intent therefore names the same execution before anybody has looked it up.
    """
    digest = blake2b(digest_size=16)
    for part in (tenant_id, session_id, intent_id):
        digest.update(part.encode())
        digest.update(b"\0")
    return f"exe-{partition}-{digest.hexdigest()}"


def child_intent_id(token: str, name: str) -> str:
    """The id of an intent that a handler states under `name` in the attempt of that token: the same
    in all its deliveries, and for nobody else to guess."""
    return f"child-{blake2b(f'{token}/{name}'.encode(), digest_size=16).hexdigest()}"


def partition_of(partitioned_id: str) -> int:
    """The partition that a session or execution id carries.

    Raises:
        CallerError: it is no such id.
    """
    match = _PARTITIONED.fullmatch(partitioned_id)
    if match is None:
        raise CallerError(
            f"{partitioned_id[:80]!r} is not a session or execution id.",
            code="malformed_id",
            cure="Use the id as it was returned: ses-<partition>-<32 hex> or exe-<partition>-…",
        )
    return int(match.group(2))


def is_session_id(text: str) -> bool:
    """Whether `text` has the form of a session id."""
    return text.startswith("ses-") and _PARTITIONED.fullmatch(text) is not None


def governing_session(scope: str, partition: int) -> str:
    """The session in which a tenant, or the platform, is governed on a partition. Nobody opens it;
    ids that begin so are no other session's."""
    return f"ses-{partition}-{_GOVERNING}{blake2b(scope.encode(), digest_size=12).hexdigest()}"


def is_governing_session(text: str) -> bool:
    """Whether a session id is of those in which tenants are governed."""
    return text.rpartition("-")[2].startswith(_GOVERNING)


def is_execution_id(text: str) -> bool:
    """Whether `text` has the form of an execution id."""
    return text.startswith("exe-") and _PARTITIONED.fullmatch(text) is not None


@lru_cache(maxsize=4096)
def shuffle_shard(tenant_id: str, partitions: int, size: int) -> tuple[int, ...]:
    """The partitions that a tenant lives on: `size` of `partitions`, 0 for all.

    Rendezvous hashing, so that two tenants rarely share all of theirs
    (source: shuffle sharding, Amazon Builders' Library).
    """
    if size <= 0 or size >= partitions:
        return tuple(range(partitions))
    ranked = sorted(range(partitions), key=lambda p: _hash(f"{tenant_id}/{p}"))
    return tuple(sorted(ranked[:size]))


def route(tenant_id: str, key: str, partitions: int, shard_size: int = 0) -> int:
    """The partition of a session's unique part, or of an intent id without a session."""
    shard = shuffle_shard(tenant_id, partitions, shard_size)
    return shard[_hash(key) % len(shard)]


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def compensation_of(step: str) -> str:
    """The name of the step that undoes `step`."""
    return _COMPENSATION + step


def is_compensation(step: str) -> bool:
    """Whether a step undoes another."""
    return step.startswith(_COMPENSATION)


def undone_by(step: str) -> str:
    """The step that `step` undoes; empty if it undoes none."""
    return step.removeprefix(_COMPENSATION) if is_compensation(step) else ""


def element_of(step: str, number: int) -> str:
    """The name of a step that is run for each element of a list, for one of them, from 0."""
    return f"{step}[{number}]"


def whole_of(step: str) -> str:
    """The step of the plan that is run for the element that `step` names; `step` for any other."""
    return step.partition("[")[0]


def number_of(step: str) -> int:
    """Which element a name that `element_of` gave is of."""
    return int(step[step.rindex("[") + 1 : -1])


_COMPENSATION = "compensate:"
_GOVERNING = "f" * 8  # a UUIDv7 of the year 10889
