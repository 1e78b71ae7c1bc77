"""What the read model holds, for comparing one with another."""

from __future__ import annotations

from typing import Any

Rows = dict[str, tuple[Any, int]]


def held(redis: Any, prefix: str, among: str = "{*") -> Rows:
    """Everything under a prefix, by key without it: the value, and when it goes (ms; -1: never)."""
    rows: Rows = {}
    for key in redis.scan_iter(match=f"{prefix}{among}", count=1_000):
        name = key.decode().removeprefix(prefix)
        rows[name] = (_value(redis, key), redis.pexpiretime(key))
    return rows


def _value(redis: Any, key: bytes) -> Any:
    match redis.type(key):
        case b"hash":
            return redis.hgetall(key)
        case b"list":
            return redis.lrange(key, 0, -1)
        case b"zset":
            return redis.zrange(key, 0, -1, withscores=True)
        case b"string":
            return redis.get(key)
        case other:
            raise AssertionError(f"{key!r} is a {other!r}, which nothing here reads")
