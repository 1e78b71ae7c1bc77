"""Query parameters and headers.

- A wait is 500ms, 10s or 1m, at most five minutes; zero is not waiting; anything else is refused.
- A query is refused as a whole if it is malformed, repeats a parameter or has an unknown one.
- Times are RFC 3339 with an offset or epoch milliseconds, also with a `+` that became a space.
- Whatever the bytes, parsing yields a value or a refusal.
"""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symphainy_gateway import parameters
from symphainy_gateway.problems import Refused


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("0s", None),
        ("0ms", None),
        ("500ms", 0.5),
        ("10s", 10),
        ("1m", 60),
        ("5m", 300),
        ("300000ms", 300),
    ],
)
def test_a_wait_is_read_in_seconds(text: str | None, seconds: float | None) -> None:
    assert parameters.wait_seconds(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "10", "s", "-1s", "1.5s", "10S", "6m", "301s", "1h", "1s ", "٣s", "1s\n", "9999999ms"],
)
def test_what_is_no_wait_is_refused_by_name(text: str) -> None:
    with pytest.raises(Refused) as refusal:
        parameters.wait_seconds(text)
    assert (refusal.value.code, refusal.value.field) == ("invalid_parameter", "/wait")


@pytest.mark.parametrize(
    "raw",
    [
        b"wait",
        b"wait=1s&wait=2s",
        b"wat=1s",
        b"wait=%zz",
        b"wait=%",
        b"wait=%ff",
        b"&",
        b"=",
        b"w\xff=1",
        b"wait=1s&",
        b"wait=" + b"1" * 5_000,
        b"&".join(b"wait=1s" for _ in range(100)),
    ],
)
def test_a_malformed_query_is_refused(raw: bytes) -> None:
    with pytest.raises(Refused) as refusal:
        parameters.query(raw, frozenset({"wait"}))
    assert refusal.value.code == "invalid_parameter"


def test_a_query_is_percent_decoded() -> None:
    found = parameters.query(b"reason=all+done%21", frozenset({"reason"}))
    assert dict(found) == {"reason": "all done!"}


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02T03:04:05Z",
        "2026-01-02t03:04:05z",
        "2026-01-02 03:04:05Z",
        "2026-01-02T03:04:05.000Z",
        "2026-01-02T04:04:05+01:00",
        "2026-01-02T04:04:05 01:00",
        "2026-01-02T02:04:05-01:00",
        "1767323045000",
    ],
)
def test_the_same_time_in_every_form(text: str) -> None:
    assert parameters.listing({"from": text}).from_ms == 1_767_323_045_000


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("from", "yesterday"),
        ("from", "2026-01-02"),
        ("from", "2026-01-02T03:04:05"),
        ("to", "2026-13-02T03:04:05Z"),
        ("to", "-5"),
        ("to", "9" * 16),
        ("limit", "0"),
        ("limit", "201"),
        ("limit", "ten"),
        ("limit", "9" * 5_000),
        ("status", "unknown"),
        ("status", ""),
        ("type", "Content.Ingest"),
        ("session", "ses-3-xyz"),
        ("session", f"ses-٣-{'a' * 32}"),
    ],
)
def test_a_filter_without_meaning_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(Refused) as refusal:
        parameters.listing({name: text})
    assert (refusal.value.code, refusal.value.field) == ("invalid_parameter", f"/{name}")


def test_a_cursor_of_another_alphabet_is_refused() -> None:
    with pytest.raises(Refused) as refusal:
        parameters.listing({"cursor": "a b"})
    assert refusal.value.code == "malformed_cursor"


def test_a_listing_has_its_filters_and_a_default_limit() -> None:
    what = parameters.listing({"type": "content.ingest", "status": "failed", "to": "9"})
    assert (what.intent_type, what.status, what.to_ms) == ("content.ingest", "failed", 9)
    assert what.limit == parameters.LIMIT_DEFAULT


@pytest.mark.parametrize(("text", "index"), [(None, -1), (b"0", 0), (b"17", 17)])
def test_last_event_id_is_an_index(text: bytes | None, index: int) -> None:
    assert parameters.last_event_id(text) == index


@pytest.mark.parametrize("text", [b"", b"-1", b"x", b"1" * 12, b"\xff"])
def test_another_last_event_id_is_refused(text: bytes) -> None:
    with pytest.raises(Refused):
        parameters.last_event_id(text)


@settings(deadline=None)
@given(st.binary(max_size=60) | st.from_regex(rb"(wait|from|limit)=[%0-9a-zT:+-]{0,20}"))
def test_any_bytes_are_a_query_or_refused(raw: bytes) -> None:
    with suppress(Refused):
        found = parameters.query(raw, parameters.LISTING_PARAMETERS)
        parameters.listing(found)


@settings(deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    with suppress(Refused):
        parameters.listing({"from": text})
