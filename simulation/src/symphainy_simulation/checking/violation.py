"""What a checker found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A record's place: the topic without the prefix, its partition and offset."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"


@dataclass(frozen=True, slots=True)
class Violation:
    """A guarantee does not hold.

    `guarantee` is G1 … G13; `sentence` says in words what was promised and what stands instead;
    `places` are the records that show it.
    """

    guarantee: str
    sentence: str
    places: tuple[Place, ...] = ()

    def __str__(self) -> str:
        where = ", ".join(map(str, self.places))
        return f"{self.guarantee}: {self.sentence}" + (f" ({where})" if where else "")
