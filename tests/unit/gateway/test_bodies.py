"""Request bodies.

- A body over the limit is refused, whether its length is declared or not.
- Only JSON in UTF-8 that every later reader can hold gets through, and it gets through unchanged.
- Nesting is measured exactly, whatever stands inside strings.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symphainy_gateway import bodies
from symphainy_gateway.bodies import DEPTH_MAX
from symphainy_gateway.problems import Refused

ANY: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


def _receive(*chunks: bytes, disconnects: bool = False) -> Any:
    left = list(chunks)

    async def receive() -> dict[str, Any]:
        if not left:
            assert disconnects, "nothing is left to be read"
            return {"type": "http.disconnect"}
        body = left.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(left) or disconnects}

    return receive


def _code(body: bytes) -> str:
    with pytest.raises(Refused) as refusal:
        bodies.decode(body, ANY)
    return refusal.value.code


async def test_chunks_are_joined() -> None:
    assert await bodies.read(_receive(b"ab", b"", b"cd"), {}, 4) == b"abcd"


async def test_a_declared_length_ends_the_body() -> None:
    receive = _receive(b"abcd", disconnects=True)
    assert await bodies.read(receive, {b"content-length": b"4"}, 4) == b"abcd"


@pytest.mark.parametrize(
    ("chunks", "headers"),
    [
        ((b"",), {b"content-length": b"5"}),
        ((b"",), {b"content-length": b"9" * 40}),
        ((b"12345",), {}),
        ((b"123", b"45", b"6"), {}),
    ],
)
async def test_more_than_the_limit_is_refused(
    chunks: tuple[bytes, ...], headers: dict[bytes, bytes]
) -> None:
    with pytest.raises(Refused) as refusal:
        await bodies.read(_receive(*chunks), headers, 4)
    assert refusal.value.code == "body_too_large"


@pytest.mark.parametrize("chunks", [(), (b"12",)])
async def test_a_client_that_leaves_is_told_apart(chunks: tuple[bytes, ...]) -> None:
    with pytest.raises(Refused) as refusal:
        await bodies.read(_receive(*chunks, disconnects=True), {}, 4)
    assert refusal.value.code == "client_disconnected"


@pytest.mark.parametrize(
    "content_type",
    [b"application/json", b"Application/JSON; charset=UTF-8", b'application/json;charset="utf-8"'],
)
def test_json_may_be_declared_in_any_case(content_type: bytes) -> None:
    bodies.require_json({b"content-type": content_type})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {b"content-type": b"text/plain"},
        {b"content-type": b"application/jsonp"},
        {b"content-type": b"application/json; charset=latin-1"},
        {b"content-type": b"application/json", b"content-encoding": b"gzip"},
    ],
)
def test_another_media_type_is_refused(headers: dict[bytes, bytes]) -> None:
    for require in (bodies.require_json, bodies.require_ndjson):
        with pytest.raises(Refused) as refusal:
            require(headers)
        assert refusal.value.code == "unsupported_media_type"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{}{}",
        b"nonsense",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\ud800x"}',
        b'{"a":"\xff"}',
        b'{"\xed\xa0\x80":1}',
        b"\xef\xbb\xbf{}",
        b'{"a":"\x00"}',
        b"\x00",
    ],
)
def test_what_is_no_json_in_utf8_is_malformed(body: bytes) -> None:
    assert _code(body) == "malformed_json"


def test_a_nul_character_is_refused_but_not_the_text_of_its_escape() -> None:
    assert _code(b'{"a":"\\u0000"}') == "invalid_request"
    assert _code(b'{"a":"\\\\\\u0000"}') == "invalid_request"
    assert bodies.decode(b'{"a":"\\\\u0000"}', ANY) == {"a": "\\u0000"}


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**400])
def test_an_integer_beyond_64_bits_is_refused(number: int) -> None:
    with pytest.raises(Refused) as refusal:
        bodies.encode_object({"a": [number]}, "/payload")
    assert (refusal.value.code, refusal.value.field) == ("invalid_request", "/payload")


def test_integers_of_64_bits_are_kept() -> None:
    value = {"a": [2**64 - 1, -(2**63)]}
    assert json.loads(bodies.encode_object(value, "")) == value


@pytest.mark.parametrize(
    ("opening", "closing", "levels"),
    [("[", "]", 1), ('{"a":', "}", 1), ('[{"a\\"[":', "}]", 2)],
)
def test_nesting_is_bounded_exactly(opening: str, closing: str, levels: int) -> None:
    def nested(times: int) -> bytes:
        return (opening * times + "1" + closing * times).encode()

    fits = DEPTH_MAX // levels
    assert bodies.decode(nested(fits), ANY)
    assert _code(nested(fits + 1)) == "invalid_request"
    assert _code(nested(100_000)) == "invalid_request"


def test_brackets_in_strings_are_not_nesting() -> None:
    value = ["[" * 200 + '\\"{' * 50, {"{[" * 100: '"'}]
    assert bodies.decode(json.dumps(value).encode(), ANY) == value


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.text('ab[]{}"\\é', max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text('k[{"\\'), inner, max_size=3)
    ),
    max_leaves=30,
)


@settings(deadline=None)
@given(JSON_VALUES)
def test_json_gets_through_unchanged(value: Any) -> None:
    assert bodies.decode(json.dumps(value).encode(), ANY) == value


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


@settings(deadline=None)
@given(st.lists(JSON_VALUES, max_size=3), st.integers(DEPTH_MAX - 6, DEPTH_MAX + 2))
def test_nesting_is_measured_as_a_walk_would(values: list[Any], wraps: int) -> None:
    value: Any = [*values, "[" * DEPTH_MAX]
    for _ in range(wraps):
        value = {"": value}
    body = json.dumps(value).encode()
    if _depth(value) <= DEPTH_MAX:
        assert bodies.decode(body, ANY) == value
    else:
        assert _code(body) == "invalid_request"
