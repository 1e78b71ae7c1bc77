"""Writing a policy set down: as the next version of its scope, in `config`."""

from __future__ import annotations

from msgspec.structs import replace

from symphainy_runtime.configuration import ConfigReader, Configuration, write_config
from symphainy_runtime.policy.checking import Finding, check
from symphainy_runtime.policy.reading import digest_of
from symphainy_runtime.policy.schema import schema_of
from symphainy_runtime.policy.shutting_out import shut_out
from symphainy_schemas.errors import CallerError
from symphainy_schemas.records import PLATFORM, PolicySet, Stage
from symphainy_transport.settings import TransportSettings

_TRIES = 10
"""Of finding a version that nobody else takes at the same moment."""


def policy_set(
    scope: str, texts: dict[Stage, str], *, note: str = "", created_by: str = "", now_ms: int = 0
) -> PolicySet:
    """A set that is not written yet: its version is 0."""
    guard, manager, steward = (texts.get(stage, "") for stage in Stage)
    return PolicySet(
        scope=scope,
        version=0,
        sha256=digest_of(guard, manager, steward),
        security_guard=guard,
        city_manager=manager,
        data_steward=steward,
        note=note,
        created_at=now_ms,
        created_by=created_by,
    )


def findings(
    policies: PolicySet, configuration: Configuration, declared: dict[str, str] | None = None
) -> list[Finding]:
    """What speaks against putting the set in force, by what is registered today; or, that it could
    not be replaced any more.

    Raises:
        BadPolicy: a text cannot be read at all.
    """
    keys = [
        key for key in configuration.keys.values() if policies.scope in (PLATFORM, key.tenant_id)
    ]
    tenants = [
        tenant
        for tenant in configuration.tenants.values()
        if policies.scope in (PLATFORM, tenant.tenant_id)
    ]
    schemas = {
        stage: schema_of(stage, configuration.capabilities.values(), tenants, keys, declared)
        for stage in Stage
    }
    return [*check(policies, schemas), *shut_out(policies)]


def newest(configuration: Configuration, scope: str) -> PolicySet | None:
    """The scope's newest version; None if there is none."""
    versions = [version for named, version in configuration.policies if named == scope]
    return configuration.policies[scope, max(versions)] if versions else None


def written(settings: TransportSettings, policies: PolicySet) -> PolicySet:
    """`write_policies`, on connections of its own."""
    reader = ConfigReader(settings, "symphainy-policy")
    try:
        reader.catch_up()
        return write_policies(settings, reader, policies)
    finally:
        reader.close()


def restore_policies(
    settings: TransportSettings, reader: ConfigReader, policies: PolicySet, version: int
) -> int:
    """Write the set as a version that is in force and that `config` does not hold any more; the
    version. Owners take it only if its hash is the one in force. `reader` has caught up.

    Raises:
        CallerError: `config` holds that version.
        Unavailable: Kafka did not take it.
    """
    if (policies.scope, version) in reader.configuration.policies:
        raise CallerError(
            f"`config` holds version {version} of the policies of {policies.scope}.",
            code="policy_exists",
            field="--restore",
            cure="See symphainy policy show.",
        )
    write_config(settings, replace(policies, version=version))
    return version


def write_policies(
    settings: TransportSettings, reader: ConfigReader, policies: PolicySet
) -> PolicySet:
    """The set as it now stands in `config`: the newest version if that says the same, else the
    next. `reader` has caught up.

    Raises:
        CallerError: others write the same scope's policies at the same moment, again and again.
        Unavailable: Kafka did not take it.
    """
    for _ in range(_TRIES):
        known = newest(reader.configuration, policies.scope)
        if known is not None and known.sha256 == policies.sha256:
            return known
        version = 1 if known is None else known.version + 1
        written = replace(policies, version=version)
        write_config(settings, written)
        reader.catch_up()
        if reader.configuration.policies.get((policies.scope, version)) == written:
            return written
    raise CallerError(
        f"Others write policies of {policies.scope} at the same time.",
        code="policy_contended",
        field="scope",
        cure="Agree who does, and try again.",
    )
