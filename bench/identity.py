"""What it costs to establish a caller, and to seal or sign an intent. Run: python -m bench.identity

One process, one thread, no load: µs of CPU for each, the least of several rounds.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from symphainy_gateway.identity import Identity
from symphainy_gateway.metrics import Metrics
from symphainy_gateway.oidc.keys import KeySet, read_key_set
from symphainy_gateway.oidc.verifying import TokenRegistry, TokenVerifier
from symphainy_runtime.api_keys import KeyOptions, new_key
from symphainy_runtime.configuration import Configuration
from symphainy_runtime.identity_settings import OidcIssuer
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.records import Intent
from symphainy_transport.clock import SystemClock
from symphainy_transport.sealing import seal, sealed
from symphainy_transport.signing import SigningKey, verified

ISSUER = "https://idp.example"
ROUNDS, CALLS = 7, 1_000
SECRET = b"s" * 32


async def main() -> None:
    """Measure and print."""
    figures: dict[str, float] = {}
    text, record = new_key(KeyOptions(tenant_id="acme", principal="ann"), 1)
    configuration = Configuration(keys={record.key_id: record})
    identity = Identity(RuntimeSettings(), SystemClock(), Metrics())
    headers = {b"authorization": b"Bearer " + text.encode()}
    figures["API key"] = await _us(lambda: identity.caller(headers, configuration))
    for algorithm, key in (
        ("RS256", RSAKey.generate_key(2048, {"kid": "k"}, private=True)),
        ("ES256", ECKey.generate_key("P-256", {"kid": "k"}, private=True)),
        ("EdDSA", OKPKey.generate_key("Ed25519", {"kid": "k"}, private=True)),
    ):
        for what, cached in (("verified", 0), ("remembered", 10)):
            verifier, token = _issued(algorithm, key, cached)
            figures[f"{algorithm}, {what}"] = await _us(lambda: verifier.verified(token))  # noqa: B023  # called here
    for size in (200, 4_000, 65_536):
        intent = _intent(size)
        signing = SigningKey.generate("k")
        signed, closed = signing.sign(intent), seal(intent, SECRET)
        public = KeyOptions(tenant_id="acme", principal="ann", public_key=signing.public)
        _, known = new_key(public, 1, "k")
        assert sealed(closed, SECRET)
        assert verified(signed, known, 2) is None
        figures[f"seal {size} B"] = _least(lambda: seal(intent, SECRET))  # noqa: B023
        figures[f"check a seal {size} B"] = _least(lambda: sealed(closed, SECRET))  # noqa: B023
        figures[f"sign {size} B"] = _least(lambda: signing.sign(intent))  # noqa: B023
        figures[f"check a signature {size} B"] = _least(lambda: verified(signed, known, 2))  # noqa: B023
    print(json.dumps({name: round(us, 1) for name, us in figures.items()}, indent=2))


def _issued(algorithm: str, key: RSAKey | ECKey | OKPKey, cached: int) -> tuple[TokenVerifier, str]:
    document = json.dumps({"keys": [key.as_dict(private=False)]}).encode()

    async def fetch() -> KeySet:
        return read_key_set(document)

    now = SystemClock().now_ms() // 1_000
    claims = {"iss": ISSUER, "aud": "a", "sub": "ann", "tenant": "acme", "exp": now + 3_600,
              "iat": now, "roles": ["reader", "writer"], "jti": "1"}  # fmt: skip
    token = jwt.encode({"alg": algorithm, "kid": "k"}, claims, key, registry=TokenRegistry())
    issuer = OidcIssuer(issuer=ISSUER, audience=("a",))
    return TokenVerifier({issuer: fetch}, SystemClock(), 8_192, cached), token


def _intent(size: int) -> Intent:
    return Intent(
        intent_id="0192f0c1-a2b3-7c4d-8e5f-60718293a4b5", intent_type="content.ingest",
        realm="content", session_id=f"ses-3-{'a' * 32}", tenant_id="acme", principal="ann",
        correlation_id="c", payload=b"x" * size, metadata=b"{}", solution_context=b"",
        created_at=1,
    )  # fmt: skip


async def _us(call: Callable[[], Awaitable[object]]) -> float:
    await call()
    least = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(CALLS):
            await call()
        least = min(least, time.process_time() - began)
    return least / CALLS * 1e6


def _least(call: Callable[[], object]) -> float:
    least = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(CALLS):
            call()
        least = min(least, time.process_time() - began)
    return least / CALLS * 1e6


if __name__ == "__main__":
    asyncio.run(main())
