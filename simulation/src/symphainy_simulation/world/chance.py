"""All chance of a run, from its seed. Each user draws from a stream of its own, so that what is
left out of a run moves little of the rest."""

from __future__ import annotations

from random import Random


class Chance:
    """Streams of random numbers, by name."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def stream(self, name: str) -> Random:
        """The stream; the same seed and name give the same numbers on every machine."""
        return Random(f"{self._seed}/{name}")
