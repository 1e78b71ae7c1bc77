"""The peers by name. A new engine is one more module and one more line here."""

from importlib import import_module

from bench.peers.peer import Peer

OURS = ("symphainy", "symphainy-fsync", "symphainy-idem", "symphainy-step")
DEFAULT = ("symphainy", "symphainy-fsync", "restate", "restate-granian", "dbos", "temporal")

_CLASSES = {
    "symphainy": ("symphainy", "Symphainy"),
    "symphainy-fsync": ("symphainy", "SymphainyFsync"),
    "symphainy-idem": ("symphainy", "SymphainyIdempotent"),
    "symphainy-step": ("symphainy", "SymphainyStep"),
    "restate": ("restate", "Restate"),
    "restate-granian": ("restate", "RestateGranian"),
    "restate-idem": ("restate", "RestateIdempotent"),
    "restate-2w": ("restate", "RestateTwoWorkers"),
    "dbos": ("dbos", "DbosSqlite"),
    "dbos-pg": ("dbos", "DbosPostgres"),
    "temporal": ("temporal", "Temporal"),
    "temporal-unthrottled": ("temporal", "TemporalUnthrottled"),
    "temporal-wal": ("temporal", "TemporalWal"),
}
NAMES = tuple(_CLASSES)


def load(name: str) -> type[Peer]:
    """The class of a peer. Only its module is imported, so the others need not be installed."""
    module, cls = _CLASSES[name]
    found: type[Peer] = getattr(import_module(f"{__name__}.{module}"), cls)
    return found
