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
    owner_group: str = Field("owners", description="consumer group, after the topic prefix")
    dedupe_window_days: float = Field(7.0, gt=0, description="how long an intent id is remembered")
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
