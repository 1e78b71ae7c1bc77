"""Server-sent events from lines (WHATWG HTML, "Server-sent events"). Pure but for the lines."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, cast


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event; `id` is empty if it has none."""

    name: str
    data: str
    id: str = ""

    def json(self) -> dict[str, Any]:
        """The data as a JSON object."""
        return cast(dict[str, Any], json.loads(self.data))


async def parse(lines: AsyncIterator[str]) -> AsyncIterator[ServerSentEvent]:
    """The events of a stream; comments and unknown fields are skipped, a cut event is dropped."""
    name, identifier = "message", ""
    data: list[str] = []
    async for line in lines:
        if not line:
            if data:
                yield ServerSentEvent(name, "\n".join(data), identifier)
            name, identifier, data = "message", "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            name = value
        elif field == "id":
            identifier = value
