"""Settings that every process needs: how to reach Kafka and the object store.

Sources, strongest first: arguments, environment `SYMPHAINY_…`, the TOML file that
`SYMPHAINY_CONFIG` names (default `symphainy.toml` in the working folder), defaults.
"""

from __future__ import annotations

import os
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from symphainy_schemas.errors import OperatorError

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]


class TransportSettings(BaseSettings):
    """How to reach Kafka and the object store."""

    model_config = SettingsConfigDict(
        env_prefix="SYMPHAINY_", extra="ignore", frozen=True, env_ignore_empty=True
    )

    kafka_bootstrap_servers: str = Field("", description="host:port,… of the Kafka brokers")
    kafka_security_protocol: SecurityProtocol = "PLAINTEXT"
    kafka_sasl_mechanism: str = Field("", description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
    kafka_sasl_username: str = ""
    kafka_sasl_password: SecretStr = SecretStr("")
    kafka_ssl_ca_location: str = Field("", description="CA bundle, PEM file")
    kafka_ssl_certificate_location: str = Field("", description="client certificate, PEM file")
    kafka_ssl_key_location: str = Field("", description="client key, PEM file")
    kafka_ssl_key_password: SecretStr = SecretStr("")
    kafka_extra: dict[str, str] = Field(
        default_factory=dict,
        description="librdkafka properties added to every confluent client",
        repr=False,  # some are secrets
    )
    topic_prefix: str = "symphainy."
    partitions: int = Field(8, ge=1, le=100_000, description="of the partitioned topics, for good")
    replication_factor: int = Field(0, ge=0, description="0: 3, or as many as there are brokers")
    artifacts_url: str = Field("", description="file:///…, s3://…, gs://…, az://…")
    inline_limit_bytes: int = Field(
        65_536, ge=1_024, le=262_144, description="larger payloads are claim-checked"
    )
    key_folder: Path | None = Field(
        None, description="keys that wrap tenants' data keys; unset: nothing is sealed or opened"
    )
    key_cache_s: float = Field(
        60.0, ge=1, le=3_600, description="how long unwrapped keys are kept: read on after a shred"
    )
    data_dir: Path = Field(Path(".symphainy"), description="local services' data and artifacts")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the TOML file."""
        toml = TomlConfigSettingsSource(settings_cls, toml_file=config_file())
        return init_settings, env_settings, toml

    @classmethod
    def load(cls) -> Self:
        """From environment and file.

        Raises:
            OperatorError: a value is of no use; names every such setting.
        """
        try:
            return cls()
        except ValidationError as error:
            told = [(str(one["loc"][0]), one["msg"]) for one in error.errors()]
            raise _invalid(
                told[0][0],
                "; ".join(f"SYMPHAINY_{name.upper()}: {what}" for name, what in told),
            ) from error
        except SettingsError as error:  # a dict or list that is not JSON
            raise _invalid("", f"{error}. It must be JSON.") from error
        except TOMLDecodeError as error:
            raise _invalid("", f"{config_file()} is not TOML: {error}") from error

    def require_kafka(self) -> str:
        """The bootstrap servers.

        Raises:
            OperatorError: none are set.
        """
        if not self.kafka_bootstrap_servers:
            raise OperatorError(
                "No Kafka brokers are configured.",
                code="kafka_not_configured",
                field="kafka_bootstrap_servers",
                cure="Set SYMPHAINY_KAFKA_BOOTSTRAP_SERVERS, or run `symphainy dev`.",
            )
        return self.kafka_bootstrap_servers

    def artifacts_location(self) -> str:
        """The object store's URL; a folder under `data_dir` by default."""
        return self.artifacts_url or (self.data_dir.resolve() / "artifacts").as_uri()


def config_file() -> Path:
    """The TOML file that is read, whether or not it exists."""
    return Path(os.environ.get("SYMPHAINY_CONFIG", "symphainy.toml"))


def _invalid(field: str, what: str) -> OperatorError:
    return OperatorError(
        what,
        code="invalid_settings",
        field=field,
        cure=f"Correct the environment or {config_file()}; docs/operations.md lists the settings.",
    )
