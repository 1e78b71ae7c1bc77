"""How much of history a gateway tries policies on: so many records, or so many offsets."""

from __future__ import annotations

import pytest

from symphainy_cli.roles.gateway_backtests import MOST_RECORDS, require_small
from symphainy_processors.backtesting.range import Span
from symphainy_schemas.errors import CallerError


def by_time(partition: int, records: int) -> Span:
    """A range of so many records of the journal."""
    return Span(partition=partition, low=0, start=7, end=7 + records)


def by_offsets(offsets: int) -> Span:
    """A range of so many intents, with all of the journal behind the first of them."""
    return Span(partition=0, low=0, start=0, end=9 * MOST_RECORDS, first=3, last=3 + offsets)


def test_what_is_not_too_much_is_read() -> None:
    require_small([by_time(0, MOST_RECORDS - 1), by_time(1, 1)])
    require_small([by_offsets(MOST_RECORDS)])


@pytest.mark.parametrize(
    ("spans", "field"),
    [
        ([by_time(0, MOST_RECORDS), by_time(1, 1)], "since"),
        ([by_offsets(MOST_RECORDS + 1)], "from_offset"),
    ],
)
def test_what_is_too_much_is_told_with_how_much_it_is(spans: list[Span], field: str) -> None:
    with pytest.raises(CallerError) as refused:
        require_small(spans)
    assert (refused.value.code, refused.value.field) == ("range_too_large", field)
    assert str(MOST_RECORDS + 1) in refused.value.message
    assert "symphainy policy backtest" in refused.value.cure
