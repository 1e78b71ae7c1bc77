"""Where everything stands in Redis. One hash tag per partition, so that one script can write it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one partition. `prefix` ends in a separator, for example `symphainy:`."""

    prefix: str
    partition: int

    @property
    def root(self) -> str:
        """What every key of the partition begins with."""
        return f"{self.prefix}{{{self.partition}}}:"

    @property
    def position(self) -> str:
        """Hash: offset (last projected, or who deletes the partition's keys now), term, seq, hash;
        of the last valid record intents_next and at (ms), empty while there was none;
        trimmed, the latest end (ms) of an execution that has left the indexes, if one has;
        live:<name>@<version>, how many executions that have not ended have that version of a
        capability; counts_versions, if those are counted from the journal's start."""
        return f"{self.root}pos"

    def execution(self, execution_id: str) -> str:
        """Hash: head (JSON), status, ended_at, error, cancel, paused, compensation, versions,
        live (until it ends), plan, outcome, outcome:<step>, step:<name>, began:<name>, as_of."""
        return f"{self.root}exe:{execution_id}"

    def events(self, execution_id: str) -> str:
        """List of JSON events, in journal order."""
        return f"{self.root}evt:{execution_id}"

    def session(self, session_id: str) -> str:
        """Hash: head (JSON), attributes (JSON, once they were changed), status, closed_at, ending
        (JSON: why it was closed, and how), closing (while what runs is asked to end), as_of."""
        return f"{self.root}ses:{session_id}"

    def running(self, session_id: str) -> str:
        """Sorted set of ids of executions that run in it, by journaled start, ms."""
        return f"{self.root}run:{session_id}"

    def sessions(self, tenant_id: str) -> str:
        """Sorted set of session ids by journaled opening, ms."""
        return f"{self.root}idx:own:{tenant_id}"

    def governed(self, scope: str) -> str:
        """Hash: policy_version, policy_sha256, suspended (0 or 1), reason, as_of; of a tenant, or
        the platform."""
        return f"{self.root}gov:{scope}"

    def by_session(self, tenant_id: str, session_id: str) -> str:
        """Sorted set of execution ids by journaled start, ms: the tenant's own. An intent that
        names another tenant's session is rejected, and yet has an execution that tells so."""
        return f"{self.root}idx:ses:{tenant_id}:{session_id}"

    def by_tenant(self, tenant_id: str) -> str:
        """Sorted set of execution ids by journaled start, ms."""
        return f"{self.root}idx:ten:{tenant_id}"

    def by_type(self, tenant_id: str, intent_type: str) -> str:
        """Sorted set of execution ids by journaled start, ms."""
        return f"{self.root}idx:typ:{tenant_id}:{intent_type}"

    def by_status(self, tenant_id: str, status: str) -> str:
        """Sorted set of execution ids by journaled start, ms."""
        return f"{self.root}idx:sta:{tenant_id}:{status}"

    @property
    def ended(self) -> str:
        """Sorted set of ended executions by journaled end, ms, for taking them out of the indexes:
        id, session, status, intent type and tenant with | between; of sessions that are over the
        session and the tenant alone. The script writes and reads it, and so knows how the keys of
        the indexes are made."""
        return f"{self.root}idx:end"

    @property
    def channel(self) -> str:
        """Pub/sub channel: one message a projected batch, see `notifications`."""
        return f"{self.root}changes"


def all_channels(prefix: str) -> str:
    """The pattern that matches every partition's channel."""
    return f"{prefix}{{*}}:changes"
