"""How many executions that have not ended have which versions of capabilities, over all tenants.

A projector counts an execution in when it starts and out when it ends, beside the position and in
the script that moves it: so a batch counts once, and a rebuild counts anew.
"""

from __future__ import annotations

from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from symphainy_runtime.read_model.keys import Keys
from symphainy_schemas.errors import OperatorError, Unavailable


def live_versions(redis: Redis, prefix: str, partitions: int) -> dict[tuple[str, int], int]:
    """The counts, by name and version. One that is not there is 0.

    Raises:
        Unavailable: Redis did not answer.
        OperatorError: a projector of an older release, which did not count, began the read model.
    """
    pipe = redis.pipeline(transaction=False)
    for partition in range(partitions):
        pipe.hgetall(Keys(prefix, partition).position)
    try:
        found: list[Any] = pipe.execute()
    except RedisError as error:
        raise Unavailable(
            f"The read model did not tell how many executions live: {type(error).__name__}.",
            code="read_model_unavailable",
            cure="Repeat later; nothing is lost, the journal holds it.",
        ) from error
    counts: dict[tuple[str, int], int] = {}
    for position in found:
        if position and b"counts_versions" not in position:
            raise OperatorError(
                "The read model was begun by an older release, which did not count the executions "
                "of a version.",
                code="read_model_older",
                cure="Run `symphainy read-model rebuild` once every projector is upgraded.",
            )
        for field, count in position.items():
            kind, _, rest = field.decode().partition(":")
            if kind == "live":
                name, _, version = rest.rpartition("@")
                counts[name, int(version)] = counts.get((name, int(version)), 0) + int(count)
    return counts
