"""Become another program that cannot outlive the process that started it.

Run as a file, ``python -I -S child.py PARENT_PID PROGRAM ARGUMENT...``: about 15 ms, because it
imports nothing but the standard library's core. It asks the kernel (Linux) for SIGKILL when the
thread that forked it ends, checks that its parent did not die before that request, and then
replaces itself by the program; the request survives ``execve`` (prctl(2), PR_SET_PDEATHSIG).
Elsewhere than on Linux it only replaces itself: a parent killed with SIGKILL then leaves it behind.

It is not a ``preexec_fn``, because that runs Python between fork and exec, which is unsafe in a
process with threads.
"""

from __future__ import annotations

import os
import signal
import sys

PR_SET_PDEATHSIG = 1
CANNOT_EXECUTE = 127  # the shell's own code for it


def _die_with_parent(parent: int) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it died before the request: nobody would tell us
        os.kill(os.getpid(), signal.SIGKILL)


def main(argv: list[str]) -> int:
    """Replace this process by ``argv[1:]``; return only if that is impossible."""
    parent, program = int(argv[0]), argv[1:]
    if sys.platform == "linux":
        _die_with_parent(parent)
    # Python ignores SIGPIPE and SIGXFSZ, and an ignored signal stays ignored over execve.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execvp(program[0], program)
    except OSError as error:
        sys.stderr.write(f"cannot execute {program[0]}: {error.strerror}\n")
        return CANNOT_EXECUTE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
