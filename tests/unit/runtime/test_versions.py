"""How versions of capabilities stand.

- The newest version is served when every live worker of its realm serves it; it rolls out while
  some do, or may; nobody serves it otherwise.
- An older one drains while executions have it, and is retired when none has; where that is not
  known, neither is its state.
- Executions that no worker serves are stranded, unless they are of a plan, or a worker may.
- What a worker said that is not in its realm's group counts for nothing.
- Shown is what somebody has something to do with: in force, draining, or a live worker's own.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.samples import SAMPLES

from symphainy_runtime.configuration import Configuration, config_key
from symphainy_runtime.versions import Standing, Version, VersionState, standings
from symphainy_schemas.codec import encode
from symphainy_schemas.records import Capability, ServedVersions, Serving

NAME, REALM = "content.read", "content"


def known(newest: int, **says: tuple[int, int]) -> Configuration:
    """Versions 1 to `newest` of a handler, and what workers say: the oldest and the newest."""
    sample = SAMPLES["capability"]
    assert isinstance(sample, Capability)
    configuration = Configuration()
    for version in range(1, newest + 1):
        one = replace(sample, name=NAME, realm=REALM, version=version, plan=())
        configuration.apply(config_key(one), encode(one))
    for worker, (oldest, own) in says.items():
        rows = (ServedVersions(intent_type=NAME, oldest=oldest, newest=own),)
        said = Serving(worker_id=worker, realm=REALM, versions=rows, registered_at=1)
        configuration.apply(f"worker/{REALM}/{worker}".encode(), encode(said))
    return configuration


def stand(
    configuration: Configuration, *living: str, live: dict[Version, int] | None = None
) -> dict[int, Standing]:
    """By version."""
    found = standings(configuration, {REALM: living}, {} if live is None else live)
    return {one.capability.version: one for one in found}


@pytest.mark.parametrize(
    ("living", "state", "workers"),
    [
        ((), VersionState.UNSERVED, 0),
        (("old",), VersionState.UNSERVED, 0),
        (("old", "new"), VersionState.ROLLING_OUT, 1),
        (("new", "newer"), VersionState.SERVING, 2),
        (("new", "new"), VersionState.SERVING, 2),
        (("new", "nobody_knows"), VersionState.ROLLING_OUT, 1),
        (("nobody_knows",), VersionState.ROLLING_OUT, 0),
    ],
)
def test_the_newest_version_rolls_out_until_every_live_worker_serves_it(
    living: tuple[str, ...], state: VersionState, workers: int
) -> None:
    newest = stand(known(2, old=(1, 1), new=(1, 2), newer=(2, 2), gone=(1, 1)), *living)[2]
    assert (newest.state, newest.workers) == (state, workers)
    assert newest.realm_workers == len(living)


def test_an_older_version_drains_and_is_then_retired() -> None:
    configuration = known(2, new=(1, 2))
    drains = stand(configuration, "new", live={(NAME, 1): 3})[1]
    assert (drains.state, drains.executions, drains.workers) == (VersionState.DRAINING, 3, 1)
    assert not drains.stranded
    retired = stand(configuration, "new", live={(NAME, 2): 3})[1]
    assert (retired.state, retired.executions) == (VersionState.RETIRED, 0)
    (first, second) = standings(configuration, {REALM: ("new",)}, None)
    assert (first.state, first.executions, first.of_interest) == (VersionState.UNKNOWN, None, True)
    assert (second.state, second.executions) == (VersionState.SERVING, None)


@pytest.mark.parametrize(
    ("living", "stranded"),
    [((), True), (("new",), True), (("new", "old"), False), (("new", "nobody_knows"), False)],
)
def test_executions_that_no_worker_serves_are_stranded(
    living: tuple[str, ...], *, stranded: bool
) -> None:
    configuration = known(2, old=(1, 1), new=(2, 2))
    assert stand(configuration, *living, live={(NAME, 1): 1})[1].stranded == stranded
    assert not stand(configuration, *living)[1].stranded


def test_a_plan_waits_for_no_worker() -> None:
    sample = SAMPLES["capability"]
    assert isinstance(sample, Capability)
    assert sample.plan
    configuration = Configuration()
    configuration.apply(config_key(sample), encode(sample))
    (one,) = standings(configuration, {}, {(sample.name, sample.version): 1})
    assert (one.state, one.stranded) == (VersionState.UNSERVED, False)


def test_shown_is_what_somebody_has_something_to_do_with() -> None:
    configuration = known(4, old=(3, 3))
    found = stand(configuration, "old", live={(NAME, 1): 1})
    assert [version for version, one in found.items() if one.of_interest] == [1, 3, 4]
    assert found[3].state is VersionState.RETIRED


def test_a_worker_of_another_realm_serves_nothing_here() -> None:
    found = standings(known(1, w=(1, 1)), {"other": ("w",)}, {})
    assert [(one.state, one.realm_workers) for one in found] == [(VersionState.UNSERVED, 0)]
