"""Keys as they stand in the `config` topic: read to its end, changed by a next version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from symphainy_runtime.configuration import ConfigReader, ConfigRecord, write_config
from symphainy_schemas.errors import CallerError, Unavailable
from symphainy_schemas.records import ApiKey
from symphainy_transport.settings import TransportSettings

# Each lost race is another operator's change of the same key, in the same second.
_TRIES = 5


class KeyStore:
    """Reads and changes keys; a context manager that disconnects."""

    def __init__(self, settings: TransportSettings, client_id: str = "symphainy-key") -> None:
        self._settings = settings
        self._reader = ConfigReader(settings, client_id)

    def __enter__(self) -> Self:
        self._reader.catch_up()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._reader.close()

    @property
    def keys(self) -> Mapping[str, ApiKey]:
        """Every key in force, by id."""
        return self._reader.configuration.keys

    @property
    def tenants(self) -> frozenset[str]:
        """The tenants that are known."""
        return frozenset(self._reader.configuration.tenants)

    def key(self, key_id: str) -> ApiKey:
        """The key in force.

        Raises:
            CallerError: there is none of that id.
        """
        known = self.keys.get(key_id)
        if known is None:
            raise CallerError(
                f"There is no key {key_id[:80]!r}.",
                code="key_not_found",
                field="key_id",
                cure="See `symphainy key list`; the id is what stands between the underscores.",
            )
        return known

    def write(self, *records: ConfigRecord) -> None:
        """Write records; returns when Kafka has acknowledged them.

        Raises:
            Unavailable: Kafka did not.
        """
        write_config(self._settings, *records)

    def change(self, key_id: str, changed: Callable[[ApiKey], ApiKey]) -> ApiKey:
        """Write the version that `changed` makes of the key, and see that it is in force.

        Of two changes at once that wrote the same version number the later one never counts (only
        a higher version is adopted): it is made again of what the earlier one left. So no
        revocation is lost.

        Raises:
            CallerError: there is no such key.
            Unavailable: Kafka did not answer, or others changed the key all the time.
        """
        for _ in range(_TRIES):
            wanted = changed(self.key(key_id))
            self.write(wanted)
            self._reader.catch_up()
            if self.key(key_id) == wanted:
                return wanted
        raise Unavailable(f"Key {key_id} is being changed by others.", cure="Repeat it.")
