"""Intents straight into the write-ahead log, against real Kafka."""

from __future__ import annotations

import json

import pytest
from pydantic import BaseModel
from tests.integration.sdk.conftest import Site

from symphainy import IntentProducer
from symphainy_schemas import ids
from symphainy_schemas.errors import CallerError
from symphainy_transport.artifacts import ArtifactStore


class File(BaseModel):
    """A payload."""

    path: str


async def test_a_session_and_its_intents_stand_in_order_in_one_partition(site: Site) -> None:
    async with IntentProducer(site.settings, "acme", "ann") as producer:
        session = await producer.open_session({"purpose": "test"})
        first = await producer.submit("probe.echo", File(path="a.pdf"), session_id=session)
        second = await producer.submit(
            "probe.echo",
            {"path": "b.pdf"},
            session_id=session,
            intent_id="mine-1",
            correlation_id="c-1",
            metadata={"batch": 7},
            solution_context={"solution": "mvp"},
        )
    opened, one, two = site.intents()
    assert (opened.intent_type, opened.realm, opened.session_id) == (
        "runtime.open_session",
        "runtime",
        session,
    )
    assert json.loads(opened.payload) == {"attributes": {"purpose": "test"}}
    assert (one.realm, one.tenant_id, one.principal) == ("probe", "acme", "ann")
    assert json.loads(one.payload) == {"path": "a.pdf"}
    assert json.loads(one.metadata) == {"source": "producer"}
    assert (one.correlation_id, one.solution_context) == (one.intent_id, b"")
    assert json.loads(two.metadata) == {"source": "producer", "batch": 7}
    assert json.loads(two.solution_context) == {"solution": "mvp"}
    assert (two.intent_id, two.correlation_id) == ("mine-1", "c-1")
    assert first.partition == second.partition == ids.partition_of(session)
    assert second.offset > first.offset
    assert second.execution_id == ids.execution_id("acme", session, "mine-1", second.partition)


async def test_a_large_payload_is_claim_checked(site: Site) -> None:
    payload = {"text": "x" * 100_000}
    async with IntentProducer(site.settings, "acme", "ann") as producer:
        session = await producer.open_session()
        await producer.submit("probe.echo", payload, session_id=session)
    (_, intent) = site.intents()
    assert intent.payload == b""
    assert intent.payload_ref is not None
    stored = await ArtifactStore.from_settings(site.settings).get(intent.payload_ref)
    assert json.loads(stored) == payload


async def test_malformed_intents_are_refused_before_kafka(site: Site) -> None:
    with pytest.raises(CallerError):
        IntentProducer(site.settings, "No Tenant", "ann")
    async with IntentProducer(site.settings, "acme", "ann") as producer:
        session = await producer.open_session()
        for intent_type, intent_id in (("echo", None), ("probe.echo", "no spaces")):
            with pytest.raises(CallerError) as refused:
                await producer.submit(intent_type, {}, session_id=session, intent_id=intent_id)
            assert refused.value.cure
    assert len(site.intents()) == 1
