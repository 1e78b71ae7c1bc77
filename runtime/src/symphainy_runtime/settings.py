"""Settings of the runtime's own processes, beside those of `symphainy_transport.settings`."""

from __future__ import annotations

from pydantic import Field

from symphainy_schemas.errors import OperatorError
from symphainy_transport.settings import TransportSettings


class RuntimeSettings(TransportSettings):
    """Everything that a runtime process can be told. Sources as in `TransportSettings`."""

    redis_url: str = Field("", description="redis://host:port/db of the read model")
    redis_prefix: str = "symphainy:"
    gateway_host: str = "127.0.0.1"
    gateway_port: int = Field(8080, ge=0, le=65_535)
    max_body_bytes: int = Field(8_388_608, ge=1_024, description="largest request body")
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
