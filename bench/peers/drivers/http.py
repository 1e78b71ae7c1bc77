"""What peers share whose clients speak JSON over HTTP."""

import asyncio
import subprocess
from importlib.metadata import version
from pathlib import Path

import aiohttp

from bench.peers.peer import Peer
from bench.peers.steps import Json


class HttpPeer(Peer):
    """A peer with one HTTP entry at ``base``."""

    base: str
    session: aiohttp.ClientSession | None = None

    async def connect(self) -> None:
        """One client session, without a limit on its connections."""
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=120)
        )

    async def disconnect(self) -> None:
        """Close the client session."""
        if self.session:
            await self.session.close()

    async def post(self, path: str, body: Json, headers: dict[str, str] | None = None) -> Json:
        """The JSON answer of a POST; an error if its status says so."""
        assert self.session, "connect() comes first"
        async with self.session.post(self.base + path, json=body, headers=headers) as answer:
            if answer.status >= 300:
                raise RuntimeError(f"{answer.status} {(await answer.text())[:300]}")
            document: Json = await answer.json()
            return document


async def answers(url: str) -> None:
    """Raise unless a GET succeeds."""
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        if answer.status >= 300:
            raise RuntimeError(f"{answer.status} from {url}")


def package_versions(*names: str) -> dict[str, str]:
    """The versions of installed Python packages."""
    return {name: version(name) for name in names}


def version_line(program: Path) -> str:
    """The first line of ``program --version``."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return (done.stdout or done.stderr).strip().splitlines()[0]


async def output_of(argv: list[str], env: dict[str, str]) -> str:
    """What a command printed; its errors in an exception if it failed."""
    process = await asyncio.create_subprocess_exec(
        *argv, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, errors = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(argv[:3])} failed: {(errors or out).decode()[-800:]}")
    return out.decode()
