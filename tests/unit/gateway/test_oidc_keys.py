"""An issuer's keys, and tokens that were verified before.

- Keys are fetched before they are asked for, and again when they are old; a request waits for the
  issuer only where nothing known answers it.
- Keys that rotate are found at once; kids that nobody has are asked for once in a while, whoever
  names them.
- Without the issuer, keys count for a bounded time; then the answer is 503 and when to come back,
  and API keys go on.
- What an issuer answers is bounded in time and size, and garbage changes nothing.
- A verified token is not verified again, and counts no longer than it would.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from joserfc import jws
from tests.unit.gateway.caller import Answer, Caller
from tests.unit.gateway.fakes import KEY
from tests.unit.gateway.issuer import JWKS, NOW_S, OTHER_RSA, RSA, FakeClock, Issuer
from tests.unit.gateway.test_oidc import LIST, caller_for

from symphainy_gateway.oidc import key_source
from symphainy_gateway.oidc.once import UsedTokens


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with Issuer(RSA) as one:
        yield one


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def verifications(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """One item for each signature that is verified, by joserfc as ever."""
    made: list[int] = []
    real = jws.validate_compact

    def counting(*arguments: Any) -> bool:
        made.append(1)
        return bool(real(*arguments))

    monkeypatch.setattr(jws, "validate_compact", counting)
    return iter([made])


def _is_unavailable(answer: Answer) -> bool:
    told = (answer.status, answer.json.get("code"), answer.headers.get("retry-after"))
    return told == (503, "identity_unavailable", "2")


async def test_keys_are_there_before_the_first_request(issuer: Issuer, clock: FakeClock) -> None:
    call = caller_for(issuer, clock)
    async with call.gateway.identity:
        await issuer.until_asked(1)
        assert (await call("GET", LIST, key=issuer.token())).status == 200
    assert issuer.asked == [JWKS]


async def test_keys_are_refreshed_in_the_background(issuer: Issuer, clock: FakeClock) -> None:
    call = caller_for(issuer, clock, max_age_s=0.01)
    async with call.gateway.identity:
        await issuer.until_asked(4)
    assert set(issuer.asked) == {JWKS}


async def test_a_failed_refresh_is_tried_again_and_changes_nothing(
    issuer: Issuer, clock: FakeClock
) -> None:
    call = caller_for(issuer, clock, max_age_s=0.01)
    async with call.gateway.identity:
        await issuer.until_asked(1)
        issuer.answer = lambda _: (500, {}, b"")
        await issuer.until_asked(4)
        assert (await call("GET", LIST, key=issuer.token())).status == 200


async def test_a_key_that_the_issuer_rotates_to_is_found_at_once(
    issuer: Issuer, clock: FakeClock
) -> None:
    call = caller_for(issuer, clock)
    assert (await call("GET", LIST, key=issuer.token())).status == 200
    fresh = type(RSA).generate_key(2048, {"kid": "fresh"}, private=True)
    issuer.keys = [fresh]
    assert (await call("GET", LIST, key=issuer.token(fresh))).status == 200
    assert len(issuer.asked) == 2
    # What the old key has signed does not count any more, though it was verified before.
    old = await call("GET", LIST, key=issuer.token())
    assert (old.status, old.json["code"]) == (401, "invalid_token")


async def test_a_key_of_the_same_kid_may_be_another(issuer: Issuer, clock: FakeClock) -> None:
    call = caller_for(issuer, clock, max_age_s=0.01)
    token = issuer.token()
    async with call.gateway.identity:
        await issuer.until_asked(1)
        assert (await call("GET", LIST, key=token)).status == 200
        issuer.keys = [OTHER_RSA]
        await issuer.until_asked(len(issuer.asked) + 2)
        assert (await call("GET", LIST, key=token)).status == 401
        assert (await call("GET", LIST, key=issuer.token(OTHER_RSA))).status == 200


async def test_garbage_kids_do_not_hammer_the_issuer(issuer: Issuer, clock: FakeClock) -> None:
    call = caller_for(issuer, clock)
    assert (await call("GET", LIST, key=issuer.token())).status == 200

    async def garbage(number: int) -> int:
        token = issuer.token(OTHER_RSA, header={"kid": f"garbage-{number}"})
        return (await call("GET", LIST, key=token)).status

    assert await asyncio.gather(*map(garbage, range(20))) == [401] * 20
    assert len(issuer.asked) == 2
    clock.s += key_source.UNKNOWN_KID_S - 0.1
    assert await garbage(20) == 401
    assert len(issuer.asked) == 2
    clock.s += 0.1
    assert await garbage(21) == 401
    assert len(issuer.asked) == 3
    assert (await call("GET", LIST, key=issuer.token())).status == 200


async def test_requests_that_wait_share_one_fetch(issuer: Issuer, clock: FakeClock) -> None:
    call = caller_for(issuer, clock)
    issuer.open.clear()
    asking = [asyncio.create_task(call("GET", LIST, key=issuer.token(n=n))) for n in range(10)]
    await issuer.until_asked(1)
    # Nobody who has an API key waits with them.
    assert (await call("GET", LIST, key=KEY)).status == 200
    issuer.open.set()
    assert [answer.status for answer in await asyncio.gather(*asking)] == [200] * 10
    assert issuer.asked == [JWKS]


async def test_a_client_that_leaves_stops_no_fetch(issuer: Issuer, clock: FakeClock) -> None:
    call = caller_for(issuer, clock)
    issuer.open.clear()
    first = asyncio.create_task(call("GET", LIST, key=issuer.token()))
    await issuer.until_asked(1)
    second = asyncio.create_task(call("GET", LIST, key=issuer.token()))
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    issuer.open.set()
    assert (await second).status == 200


async def test_down_at_the_start(issuer: Issuer, clock: FakeClock) -> None:
    await issuer.stop()
    call = caller_for(issuer, clock)
    token = issuer.token()
    assert _is_unavailable(await call("GET", LIST, key=token))
    assert (await call("GET", LIST, key=KEY)).status == 200
    await issuer.restart()
    assert _is_unavailable(await call("GET", LIST, key=token))  # not asked at every request
    assert issuer.asked == []
    clock.s += key_source.RETRY_S
    assert (await call("GET", LIST, key=token)).status == 200


async def test_down_later(issuer: Issuer, clock: FakeClock) -> None:
    call = caller_for(issuer, clock, max_age_s=100, stale_s=1_000)
    token = issuer.token(exp=NOW_S + 10_000)
    assert (await call("GET", LIST, key=token)).status == 200
    await issuer.stop()
    clock.s += 1_100
    assert (await call("GET", LIST, key=token)).status == 200
    assert (await call("GET", LIST, key=issuer.token(exp=NOW_S + 9_999))).status == 200
    clock.s += 1
    assert _is_unavailable(await call("GET", LIST, key=token))
    await issuer.restart()
    clock.s += key_source.RETRY_S
    assert (await call("GET", LIST, key=token)).status == 200


async def test_an_unknown_kid_while_the_issuer_is_down_is_not_called_false(
    issuer: Issuer, clock: FakeClock
) -> None:
    call = caller_for(issuer, clock)
    assert (await call("GET", LIST, key=issuer.token())).status == 200
    await issuer.stop()
    fresh = issuer.token(OTHER_RSA, header={"kid": "fresh"})
    assert _is_unavailable(await call("GET", LIST, key=fresh))
    assert (await call("GET", LIST, key=issuer.token())).status == 200
    await issuer.restart()


async def test_slow(issuer: Issuer, clock: FakeClock) -> None:
    call = caller_for(issuer, clock, timeout_s=0.05)
    issuer.open.clear()
    assert _is_unavailable(await call("GET", LIST, key=issuer.token()))
    issuer.open.set()


HUGE = json.dumps({"keys": [RSA.as_dict(private=False)], "x": "y" * 300_000}).encode()


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, {}, b""),
        (200, {}, b"\xff\xfe"),
        (200, {}, b"<html>"),
        (200, {}, b"[]"),
        (200, {}, b"{}"),
        (200, {}, b'{"keys": {}}'),
        (200, {}, b'{"keys": [1]}'),
        (200, {}, b'{"keys": []}'),
        (200, {}, b'{"keys": [{"kty": "oct", "k": "x"}]}'),
        (200, {}, b"[" * 100_000),
        (200, {}, HUGE),
        (200, {"content-encoding": "gzip"}, gzip.compress(HUGE)),
        (200, {"content-length": "1000000000"}, b"x"),
        (302, {"location": "https://evil.example/keys"}, b""),
        (404, {}, b""),
        (500, {}, b"{}"),
    ],
)
async def test_garbage(
    issuer: Issuer, clock: FakeClock, status: int, headers: dict[str, str], body: bytes
) -> None:
    issuer.answer = lambda _: (status, headers, body)
    call = caller_for(issuer, clock, timeout_s=0.5)
    assert _is_unavailable(await call("GET", LIST, key=issuer.token()))
    issuer.answer = issuer.document
    clock.s += key_source.RETRY_S
    assert (await call("GET", LIST, key=issuer.token())).status == 200
    issuer.answer = lambda _: (status, headers, body)
    unknown = issuer.token(OTHER_RSA, header={"kid": "x"})
    assert _is_unavailable(await call("GET", LIST, key=unknown))
    assert (await call("GET", LIST, key=issuer.token())).status == 200


async def test_a_verified_token_is_not_verified_again_but_ends_in_time(
    issuer: Issuer, clock: FakeClock, verifications: Iterator[list[int]]
) -> None:
    made = next(verifications)
    call = caller_for(issuer, clock)
    token = issuer.token()
    for _ in range(5):
        assert (await call("GET", LIST, key=token)).status == 200
    assert len(made) == 1
    clock.s += 659.9
    assert (await call("GET", LIST, key=token)).status == 200
    assert len(made) == 1
    clock.s += 0.1
    assert (await call("GET", LIST, key=token)).json["code"] == "token_expired"


async def test_the_cache_is_bounded_and_may_be_none(
    issuer: Issuer, clock: FakeClock, verifications: Iterator[list[int]]
) -> None:
    made = next(verifications)
    for cached, expected in ((2, 4), (0, 10)):
        made.clear()
        call = Caller(clock=clock, oidc_issuers=(issuer.settings(),), oidc_cached_tokens=cached)
        tokens = [issuer.token(n=n) for n in range(3)]
        for token in (0, 0, 0, 1, 1, 2, 2, 2, 2, 0):
            assert (await call("GET", LIST, key=tokens[token])).status == 200
        assert len(made) == expected


async def test_a_tenant_that_goes_takes_its_verified_tokens_along(
    issuer: Issuer, clock: FakeClock
) -> None:
    call = caller_for(issuer, clock)
    assert (await call("GET", LIST, key=issuer.token())).status == 200
    del call.backend.configuration.tenants["acme"]
    assert (await call("GET", LIST, key=issuer.token())).json["code"] == "token_claims"


def test_used_tokens_are_never_forgotten_to_make_room() -> None:
    used = UsedTokens(limit=2)
    assert used.first("a", 10)
    assert used.first("b", 20)
    assert not used.first("a", 10)
    assert used.full(9.9)
    assert not used.full(10)
    assert used.first("c", 30)
    assert not used.first("b", 20)
    assert used.full(19)
