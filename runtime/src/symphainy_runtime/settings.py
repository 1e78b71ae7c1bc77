"""Settings of the runtime's own processes, beside those of `symphainy_transport.settings`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from symphainy_runtime.identity_settings import IdentitySettings
from symphainy_schemas.errors import OperatorError


class RuntimeSettings(IdentitySettings):
    """Everything that a runtime process can be told. Sources as in `TransportSettings`."""

    redis_url: str = Field(
        "", description="redis://host:port/db of the read model", repr=False
    )  # it may hold a password
    redis_prefix: str = "symphainy:"
    gateway_host: str = "127.0.0.1"
    gateway_port: int = Field(8080, ge=0, le=65_535)
    max_body_bytes: int = Field(8_388_608, ge=1_024, description="largest request body")
    header_timeout_s: float = Field(
        20.0, ge=1, le=600, description="a connection without a request's whole head is closed"
    )
    body_timeout_s: float = Field(
        20.0, gt=0, le=600, description="for a request's body, and 1 s more for each 4 KiB of it"
    )
    max_requests: int = Field(
        20_000, ge=1, description="with a body, that a gateway answers at once"
    )
    max_request_bytes: int = Field(268_435_456, ge=1_024, description="their bodies' bytes")
    max_waits: int = Field(10_000, ge=1, description="requests that wait for an end at once")
    max_streams: int = Field(10_000, ge=1, description="event streams open at once")
    max_unacknowledged: int = Field(
        20_000, ge=1, description="intents that await Kafka's acknowledgement at once"
    )
    max_unacknowledged_bytes: int = Field(134_217_728, ge=1_024, description="their bytes")
    max_backlog: int = Field(
        50_000, ge=1, description="undecided intents of a partition; beyond it none are taken"
    )
    gateways: int = Field(
        1, ge=1, description="processes that share tenants' rates while Redis is away"
    )
    owner_group: str = Field("owners", description="consumer group, after the topic prefix")
    dedupe_window_days: float = Field(7.0, gt=0, description="how long an intent id is remembered")
    owner_metrics_port: int = Field(
        0, ge=0, le=65_535, description="where an owner answers Prometheus; 0: nowhere"
    )
    max_live_executions: int = Field(
        1_000_000, ge=1, description="of a partition, under way; beyond it its intents wait"
    )
    read_model_retention_days: float = Field(
        7.0, gt=0, description="how long an ended execution stays in the read model"
    )

    audit_url: str = Field(
        "", description="where evidence is kept: file:///…, s3://…, gs://…, az://…"
    )
    audit_key_file: Path | None = Field(None, description="the auditor's key; its secret")
    audit_verifier_keys: str = Field("", description="whose checkpoints count; spaces between")
    audit_records: int = Field(
        10_000, ge=1, le=1_000_000, description="of a partition, that make a checkpoint"
    )
    audit_interval_s: float = Field(
        60.0, gt=0, description="after which fewer records make one, too"
    )
    audit_metrics_port: int = Field(
        0, ge=0, le=65_535, description="where an auditor answers Prometheus; 0: nowhere"
    )

    archive_url: str = Field(
        "", description="where the journal is archived: file:///…, s3://…, gs://…, az://…"
    )
    archive_records: int = Field(
        50_000, ge=1, le=1_000_000, description="of a partition, in a file of the archive"
    )
    archive_interval_s: float = Field(
        300.0, gt=0, description="after which fewer records make a file, too"
    )

    def archive_location(self) -> str:
        """The archive's URL; a folder under `data_dir` by default."""
        return self.archive_url or (self.data_dir.resolve() / "archive").as_uri()

    def audit_location(self) -> str:
        """The URL of the evidence; a folder under `data_dir` by default."""
        return self.audit_url or (self.data_dir.resolve() / "evidence").as_uri()

    def audit_key_path(self) -> Path:
        """The auditor's key; under `data_dir` by default."""
        return self.audit_key_file or self.data_dir / "audit.key"

    def require_redis(self) -> str:
        """The read model's URL.

        Raises:
            OperatorError: none is set.
        """
        if not self.redis_url:
            raise OperatorError(
                "No Redis is configured for the read model.",
                code="redis_not_configured",
                field="redis_url",
                cure="Set SYMPHAINY_REDIS_URL, or run `symphainy dev`.",
            )
        return self.redis_url
