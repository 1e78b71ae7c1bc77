"""Tokens of OpenID Connect issuers, over real HTTP and through the application.

- A genuine token speaks for the tenant, principal, roles and attributes that it states, and every
  intent says so, whatever its body says.
- Nothing that a token says of itself chooses how it is verified.
- Of a token that does not count its owner is told what can be cured, of signatures and keys
  nothing.
- Verified tokens cost no verification, and count no longer than they would without.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from joserfc import jws
from tests.unit.gateway.caller import Answer, Caller
from tests.unit.gateway.fakes import KEY, intent_body
from tests.unit.gateway.issuer import (
    AUDIENCE,
    EC,
    ED,
    JWKS,
    NOW_S,
    OTHER_RSA,
    RSA,
    WEAK_RSA,
    FakeClock,
    Issuer,
)

from symphainy_gateway.oidc.verifying import TokenRegistry

LIST = "/v1/executions"


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with Issuer() as one:
        yield one


def caller_for(issuer: Issuer, clock: FakeClock | None = None, **members: Any) -> Caller:
    return Caller(clock=clock or FakeClock(), oidc_issuers=(issuer.settings(**members),))


@pytest.fixture
def call(issuer: Issuer) -> Caller:
    return caller_for(issuer)


def _reason(call: Caller) -> str:
    """The one reason that the operator is told."""
    text = call.gateway.metrics.exposition().decode()
    found = re.findall(r'unauthenticated_total{reason="(\w+)"} 1.0', text)
    assert len(found) == 1
    return str(found[0])


async def _refused(call: Caller, token: str, code: str, reason: str) -> Answer:
    answer = await call("GET", LIST, key=token)
    assert answer.is_problem
    assert (answer.status, answer.json["code"]) == (401, code)
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="symphainy", error="invalid_token", error_desc')
    assert answer.json["detail"] in challenge
    assert answer.json["cure"]
    assert len(token) < 10 or token not in str(answer)
    assert _reason(call) == reason
    return answer


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (EC, "ES256"), (ED, "EdDSA")])
async def test_a_genuine_token_is_accepted(
    issuer: Issuer, call: Caller, key: Any, algorithm: str
) -> None:
    answer = await call("GET", LIST, key=issuer.token(key, algorithm))
    assert answer.status == 200
    assert issuer.asked == [JWKS]


async def test_an_intent_carries_who_the_token_speaks_for(issuer: Issuer) -> None:
    call = caller_for(
        issuer,
        roles_claim="realm_access.roles",
        attribute_claims="department,org.unit,absent",
        principal_claim="email",
    )
    token = issuer.token(
        jti="t-1",
        email="ann@acme.example",
        realm_access={"roles": ["reader", "writer", "reader"]},
        department="claims",
        org={"unit": {"n": 3}},
    )
    forged = {"roles": ["admin"], "principal": "root", "authentication": "api_key"}
    for body in (intent_body(), intent_body(metadata=forged, solution_context=forged)):
        assert (await call("POST", "/v1/intents", body, key=token)).status == 202
    refused = await call("POST", "/v1/intents", intent_body(roles=["admin"]), key=token)
    assert refused.status == 422
    assert (await call("POST", "/v1/sessions", {}, key=token)).status in (201, 202)
    assert len(call.backend.publisher.published) == 3
    for intent in call.backend.publisher.published:
        assert (intent.tenant_id, intent.principal) == ("acme", "ann@acme.example")
        assert intent.roles == ("reader", "writer")
        assert json.loads(intent.attributes) == {"department": "claims", "org.unit": {"n": 3}}
        assert (intent.authentication, intent.credential) == ("jwt", f"{issuer.url}#t-1")


async def test_a_claim_of_that_very_name_comes_before_one_along_the_dots(issuer: Issuer) -> None:
    call = caller_for(issuer, roles_claim="https://acme.example/roles")
    token = issuer.token(members={"https://acme.example/roles": "one two"})
    assert (await call("POST", "/v1/intents", intent_body(), key=token)).status == 202
    (intent,) = call.backend.publisher.published
    assert intent.roles == ("one", "two")
    assert re.fullmatch(re.escape(issuer.url) + "#sha256:[0-9a-f]{16}", intent.credential)


@pytest.mark.parametrize("platform", [False, True])
async def test_only_an_issuer_of_the_platform_names_its_operators(
    issuer: Issuer, platform: bool
) -> None:
    call = caller_for(issuer, platform=platform)
    token = issuer.token(roles=["reader", "platform_operator"])
    assert (await call("POST", "/v1/intents", intent_body(), key=token)).status == 202
    (intent,) = call.backend.publisher.published
    assert intent.roles == (("reader", "platform_operator") if platform else ("reader",))


async def test_the_issuer_is_asked_where_its_keys_are(issuer: Issuer) -> None:
    call = caller_for(issuer, jwks_url="")
    assert (await call("GET", LIST, key=issuer.token())).status == 200
    assert issuer.asked == ["/.well-known/openid-configuration", JWKS]


async def test_a_discovery_document_of_another_issuer_is_none(issuer: Issuer) -> None:
    call = caller_for(issuer, jwks_url="")
    document = json.dumps({"issuer": "https://evil.example", "jwks_uri": issuer.url + JWKS})
    issuer.answer = lambda path: (
        issuer.document(path) if path == JWKS else (200, {}, document.encode())
    )
    assert (await call("GET", LIST, key=issuer.token())).status == 503
    assert JWKS not in issuer.asked


async def test_of_several_issuers_each_verifies_its_own_tokens(issuer: Issuer) -> None:
    async with Issuer(OTHER_RSA) as other:
        call = Caller(clock=FakeClock(), oidc_issuers=(issuer.settings(), other.settings()))
        assert (await call("GET", LIST, key=issuer.token())).status == 200
        assert (await call("GET", LIST, key=other.token(OTHER_RSA))).status == 200
        await _refused(call, issuer.token(OTHER_RSA), "invalid_token", "signature")


async def test_an_issuer_speaks_only_for_its_tenants(issuer: Issuer) -> None:
    call = caller_for(issuer, tenants="rival, other")
    await _refused(call, issuer.token(), "token_claims", "claims")


def _b64(data: object) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "a.b",
        "a.b.c.d",
        "..",
        f"{_b64(b'no json')}.{_b64({})}.x",
        f"{_b64(['alg'])}.{_b64({'iss': 'x'})}.x",
        f"{_b64({'alg': 'RS256'})}.{_b64(b'[]')}.x",
        f"{_b64({'alg': 'RS256'})}.{_b64(b'{')}.x",
        f"{_b64({'alg': 'RS256'})}.{_b64(b'NaN')}.x",
        f"{_b64({'kid': 'rsa'})}.{_b64({})}.x",
        f"{_b64(b'[' * 3000)}.{_b64({})}.x",
        f"{_b64({'alg': 'RS256', 'b64': False, 'crit': ['b64']})}.x.x",
    ],
)
async def test_what_is_no_token(call: Caller, token: str) -> None:
    await _refused(call, token, "invalid_token", "malformed_token")


async def test_a_token_that_is_too_large(issuer: Issuer, call: Caller) -> None:
    await _refused(call, issuer.token(x="y" * 9_000), "invalid_token", "too_large_token")
    assert issuer.asked == []


@pytest.mark.parametrize("after", [600, 659, 659.999])
async def test_within_the_skew_it_counts_after_its_end(issuer: Issuer, after: float) -> None:
    clock = FakeClock()
    clock.s += after
    assert (await caller_for(issuer, clock)("GET", LIST, key=issuer.token())).status == 200


@pytest.mark.parametrize("after", [660, 661, 10_000])
async def test_expired(issuer: Issuer, after: float) -> None:
    clock = FakeClock()
    clock.s += after
    call = caller_for(issuer, clock)
    answer = await _refused(call, issuer.token(), "token_expired", "expired_token")
    assert answer.json["field"] == "exp"


@pytest.mark.parametrize("claim", ["nbf", "iat"])
async def test_not_yet_valid(issuer: Issuer, claim: str) -> None:
    call = caller_for(issuer)
    just, beyond = ({claim: NOW_S + 60}, {claim: NOW_S + 61})
    assert (await call("GET", LIST, key=issuer.token(members=just))).status == 200
    early = issuer.token(members=beyond)
    answer = await _refused(call, early, "token_not_yet_valid", "early_token")
    assert answer.json["field"] == claim


async def test_the_leeway_is_a_setting(issuer: Issuer) -> None:
    clock = FakeClock()
    clock.s += 600
    call = caller_for(issuer, clock, leeway_s=0)
    await _refused(call, issuer.token(), "token_expired", "expired_token")


@pytest.mark.parametrize("audience", ["other", ["other"], [], ..., None, 7, [["symphainy"]], {}])
async def test_wrong_audience(issuer: Issuer, call: Caller, audience: Any) -> None:
    await _refused(call, issuer.token(aud=audience), "token_audience", "audience")


async def test_one_audience_of_several_is_enough(issuer: Issuer, call: Caller) -> None:
    assert (await call("GET", LIST, key=issuer.token(aud=["other", AUDIENCE]))).status == 200


@pytest.mark.parametrize("name", ["https://evil.example", ..., None, 7, ["x"], ""])
async def test_wrong_issuer(issuer: Issuer, call: Caller, name: Any) -> None:
    await _refused(call, issuer.token(iss=name), "token_issuer", "issuer")
    assert issuer.asked == []


@pytest.mark.parametrize("name", ["none", "None", "NONE", ""])
async def test_alg_none(issuer: Issuer, call: Caller, name: str) -> None:
    for signature in ("", "x"):
        token = f"{_b64({'alg': name})}.{_b64(issuer.claims())}.{signature}"
        answer = await call("GET", LIST, key=token)
        assert (answer.status, answer.json["code"]) == (401, "invalid_token")
    assert issuer.asked == []


@pytest.mark.parametrize("form", ["pem", "der", "jwk"])
async def test_hs256_with_the_public_key_as_secret(issuer: Issuer, call: Caller, form: str) -> None:
    """Forged by hand: joserfc refuses to make it."""
    public = {
        "pem": RSA.as_pem(private=False),
        "der": RSA.as_der(private=False),
        "jwk": json.dumps(RSA.as_dict(private=False)).encode(),
    }[form]
    signed = f"{_b64({'alg': 'HS256', 'kid': 'rsa'})}.{_b64(issuer.claims())}"
    token = f"{signed}.{_b64(hmac.digest(public, signed.encode(), 'sha256'))}"
    await _refused(call, token, "invalid_token", "algorithm")


@pytest.mark.parametrize("algorithm", ["PS256", "RS512"])
async def test_an_algorithm_that_is_not_on_the_list(
    issuer: Issuer, call: Caller, algorithm: str
) -> None:
    await _refused(call, issuer.token(RSA, algorithm), "invalid_token", "algorithm")
    allowed = caller_for(issuer, algorithms=algorithm)
    assert (await allowed("GET", LIST, key=issuer.token(RSA, algorithm))).status == 200


async def test_a_key_verifies_only_what_it_is_for(issuer: Issuer, call: Caller) -> None:
    """A token of one algorithm that names a key of another, and keys that are for other things."""
    token = issuer.token(EC, "ES256", header={"kid": "rsa"})
    await _refused(call, token, "invalid_token", "unknown_kid")
    issuer.keys = [WEAK_RSA]
    weak = issuer.token(WEAK_RSA)
    issuer.keys.append(EC)
    await _refused(caller_for(issuer), weak, "invalid_token", "unknown_kid")
    keys = [{**RSA.as_dict(private=False), "use": "enc"}, EC.as_dict(private=False)]
    issuer.answer = lambda _: (200, {}, json.dumps({"keys": keys}).encode())
    await _refused(caller_for(issuer), issuer.token(), "invalid_token", "unknown_kid")
    keys[0] = {**RSA.as_dict(private=False), "alg": "PS256"}
    await _refused(caller_for(issuer), issuer.token(), "invalid_token", "unknown_kid")


async def test_a_key_set_is_read_as_far_as_it_is_understood(issuer: Issuer) -> None:
    odd: list[Any] = [
        {"kty": "OCT", "k": "x"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "rsa"},
        {"kty": "RSA", "n": 5, "e": "AQAB"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "ec"},
        {"kty": ["RSA"]},
        {"kty": "OKP", "crv": "X25519", "x": "x"},
        {"kid": 7},
        RSA.as_dict(private=False),
    ]
    issuer.answer = lambda _: (200, {}, json.dumps({"keys": odd}).encode())
    assert (await caller_for(issuer)("GET", LIST, key=issuer.token())).status == 200


async def test_without_a_kid_the_only_key_that_fits_is_meant(issuer: Issuer) -> None:
    issuer.keys = [RSA, EC]
    token = issuer.token(header={"kid": ...})
    assert (await caller_for(issuer)("GET", LIST, key=token)).status == 200
    issuer.keys = [RSA, OTHER_RSA]
    await _refused(caller_for(issuer), token, "invalid_token", "unknown_kid")


@pytest.mark.parametrize("part", [0, 1, 2])
async def test_a_changed_token(issuer: Issuer, call: Caller, part: int) -> None:
    parts = issuer.token().split(".")
    if part == 1:
        parts[1] = _b64(issuer.claims(tenant="rival"))
    elif part == 0:
        parts[0] = _b64({"kid": "rsa", "alg": "RS256"})
    else:
        parts[2] = parts[2][:-8] + "AAAAAAAA"
    await _refused(call, ".".join(parts), "invalid_token", "signature")


async def test_crit_is_refused(issuer: Issuer, call: Caller) -> None:
    for crit in (["exp"], ["x"], []):
        token = issuer.token(header={"crit": crit, "exp": 1, "x": 1})
        answer = await call("GET", LIST, key=token)
        assert (answer.status, answer.json["code"]) == (401, "invalid_token")


async def test_keys_within_the_token_are_ignored(issuer: Issuer, call: Caller) -> None:
    async with Issuer(OTHER_RSA) as evil:
        own = {"jwk": OTHER_RSA.as_dict(private=False), "jku": evil.url + JWKS, "x5u": evil.url}
        await _refused(call, issuer.token(OTHER_RSA, header=own), "invalid_token", "signature")
        assert evil.asked == []
    assert (await call("GET", LIST, key=issuer.token(header=own))).status == 200


@pytest.mark.parametrize("kind", ["JWT", "at+jwt", "application/at+JWT", ...])
async def test_types_of_tokens(issuer: Issuer, call: Caller, kind: Any) -> None:
    assert (await call("GET", LIST, key=issuer.token(header={"typ": kind}))).status == 200


async def test_a_token_of_another_type(issuer: Issuer, call: Caller) -> None:
    token = issuer.token(header={"typ": "logout+jwt"})
    await _refused(call, token, "invalid_token", "type")


@pytest.mark.parametrize("tenant", [..., None, 7, ["acme"], "", "Acme", "a" * 64, "acme\n"])
async def test_a_tenant_that_is_none(issuer: Issuer, call: Caller, tenant: Any) -> None:
    answer = await _refused(call, issuer.token(tenant=tenant), "token_claims", "claims")
    assert answer.json["field"] == "tenant"


async def test_a_tenant_that_is_not_known(issuer: Issuer, call: Caller) -> None:
    await _refused(call, issuer.token(tenant="nobody"), "token_claims", "unknown_tenant")


@pytest.mark.parametrize(
    "members",
    [
        {"exp": ...},
        {"exp": "soon"},
        {"exp": True},
        {"exp": None},
        {"exp": 1e300},
        {"exp": -1},
        {"nbf": "x"},
        {"iat": []},
        {"iat": None},
        {"sub": ...},
        {"sub": ""},
        {"sub": "a\nb"},
        {"sub": "x" * 257},
        {"sub": 7},
        {"roles": 7},
        {"roles": [7]},
        {"roles": ["a"] * 101},
        {"roles": {"a": 1}},
        {"roles": [""]},
    ],
)
async def test_claims_that_are_none(issuer: Issuer, call: Caller, members: Any) -> None:
    answer = await _refused(call, issuer.token(**members), "token_claims", "claims")
    assert answer.json["field"] == next(iter(members))


@pytest.mark.parametrize("exp", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_numbers_that_json_does_not_have(issuer: Issuer, call: Caller, exp: str) -> None:
    claims = json.dumps(issuer.claims(exp="?")).replace('"?"', exp).encode()
    token = jws.serialize_compact(
        {"alg": "RS256", "kid": "rsa"}, claims, RSA, registry=TokenRegistry()
    )
    answer = await call("GET", LIST, key=token)
    assert answer.status == 401


async def test_required_claims(issuer: Issuer) -> None:
    call = caller_for(issuer, required_claims="azp,act.sub")
    token = issuer.token(azp="app", act={"sub": None})
    assert (await call("GET", LIST, key=token)).status == 200
    await _refused(call, issuer.token(azp="app"), "token_claims", "claims")


async def test_attributes_are_bounded(issuer: Issuer) -> None:
    call = Caller(
        clock=FakeClock(),
        oidc_issuers=(issuer.settings(attribute_claims="a"),),
        oidc_max_token_bytes=65_536,
    )
    await _refused(call, issuer.token(a="x" * 8_200), "token_claims", "claims")


async def test_scopes_of_a_token(issuer: Issuer) -> None:
    call = caller_for(issuer, scopes_claim="scope")
    limited = issuer.token(scope="openid runtime.cancel read")
    assert (await call("GET", LIST, key=limited)).status == 200
    answer = await call("POST", "/v1/intents", intent_body(), key=limited)
    assert (answer.status, answer.json["code"]) == (403, "out_of_scope")
    await _refused(call, issuer.token(scope="openid profile"), "token_claims", "claims")
    # Without the setting `scope` is another's affair.
    free = caller_for(issuer)
    assert (await free("POST", "/v1/intents", intent_body(), key=limited)).status == 202


async def test_a_token_is_accepted_once_where_that_is_asked(issuer: Issuer) -> None:
    clock = FakeClock()
    call = caller_for(issuer, clock, one_time=True)
    token = issuer.token(jti="1")
    assert (await call("GET", LIST, key=token)).status == 200
    clock.s += 659
    await _refused(call, token, "token_replayed", "replayed_token")
    again = issuer.token(jti="1", exp=NOW_S + 5_000)  # another token of that id
    assert (await call("GET", LIST, key=again)).json["code"] == "token_replayed"
    clock.s += 2
    assert (await call("GET", LIST, key=again)).status == 200
    assert (await call("GET", LIST, key=issuer.token(jti=...))).json["code"] == "token_expired"


@pytest.mark.parametrize("jti", [..., None, 7, ""])
async def test_a_token_that_is_accepted_once_has_an_id(issuer: Issuer, jti: Any) -> None:
    call = caller_for(issuer, one_time=True)
    answer = await _refused(call, issuer.token(jti=jti), "token_claims", "claims")
    assert answer.json["field"] == "jti"


async def test_api_keys_need_no_issuer(issuer: Issuer) -> None:
    await issuer.stop()
    call = caller_for(issuer)
    assert (await call("GET", LIST, key=KEY)).status == 200
    assert (await call("GET", LIST, key=KEY[:-1] + "x")).json["code"] == "unauthenticated"
    await issuer.restart()
    assert issuer.asked == []


async def test_without_issuers_a_token_is_no_credential(issuer: Issuer) -> None:
    answer = await Caller()("GET", LIST, key=issuer.token())
    assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
    assert "token" not in answer.json["cure"]
