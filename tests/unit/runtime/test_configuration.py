"""Invariants of the configuration in force.

- Only a higher version replaces what is in force; older versions of capabilities stay.
- What a worker serves is what it said last, until its tombstone; no other tombstone counts.
- What is not a configuration record is unreadable.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.samples import INTENT, SAMPLES

from symphainy_runtime.configuration import Configuration, config_key
from symphainy_schemas.codec import encode
from symphainy_schemas.errors import UnreadableRecord
from symphainy_schemas.records import Capability, Serving

CAPABILITY, SERVING = SAMPLES["capability"], SAMPLES["serving"]
assert isinstance(CAPABILITY, Capability)


def test_only_a_higher_version_replaces_what_is_in_force() -> None:
    configuration = Configuration()
    assert isinstance(CAPABILITY, Capability)
    for version in (2, 3, 1):
        one = replace(CAPABILITY, version=version)
        configuration.apply(config_key(one), encode(one))
    assert configuration.capabilities[CAPABILITY.name].version == 3
    assert {version for _, version in configuration.versions} == {1, 2, 3}


def test_what_a_worker_serves_is_what_it_said_last() -> None:
    configuration, key = Configuration(), b"worker/content/w-1"
    assert isinstance(SERVING, Serving)
    later = replace(SERVING, versions=())
    for one in (SERVING, later):
        configuration.apply(key, encode(one))
    configuration.apply(b"worker/content/w/2", encode(SERVING))
    assert configuration.serving == {key: later, b"worker/content/w/2": SERVING}
    configuration.apply(key, None)
    configuration.apply(key, None)
    assert configuration.serving == {b"worker/content/w/2": SERVING}


def test_a_tombstone_removes_no_version() -> None:
    configuration = Configuration()
    assert isinstance(CAPABILITY, Capability)
    configuration.apply(config_key(CAPABILITY), encode(CAPABILITY))
    configuration.apply(config_key(CAPABILITY), None)
    assert configuration.capabilities == {CAPABILITY.name: CAPABILITY}


@pytest.mark.parametrize(
    ("key", "value"), [(None, b"x"), (b"odd/a/1", b"x"), (b"capability/a/1", encode(INTENT))]
)
def test_what_is_no_configuration_is_unreadable(key: bytes | None, value: bytes) -> None:
    with pytest.raises(UnreadableRecord):
        Configuration().apply(key, value)
