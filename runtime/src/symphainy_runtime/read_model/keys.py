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
        """Hash: offset (last projected), term, seq, hash; of the last valid record intents_next and
        at (ms), empty while there was none; live:<name>@<version>, how many
        executions that have not ended have that version of a capability; counts_versions, if those
        are counted from the journal's start."""
        return f"{self.root}pos"

    def execution(self, execution_id: str) -> str:
        """Hash: head (JSON), status, ended_at, error, cancel, paused, compensation, versions,
        live (until it ends), plan, outcome, outcome:<step>, step:<name>, began:<name>, as_of."""
        return f"{self.root}exe:{execution_id}"

    def events(self, execution_id: str) -> str:
        """List of JSON events, in journal order."""
        return f"{self.root}evt:{execution_id}"

    def session(self, session_id: str) -> str:
        """Hash: head (JSON), status, closed_at, as_of."""
        return f"{self.root}ses:{session_id}"

    def by_session(self, session_id: str) -> str:
        """Sorted set of execution ids by journaled start, ms."""
        return f"{self.root}idx:ses:{session_id}"

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
    def channel(self) -> str:
        """Pub/sub channel: one message a projected batch, see `notifications`."""
        return f"{self.root}changes"


def all_channels(prefix: str) -> str:
    """The pattern that matches every partition's channel."""
    return f"{prefix}{{*}}:changes"
