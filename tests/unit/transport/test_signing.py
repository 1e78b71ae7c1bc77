"""Seals and signatures of intents.

- Any change of a sealed or signed intent breaks it; so does another secret or key.
- The canonical bytes are those of another Avro library, and a signature made of them counts.
- A signed intent says no more than its key's record allows; which of unknown, revoked, expired and
  forged it is, nobody is told.
- What is sealed or signed is what stands in Kafka: the payload's claim check, too.
- No text of a key shows its private part.
"""

from __future__ import annotations

import json
import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict, replace
from tests.samples import INTENT

from symphainy_schemas.codec import decode, schema_fingerprint, schema_text
from symphainy_schemas.errors import CallerError
from symphainy_schemas.records import ApiKey, Intent, Reference
from symphainy_transport.artifacts import ArtifactStore
from symphainy_transport.publishing import IntentPublisher
from symphainy_transport.sealing import Sign, canonical, seal, sealed, sealing
from symphainy_transport.settings import TransportSettings
from symphainy_transport.signing import SigningKey, verified

NOW = 1_000
SECRET = b"s" * 32
SIGNING = SigningKey.generate("k1")
KEY = ApiKey(
    key_id="k1",
    version=1,
    tenant_id="acme",
    principal="ada",
    secret_sha256=b"",
    created_at=1,
    roles=("reader", "writer"),
    attributes=b'{"team":"claims","level":2}',
    public_key=SIGNING.public,
)
PLAIN = replace(
    INTENT,
    intent_type="content.ingest",
    tenant_id="acme",
    principal="ada",
    roles=("reader",),
    attributes=b'{"level":2}',
    authentication="",
    credential="",
    signature=b"",
)
SIGNED = SIGNING.sign(PLAIN)
CHANGES: dict[str, Any] = {
    "intent_id": "another",
    "intent_type": "content.delete",
    "realm": "other",
    "session_id": f"ses-1-{'b' * 32}",
    "tenant_id": "rival",
    "principal": "root",
    "correlation_id": "c",
    "causation_id": "exe",
    "payload": b'{"n":2}',
    "payload_ref": Reference("artifact://acme/1", b"\x01" * 32, 9, "application/json"),
    "metadata": b'{"source":"other"}',
    "solution_context": b'{"x":1}',
    "created_at": 77,
    "traceparent": "00",
    "priority": 1,
    "roles": ("admin",),
    "attributes": b'{"level":3}',
    "authentication": "other",
    "credential": "k2",
}


def _code(intent: Intent, key: ApiKey | None = KEY, now: int = NOW) -> str:
    error = verified(intent, key, now)
    return error.code if error else ""


def test_every_member_is_changed_here() -> None:
    assert set(asdict(PLAIN)) - {"signature"} == set(CHANGES)
    for member, value in CHANGES.items():
        assert getattr(SIGNED, member) != value


@pytest.mark.parametrize("member", sorted(CHANGES))
def test_any_change_breaks_seal_and_signature(member: str) -> None:
    change = {member: CHANGES[member]}
    assert not sealed(replace(seal(PLAIN, SECRET), **change), SECRET)
    assert _code(replace(SIGNED, **change)) == "signature_invalid"


def test_a_seal_is_of_its_secret_and_outlives_a_rotation() -> None:
    one = seal(replace(PLAIN, authentication="jwt", credential="iss#1"), SECRET)
    assert one.authentication == "jwt"
    assert sealed(one, SECRET)
    assert sealed(one, b"n" * 32, SECRET)
    assert not sealed(one, b"n" * 32)
    assert not sealed(one)
    assert not sealed(PLAIN, SECRET)
    assert not sealed(replace(one, signature=one.signature[:-1]), SECRET)
    assert seal(one, SECRET) == one


