"""Who calls: from the request's credential alone. No body is read here.

An API key (`sym_…`) is looked up in memory; anything of a token's form is one of an OpenID Connect
issuer. The caller is told as little as helps: of a key nothing, of a token what its owner can cure.
The operator has the reason in the log and in a metric.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from symphainy_gateway.callers import Caller, caller_by_key, require_scope
from symphainy_gateway.metrics import Metrics
from symphainy_gateway.oidc.verifying import TokenVerifier
from symphainy_gateway.refusals import Unauthenticated
from symphainy_runtime.api_keys import KEY_PREFIX, KeyRefusal, authenticate
from symphainy_runtime.configuration import Configuration
from symphainy_runtime.settings import RuntimeSettings
from symphainy_transport.clock import Clock

log = logging.getLogger(__name__)
_BEARER = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +([\x21-\x7e]+)")
_KEY = KEY_PREFIX + "_"


class Identity:
    """Establishes callers. As an async context manager it keeps the issuers' keys current; without
    that they are fetched when they are needed."""

    def __init__(self, settings: RuntimeSettings, clock: Clock, metrics: Metrics) -> None:
        """Raises OperatorError if the settings of an issuer are of no use."""
        self._clock = clock
        self._metrics = metrics
        self._tokens = TokenVerifier.over(settings, clock) if settings.oidc() else None
        self._cure = "Send Authorization: Bearer sym_<id>_<secret>" + (
            ", or a token of an issuer that is accepted here." if self._tokens else "."
        )

    async def __aenter__(self) -> Self:
        if self._tokens is not None:
            await self._tokens.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._tokens is not None:
            await self._tokens.__aexit__(kind, error, trace)

    async def caller(
        self, headers: Mapping[bytes, bytes], configuration: Configuration, wanted: str = ""
    ) -> Caller:
        """Who calls. `wanted` is the verb that the credential must be for, empty if the intent
        that the request states will tell.

        Raises:
            Refused: no credential, or none that counts (401); or not for this (403).
            Unavailable: the issuer's keys cannot be had (503).
        """
        try:
            caller = await self._established(headers, configuration)
        except Unauthenticated as refusal:
            self._metrics.unauthenticated(refusal.reason)
            log.info("credential refused: %s %s", refusal.reason, refusal.about)
            raise
        if wanted:
            require_scope(caller, wanted)
        return caller

    async def _established(
        self, headers: Mapping[bytes, bytes], configuration: Configuration
    ) -> Caller:
        presented = _BEARER.fullmatch(headers.get(b"authorization", b""))
        if presented is None:
            raise Unauthenticated(
                "The request presents no credential.",
                reason="none",
                cure=self._cure,
                challenge=False,
            )
        text = presented.group(1).decode()
        if self._tokens is None or text.startswith(_KEY):
            return self._by_key(text, configuration)
        caller = await self._tokens.verified(text)
        if caller.tenant_id not in configuration.tenants:
            raise Unauthenticated(
                "The token names no tenant that is known here.",
                code="token_claims",
                reason="unknown_tenant",
                about=caller.credential,
                cure="Have the tenant created: `symphainy tenant create`.",
            )
        return caller

    def _by_key(self, text: str, configuration: Configuration) -> Caller:
        found = authenticate(configuration.keys, text, self._clock.now_ms())
        if not isinstance(found, KeyRefusal):
            return caller_by_key(found)
        # An id that is not known may be anything, even a secret that was put in its place.
        known = found not in (KeyRefusal.MALFORMED, KeyRefusal.UNKNOWN)
        raise Unauthenticated(
            "The request presents no credential that counts here.",
            reason=found.value,
            about=f"key {text.split('_')[1]}" if known else "",
            cure=self._cure,
        )
