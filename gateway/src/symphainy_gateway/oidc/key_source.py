"""An issuer's keys as they are known now: cached, refreshed in the background, asked for at need.

A request waits for the issuer only where no key is known that could answer it: at the start, after
`stale_s` without an answer, and for a kid that is not known, which is asked for at most every 10 s
whoever names it. Requests that wait share one fetch.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from symphainy_gateway.oidc.fetching import NotFetched
from symphainy_gateway.oidc.keys import KeySet, VerifyingKey
from symphainy_gateway.refusals import keys_unavailable
from symphainy_runtime.identity_settings import OidcIssuer
from symphainy_transport.clock import Clock

log = logging.getLogger(__name__)
# After a failed fetch: an issuer that restarts is back in some seconds, and one request a second
# of each gateway does not hold it down.
RETRY_S = 1.0
# Of unknown kids: anybody can make them up, so this bounds what a gateway asks of the issuer. A
# key that it rotates to is known after so long at most while somebody does.
UNKNOWN_KID_S = 10.0

Fetch = Callable[[], Awaitable[KeySet]]


class KeySource:
    """The keys of one issuer."""

    def __init__(self, issuer: OidcIssuer, fetch: Fetch, clock: Clock) -> None:
        """`fetch` gives the keys as they are now, or raises `NotFetched`."""
        self.issuer = issuer
        self.generation = 0
        """Grows when keys go or come: what was verified before may not be any more."""
        self._fetch = fetch
        self._clock = clock
        self._keys: KeySet | None = None
        self._fetched_at = self._tried_at = self._asked_at = float("-inf")
        self._failed = False
        self._fetching: asyncio.Task[None] | None = None

    def usable(self) -> bool:
        """Whether keys are known that are not too old to count."""
        age = self._clock.monotonic() - self._fetched_at
        return self._keys is not None and age <= self.issuer.max_age_s + self.issuer.stale_s

    async def find(self, kid: str, algorithm: str) -> VerifyingKey | None:
        """The key that a token names; None if the issuer has none of that kid.

        Raises:
            Unavailable: the issuer does not answer, and what is known of it does not tell.
        """
        if not self.usable():
            if self._since(self._tried_at) >= RETRY_S or self._fetching is not None:
                await self.refresh()
            if not self.usable():
                raise keys_unavailable(self.issuer.issuer)
        found = self._known(kid, algorithm)
        if found is None and (self._since(self._asked_at) >= UNKNOWN_KID_S or self._fetching):
            self._asked_at = self._clock.monotonic()
            await self.refresh()
            found = self._known(kid, algorithm)
        if found is None and self._failed:
            raise keys_unavailable(self.issuer.issuer)
        return found

    async def refresh(self) -> None:
        """Fetch the keys; whoever comes meanwhile shares the fetch. A failure leaves what is
        known."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._refresh(), name="oidc-fetch")
        await asyncio.shield(self._fetching)

    async def follow(self) -> None:
        """Refresh now and whenever the keys are `max_age_s` old, until cancelled."""
        while True:
            await self.refresh()
            retry_s = min(RETRY_S, self.issuer.max_age_s)
            await asyncio.sleep(retry_s if self._failed else self.issuer.max_age_s)

    async def close(self) -> None:
        """Give up a fetch that is under way."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    async def _refresh(self) -> None:
        self._tried_at = self._clock.monotonic()
        try:
            keys = await self._fetch()
        except NotFetched as error:
            if not self._failed:
                log.warning("keys of %s were not fetched: %s", self.issuer.issuer, error)
            self._failed = True
        else:
            if self._failed:
                log.warning("keys of %s were fetched again", self.issuer.issuer)
            if self._keys is None or keys.thumbprints != self._keys.thumbprints:
                self.generation += 1
                log.info("keys of %s: %s", self.issuer.issuer, [key.kid for key in keys.keys])
            self._keys, self._failed = keys, False
            self._fetched_at = self._clock.monotonic()
        finally:
            self._fetching = None

    def _known(self, kid: str, algorithm: str) -> VerifyingKey | None:
        return self._keys.find(kid, algorithm) if self._keys is not None else None

    def _since(self, moment: float) -> float:
        return self._clock.monotonic() - moment
