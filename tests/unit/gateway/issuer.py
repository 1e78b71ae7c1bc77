"""A small OpenID Connect provider on localhost: real HTTP, real keys, and faults at will."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Self

from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from symphainy_gateway.oidc.verifying import TokenRegistry
from symphainy_runtime.identity_settings import OidcIssuer

NOW_S = 1_800_000_000
AUDIENCE = "symphainy"
JWKS = "/keys"
DISCOVERY = "/.well-known/openid-configuration"
Key = RSAKey | ECKey | OKPKey
Answer = tuple[int, Mapping[str, str], bytes]
RSA = RSAKey.generate_key(2048, {"kid": "rsa"}, private=True)
OTHER_RSA = RSAKey.generate_key(2048, {"kid": "rsa"}, private=True)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", SecurityWarning)  # that is what is weak about it
    WEAK_RSA = RSAKey.generate_key(1024, {"kid": "weak"}, private=True)
EC = ECKey.generate_key("P-256", {"kid": "ec"}, private=True)
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"}, private=True)


class FakeClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.s = float(NOW_S)

    def now_ms(self) -> int:
        return int(self.s * 1_000)

    def monotonic(self) -> float:
        return self.s - NOW_S


class Issuer:
    """The provider. `asked` are the paths that were; `answer` may be replaced; while `open` is not
    set, nothing is answered."""

    def __init__(self, *keys: Key) -> None:
        self.keys: list[Key] = list(keys or (RSA, EC, ED))
        self.asked: list[str] = []
        self.answer: Callable[[str], Answer] = self.document
        self.open = asyncio.Event()
        self.open.set()
        self.came = asyncio.Condition()
        self.url = ""
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        await self.start(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, port: int) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        host, port = self._server.sockets[0].getsockname()[:2]
        self.url = f"http://{host}:{port}"

    async def stop(self) -> None:
        """Nobody answers any more."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._connections):
            writer.close()
        await self._server.wait_closed()

    async def restart(self) -> None:
        await self.start(int(self.url.rsplit(":", 1)[1]))

    async def until_asked(self, times: int) -> None:
        async with self.came:
            await self.came.wait_for(lambda: len(self.asked) >= times)

    def settings(self, **members: Any) -> OidcIssuer:
        stated = {"issuer": self.url, "audience": AUDIENCE, "jwks_url": self.url + JWKS}
        return OidcIssuer(**{**stated, **members})

    def document(self, path: str) -> Answer:
        if path == DISCOVERY:
            found = {"issuer": self.url, "jwks_uri": self.url + JWKS}
            return 200, {}, json.dumps(found).encode()
        keys = [{**key.as_dict(private=False), "use": "sig"} for key in self.keys]
        return (200, {}, json.dumps({"keys": keys}).encode()) if path == JWKS else (404, {}, b"")

    def claims(self, **members: Any) -> dict[str, Any]:
        stated = {
            "iss": self.url,
            "sub": "ann",
            "aud": AUDIENCE,
            "exp": NOW_S + 600,
            "iat": NOW_S,
            "tenant": "acme",
            "roles": ["reader"],
        }
        return {name: value for name, value in {**stated, **members}.items() if value is not ...}

    def token(
        self,
        key: Key | OctKey = RSA,
        algorithm: str = "RS256",
        header: Mapping[str, Any] | None = None,
        members: Mapping[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """A token; a member of `...` is left out. `members` are claims that are no identifiers."""
        head = {"alg": algorithm, "kid": key.kid, **(header or {})}
        head = {name: value for name, value in head.items() if value is not ...}
        return jwt.encode(
            head, self.claims(**claims, **(members or {})), key, registry=TokenRegistry()
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while line := await reader.readline():
                while (await reader.readline()).strip():
                    pass
                path = line.split()[1].decode()
                async with self.came:
                    self.asked.append(path)
                    self.came.notify_all()
                await self.open.wait()
                status, headers, body = self.answer(path)
                head = {"content-length": str(len(body)), **headers}
                lines = [f"HTTP/1.1 {status} X", *(f"{n}: {v}" for n, v in head.items())]
                writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            self._connections.discard(writer)
            writer.close()
