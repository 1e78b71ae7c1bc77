"""The asyncio client of Kafka, set as its twin in `clients` is."""

from __future__ import annotations

import ssl
from typing import Any

from aiokafka import AIOKafkaProducer

from symphainy_transport.settings import TransportSettings


def async_producer(
    settings: TransportSettings, client_id: str, **overrides: Any
) -> AIOKafkaProducer:
    """An idempotent asyncio producer; start it inside the event loop."""
    return AIOKafkaProducer(
        **(
            {
                "bootstrap_servers": settings.require_kafka(),
                "client_id": client_id,
                "acks": "all",
                "enable_idempotence": True,
                "linger_ms": 0,
                "request_timeout_ms": 10_000,
                "retry_backoff_ms": 50,
                # The largest inline record: payload, metadata and context at their limits.
                "max_request_size": 1_048_576,
                **_security(settings),
            }
            | overrides
        )
    )


def _security(settings: TransportSettings) -> dict[str, Any]:
    security: dict[str, Any] = {"security_protocol": settings.kafka_security_protocol}
    if settings.kafka_security_protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=settings.kafka_ssl_ca_location or None)
        if settings.kafka_ssl_certificate_location:
            context.load_cert_chain(
                settings.kafka_ssl_certificate_location,
                settings.kafka_ssl_key_location or None,
                settings.kafka_ssl_key_password.get_secret_value() or None,
            )
        security["ssl_context"] = context
    if settings.kafka_security_protocol.startswith("SASL"):
        security |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_sasl_username,
            "sasl_plain_password": settings.kafka_sasl_password.get_secret_value(),
        }
    return security
