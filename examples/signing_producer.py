"""A producer that signs what it writes to Kafka: docs/identity.md."""

from symphainy import IntentProducer, SigningKey
from symphainy_transport.settings import TransportSettings


async def report(key_id: str, private_key: bytes) -> None:
    key = SigningKey.from_pem(key_id, private_key)
    settings = TransportSettings.load()
    async with IntentProducer(
        settings, "acme", "meter", signing_key=key, roles=["producer"]
    ) as producer:
        session = await producer.open_session()
        await producer.submit("meter.read", {"kwh": 17}, session_id=session)
