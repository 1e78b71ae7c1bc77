"""Importing a module of the command line when it is used.

Above all for an owner's sake: its successor's start is part of a takeover, and the modules of all
verbs and roles take longer to import than the rest of that start.
"""

from __future__ import annotations

import gc
from importlib import import_module
from typing import Any


def load(module: str) -> Any:
    """`symphainy_cli.<module>`, with all that it imports.

    What a module makes stays, and the garbage collector would look through it again and again:
    of an owner's imports that is a fifth of the CPU (medians of 25: 0.74 s with it, 0.54 without).
    So it waits meanwhile, and never looks at what was made until then.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        return import_module(f"symphainy_cli.{module}")
    finally:
        if collecting:
            gc.freeze()
            gc.enable()
