"""Looking at the backlogs again and again, off the path of any request."""

from __future__ import annotations

import asyncio
import logging

from symphainy_gateway.backend import Backend
from symphainy_gateway.backlog import Backlog
from symphainy_schemas.errors import Unavailable

log = logging.getLogger(__name__)
# What other gateways append meanwhile is not seen: a second of a busy partition is some thousand
# intents, far below a useful limit. A look at 8 partitions costs 1 ms of CPU, at 64 it costs 3.
EVERY_S = 0.5
# With so many partitions, or so slow a Kafka, that a look takes long, look less often.
_SHARE = 0.05


async def follow(backend: Backend, backlog: Backlog) -> None:
    """Look for ever; a look that fails is made again."""
    clock = backend.clock
    while True:
        began = clock.monotonic()
        try:
            await look(backend, backlog)
        except Unavailable as error:
            log.debug("the backlogs are not known: %s", error)
        except Exception:
            log.exception("looking at the backlogs failed")
        await asyncio.sleep(max(EVERY_S, (clock.monotonic() - began) / _SHARE))


async def look(backend: Backend, backlog: Backlog) -> None:
    """Look once.

    Raises:
        Unavailable: the services were not reached yet.
    """
    sightings = await backend.sightings()
    now = backend.clock.monotonic()
    for partition, sighting in enumerate(sightings):
        backlog.see(partition, sighting, now)
