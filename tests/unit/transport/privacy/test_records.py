"""Which members of records are sealed, and that they come back.

- Of the samples of intents, tasks and reports nothing that is content is left in the clear, and all
  of it opens to what it was.
- Whoever has no keys leaves records as they are.
- A shredded tenant's task is never opened, sealed or not.
- A digest is found again across generations, inline and in the object store, and no other's is.
- An artifact is sealed under the hash of its sealed bytes, and opens; its plain hash is nowhere.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.samples import INTENT, REPORT, TASK

from symphainy_schemas.codec import encode
from symphainy_schemas.records import Call, Checkpoint, Error, ReportKind
from symphainy_transport.artifacts import ArtifactMissing, ArtifactStore
from symphainy_transport.privacy.content import Content, Opener, Standing
from symphainy_transport.privacy.envelope import DataKey
from symphainy_transport.privacy.errors import ContentShredded
from symphainy_transport.privacy.keyring import TenantKeys
from symphainy_transport.privacy.records import (
    opened_intent,
    opened_task,
    payload_digests,
    sealed_intent,
    sealed_report,
)

CANARY = b"canary"
JSON = b'{"a":"canary"}'
CLEAR = Opener("acme", Standing.CLEAR)
UNKNOWN = Opener("acme", Standing.UNKNOWN)
SHREDDED = Opener("acme", Standing.SHREDDED)
STATED = replace(
    INTENT, payload_ref=None, payload=JSON, metadata=b'{"by":"canary"}', solution_context=JSON
)


def sealing(generations: int = 1) -> Opener:
    keys = {n: DataKey("acme", n, bytes([n]) * 32) for n in range(1, generations + 1)}
    return Opener("acme", Standing.SEALED, TenantKeys("acme", keys, False))


class Given(Content):
    def __init__(self, opener: Opener) -> None:
        super().__init__()
        self.opener = opener

    def of(self, tenant_id: str) -> Opener:
        return self.opener


def test_an_intent_is_sealed_and_opens() -> None:
    sealed = sealed_intent(sealing(), STATED)
    assert CANARY not in encode(sealed)
    assert opened_intent(sealing(), sealed).payload == JSON
    plain = replace(STATED, metadata=b'{"source":"http"}')
    assert sealed_intent(sealing(), plain).metadata == plain.metadata


def test_a_task_opens() -> None:
    one = sealing()
    task = replace(
        TASK,
        payload=one.seal("p", JSON),
        metadata=one.seal("m", JSON),
        solution_context=one.seal("s", JSON),
        checkpoints=(
            Checkpoint("a", one.seal("c", JSON)),
            Checkpoint("b", b'{"result":' + one.seal("d", JSON) + b"}"),
        ),
        result=one.seal("r", JSON),
    )
    assert CANARY not in encode(task)
    opened = opened_task(one, task)
    assert opened.payload == opened.metadata == opened.solution_context == opened.result == JSON
    assert [x.result for x in opened.checkpoints] == [JSON, b'{"result":' + JSON + b"}"]


def test_a_report_is_sealed() -> None:
    told = replace(
        REPORT,
        result=JSON,
        events=tuple(replace(x, data=JSON) for x in REPORT.events),
        state_changes=tuple(replace(x, value=JSON) for x in REPORT.state_changes),
        error=Error(code="no", message="a canary", cure="no canary", operator_action="canary!"),
        call=Call("work.do", "work", JSON, True),
    )
    assert told.events
    assert told.state_changes
    assert CANARY in encode(told)
    sealed = sealed_report(sealing(), told)
    assert CANARY not in encode(sealed)
    assert sealed.error is not None
    assert sealing().reveal(sealed.error.message) == "a canary"
    progress = replace(told, kind=ReportKind.PROGRESS, name="at canary", error=None, call=None)
    assert CANARY not in encode(sealed_report(sealing(), progress))
    assert sealed_report(sealing(), told).name == told.name


@pytest.mark.parametrize("opener", [CLEAR, UNKNOWN])
def test_without_keys_records_stay_as_they_are(opener: Opener) -> None:
    assert sealed_intent(opener, STATED) is STATED
    assert sealed_report(opener, REPORT) is REPORT
    assert opened_task(opener, TASK) == TASK


def test_no_task_of_a_shredded_tenant_is_opened() -> None:
    with pytest.raises(ContentShredded):
        opened_task(SHREDDED, TASK)


@pytest.mark.parametrize("large", [True, False])
def test_a_digest_is_found_again_across_generations(large: bool) -> None:
    def stands(opener: Opener, payload: bytes) -> bytes:
        intent = replace(STATED, payload=payload)
        sealed = opener.seal_bytes(payload) if large else sealed_intent(opener, intent).payload
        assert sealed is not None
        return sha256(sealed).digest()

    found = payload_digests(sealing(3), STATED, large=large)
    assert stands(sealing(1), JSON) in found
    assert stands(sealing(3), JSON) in found
    assert sha256(JSON).digest() in found  # as it stood before there were keys
    assert stands(sealing(1), b'{"a":"other"}') not in found


async def test_an_artifact_is_sealed_and_opens(tmp_path: Path) -> None:
    given = Given(sealing())
    store = ArtifactStore((tmp_path / "a").as_uri(), given)
    reference = await store.put("acme", b"the canary", "text/plain")
    assert reference == await store.put("acme", b"the canary", "text/plain")
    assert reference.uri.endswith(".sealed")
    assert reference.size == 10
    [file] = [one for one in (tmp_path / "a").rglob("*") if one.is_file()]
    assert CANARY not in file.read_bytes()
    assert sha256(b"the canary").hexdigest() not in file.name
    assert sha256(file.read_bytes()).digest() == reference.sha256
    assert await store.get(reference) == b"the canary"
    assert await store.holds("acme", b"the canary")
    given.opener = sealing(2)
    assert await store.get(reference) == b"the canary"
    given.opener = SHREDDED
    with pytest.raises(ContentShredded):
        await store.get(reference)
    with pytest.raises(ContentShredded):
        await store.put("acme", b"more", "text/plain")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ArtifactMissing):
        await store.get(reference)
