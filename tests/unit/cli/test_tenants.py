"""`symphainy tenant …`, on a log in memory.

- A tenant is created once, with the limits that are stated; its id must be possible and not taken.
- A change is a higher version with what was stated changed, and nothing else.
- Of two operators who write the same version, neither's change is lost: who came second writes his
  again, on top of the first's.
- What has no meaning is refused by name, with its cure; a tenant's partitions are for good.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from symphainy_cli import tenant_records, tenants
from symphainy_runtime.configuration import Configuration, config_key
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.codec import encode
from symphainy_schemas.errors import CallerError, Unavailable
from symphainy_schemas.records import Budget, Tenant

ACME = Tenant(tenant_id="acme", version=1, display_name="acme", shard_size=0, created_at=1)


class Log:
    """The topic; before a write of ours come those of `others`, as many as there are."""

    def __init__(self) -> None:
        self.configuration = Configuration()
        self.others: list[Tenant] = []

    def append(self, tenant: Tenant) -> None:
        self.configuration.apply(config_key(tenant), encode(tenant))

    def write(self, _: RuntimeSettings, tenant: Tenant) -> None:
        if self.others:
            self.append(self.others.pop(0))
        self.append(tenant)

    def read(self, _: RuntimeSettings) -> dict[str, Tenant]:
        return dict(self.configuration.tenants)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    one = Log()
    monkeypatch.setattr(tenant_records, "write_config", one.write)
    monkeypatch.setattr(tenant_records, "tenants_of", one.read)
    monkeypatch.setattr(tenants, "tenants_of", one.read)
    monkeypatch.setattr(tenants, "kafka_settings", RuntimeSettings)
    return one


def told(*arguments: str) -> Any:
    result = CliRunner().invoke(tenants.app, [*arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(*arguments: str) -> CallerError:
    with pytest.raises(CallerError) as caught:
        CliRunner().invoke(tenants.app, arguments, catch_exceptions=False)
    assert caught.value.cure
    return caught.value


def test_a_tenant_is_created_with_its_limits(log: Log) -> None:
    made = told(
        "create",
        "acme",
        *("--display-name", "Acme Ltd", "--shard-size", "2", "--rate", "5", "--burst", "20"),
        *("--budget", "month=1000", "--budget", "hour=50", "--storage-bytes", "4096"),
        *("--attribute", "residency=eu", "--dedupe-window-days", "0.5", "--signed-only"),
    )
    assert (made["version"], made["shard_size"], made["unsigned"]) == (1, 2, False)
    assert made["budgets"] == {"hour": 50, "month": 1000}
    assert made["attributes"] == {"residency": "eu"}
    assert (made["rate_per_s"], made["dedupe_window_ms"]) == (5.0, 43_200_000)
    assert told("show", "acme") == made
    assert told("list") == [made]
    assert refused("create", "acme").code == "tenant_exists"


def test_a_change_is_a_higher_version_of_what_was_stated(log: Log) -> None:
    told("create", "acme", "--rate", "5", "--attribute", "residency=eu", "--attribute", "tier=1")
    changed = told("limits", "acme", "--max-concurrency", "7", "--attribute", "tier=")
    assert (changed["version"], changed["rate_per_s"], changed["max_concurrency"]) == (2, 5.0, 7)
    assert changed["attributes"] == {"residency": "eu"}
    assert told("limits", "acme", "--budget", "day=9")["budgets"] == {"day": 9}
    assert told("limits", "acme", "--budget", "none")["budgets"] == {}


def test_of_two_who_change_it_at_once_neither_is_lost(log: Log) -> None:
    log.append(ACME)
    log.others = [replace(ACME, version=2, weight=3), replace(ACME, version=3, weight=4)]
    changed = told("limits", "acme", "--rate", "5")
    assert (changed["version"], changed["weight"], changed["rate_per_s"]) == (4, 4, 5.0)
    assert log.configuration.tenants["acme"] == replace(ACME, version=4, weight=4, rate_per_s=5.0)


def test_who_is_overtaken_again_and_again_is_told(log: Log) -> None:
    log.append(ACME)
    log.others = [replace(ACME, version=n) for n in range(2, 30)]
    with pytest.raises(Unavailable) as caught:
        told("limits", "acme", "--rate", "5")
    assert caught.value.code == "tenant_contended"


def test_of_two_who_create_it_at_once_one_is_told(log: Log) -> None:
    other = replace(ACME, weight=9)
    log.others = [other]
    assert refused("create", "acme", "--rate", "5").code == "tenant_exists"
    # Whatever compaction keeps of the two, the next version says what is in force.
    assert log.configuration.tenants["acme"] == replace(other, version=2)


@pytest.mark.parametrize("bad", ["Acme", "-acme", "a" * 64, "a_b", "", "é"])
def test_an_impossible_id_is_refused(log: Log, bad: str) -> None:
    assert refused("create", "--", bad).code == "tenant_id_malformed"


def test_the_platforms_name_is_no_tenants(log: Log) -> None:
    assert refused("create", "platform").code == "tenant_id_reserved"
    assert refused("limits", "platform", "--rate", "1").code == "tenant_id_reserved"


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (("--rate", "-1"), "rate_per_s"),
        (("--rate", "nan"), "rate_per_s"),
        (("--weight", "0"), "weight"),
        (("--burst", "5"), "burst"),
        (("--budget", "week=5"), "budget"),
        (("--budget", "day=-5"), "budget"),
        (("--budget", "day=5", "--budget", "day=6"), "budget"),
        (("--attribute", "residency"), "attribute"),
        (("--storage-bytes", "-1"), "storage_bytes"),
    ],
)
def test_a_limit_without_a_meaning_is_refused(
    log: Log, options: tuple[str, ...], field: str
) -> None:
    log.append(ACME)
    assert refused("create", "new", *options).field == field
    assert refused("limits", "acme", *options).field == field
    assert log.configuration.tenants == {"acme": ACME}


def test_a_tenants_partitions_are_for_good(log: Log) -> None:
    log.append(ACME)
    assert refused("limits", "acme", "--shard-size", "2").code == "shard_size_fixed"
    assert refused("limits", "none").code == "tenant_not_found"


def test_budgets_are_told_in_the_order_of_their_length() -> None:
    assert tenant_records.budgets_of(["month=3", "hour=1"]) == (
        Budget("hour", 1),
        Budget("month", 3),
    )
