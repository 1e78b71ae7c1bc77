"""`python -m symphainy.worker module:realm …`: a worker as a process of its own.

Exit code 0 after a drain (SIGTERM, SIGINT), 1 if it could not go on, 2 for a wrong command line.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence

from symphainy.worker.serving import run_worker
from symphainy_schemas.errors import CallerError, SymphainyError
from symphainy_transport.settings import TransportSettings

_log = logging.getLogger("symphainy.worker")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a worker until it is told to stop; the exit code."""
    parser = argparse.ArgumentParser(prog="symphainy.worker", description="Run realms.")
    parser.add_argument("realms", nargs="+", metavar="module:realm")
    parser.add_argument("--concurrency", type=int, default=256, help="tasks run at once per realm")
    parser.add_argument("--worker-id", default="", help="who reports (default: the name)")
    parser.add_argument("--name", default="", help="unique and stable (default: host and process)")
    parser.add_argument(
        "--draining", action="store_true", help="put nothing in force, serve what was registered"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    running = run_worker(
        options.realms,
        TransportSettings.load(),
        concurrency=options.concurrency,
        worker_id=options.worker_id,
        name=options.name,
        draining=options.draining,
    )
    try:
        asyncio.run(running)
    except SymphainyError as error:
        _log.error("%s", error)
        return 2 if isinstance(error, CallerError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
