"""Durations as people write them ("500ms", "1s", "1h30m") to whole milliseconds. Pure."""

from __future__ import annotations

import re
from datetime import timedelta

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_WHOLE = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def duration_ms(value: timedelta | str) -> int:
    """`value` in ms.

    Raises:
        ValueError: it is no duration, or a negative one; the message says what one looks like.
    """
    if isinstance(value, timedelta) and value >= timedelta(0):
        return round(value / timedelta(milliseconds=1))
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return round(sum(float(number) * _UNIT_MS[unit] for number, unit in _PART.findall(value)))
    raise ValueError(
        f'{value!r} is not a duration: write a timedelta, or text such as "500ms" or "1h30m"'
    )