@given(flipped=st.integers(0, 8 * 64 - 1))
def test_a_signature_has_no_twin(flipped: int) -> None:
    forged = bytearray(SIGNED.signature)
    forged[flipped // 8] ^= 1 << flipped % 8
    assert _code(replace(SIGNED, signature=bytes(forged))) == "signature_invalid"


def test_a_signature_is_of_the_key_that_it_names_while_that_counts() -> None:
    assert _code(SIGNED) == ""
    assert _code(SIGNED, replace(KEY, expires_at=NOW + 1)) == ""
    for key in (
        None,
        replace(KEY, key_id="k2"),
        replace(KEY, tenant_id="rival"),
        replace(KEY, public_key=SigningKey.generate("k1").public),
        replace(KEY, public_key=b""),
        replace(KEY, public_key=b"\x07"),
        replace(KEY, revoked=True),
        replace(KEY, expires_at=NOW),
    ):
        told = verified(SIGNED, key, NOW)
        assert told == verified(replace(SIGNED, signature=b""), KEY, NOW)
        assert told is not None
        assert told.code == "signature_invalid"


def test_the_record_says_what_its_owner_may_state() -> None:
    assert _code(SIGNING.sign(replace(PLAIN, principal="root"))) == "principal_mismatch"
    assert _code(SIGNING.sign(replace(PLAIN, roles=("reader", "admin")))) == "roles_mismatch"
    for attributes in (b'{"level":3}', b'{"clearance":1}', b"[]", b"\xff", b'{"level":2,"a":1}'):
        intent = SIGNING.sign(replace(PLAIN, attributes=attributes))
        assert _code(intent) == "attributes_mismatch"
    for attributes in (b"", b"{}", KEY.attributes):
        assert _code(SIGNING.sign(replace(PLAIN, attributes=attributes))) == ""
    assert _code(SIGNED, replace(KEY, scopes=("billing.*", "read"))) == "out_of_scope"
    assert _code(SIGNED, replace(KEY, scopes=("billing.*", "content.ing*"))) == ""


def test_another_avro_library_makes_the_same_bytes_and_its_signature_counts() -> None:
    text = schema_text(Intent)
    private = Ed25519PrivateKey.generate()
    intent = replace(PLAIN, authentication="signature", credential="k1")
    datum = {**asdict(intent), "roles": list(intent.roles)}
    if intent.payload_ref is not None:
        datum["payload_ref"] = asdict(intent.payload_ref)
    out = BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(json.loads(text)), datum)
    theirs = b"\xc3\x01" + schema_fingerprint(text) + out.getvalue()
    assert theirs == canonical(intent) == canonical(replace(intent, signature=b"any"))
    signed = replace(intent, signature=private.sign(theirs))
    key = replace(KEY, public_key=private.public_key().public_bytes_raw())
    assert _code(signed, key) == ""


def test_the_canonical_schema_is_the_one_that_was_released_with_signatures() -> None:
    """Who changes Intent's schema makes every signature of an older producer unverifiable, unless
    `canonical` encodes with the schema that the record came with: do that first."""
    fingerprint = struct.unpack("<Q", schema_fingerprint(schema_text(Intent)))[0]
    assert canonical(PLAIN)[:2] == b"\xc3\x01"
    assert struct.unpack("<Q", canonical(PLAIN)[2:10])[0] == fingerprint
    assert fingerprint == 3712988411054902309


def test_a_key_is_kept_as_pem_and_shows_nothing() -> None:
    pem = SIGNING.private_pem()
    again = SigningKey.from_pem("k1", pem)
    assert again.public == SIGNING.public
    assert SigningKey.from_pem("k1", pem.encode()).sign(PLAIN) == SIGNED
    secret = pem.splitlines()[1]
    assert repr(SIGNING) == str(SIGNING) == "SigningKey(k1)"
    assert secret not in repr(vars(SigningKey))
    for wrong in ("", pem.replace(secret, secret[::-1]), secret):
        with pytest.raises(CallerError) as refused:
            SigningKey.from_pem("k1", wrong)
        assert refused.value.code == "signing_key_malformed"
        assert secret not in str(refused.value)


class _Placed:
    offset = 5


class _Producer:
    """Takes what would go to Kafka."""

    def __init__(self) -> None:
        self.values: list[bytes] = []

    async def send_and_wait(self, topic: str, value: bytes, **_: Any) -> _Placed:
        self.values.append(value)
        return _Placed()


@pytest.mark.parametrize("payload", [b'{"n":1}', b'{"n":"' + b"x" * 2_000 + b'"}'])
@pytest.mark.parametrize("sign", [SIGNING.sign, sealing(SECRET)], ids=["signed", "sealed"])
async def test_what_is_signed_is_what_stands_in_kafka(
    tmp_path: Path, payload: bytes, sign: Sign
) -> None:
    settings = TransportSettings(
        kafka_bootstrap_servers="127.0.0.1:1",
        artifacts_url=tmp_path.as_uri(),
        inline_limit_bytes=1_024,
    )
    publisher = IntentPublisher(settings, ArtifactStore.from_settings(settings), "test", sign)
    kafka = _Producer()
    publisher._producer = kafka
    publisher.partitions = 8
    await publisher.publish(replace(PLAIN, payload=payload, payload_ref=None))
    stands = decode(kafka.values[0], Intent)
    assert (stands.payload_ref is None) == (len(payload) < 1_024)
    if stands.authentication:
        assert _code(stands) == ""
    else:
        assert sealed(stands, SECRET)
