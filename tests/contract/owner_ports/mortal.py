"""A process that joins the owners' group and dies of SIGKILL when it is to hand over."""

from __future__ import annotations

import os
import signal
import sys

from symphainy_processors.owner.kafka.membership import GroupMembership
from symphainy_runtime.settings import RuntimeSettings


def _die(_: frozenset[int]) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    membership = GroupMembership(
        RuntimeSettings.model_validate_json(sys.argv[2]), sys.argv[1], _die
    )
    told = False
    while True:
        if membership.poll() and not told:
            print("owns", flush=True)
            told = True
