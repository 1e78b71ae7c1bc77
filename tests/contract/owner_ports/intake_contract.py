"""Invariants of `ports.Intake`.

- Each topic of a partition comes in offset order, from exactly where it was started, and never
  more at once than is asked for.
- What is not started, or is stopped, is silent; started again elsewhere, nothing of before comes.
- Held intents wait while steps go on, and come without gap or repeat when they are let go.
- `first_kept` is what retention has left; reading below it is an operator's matter.
"""

from __future__ import annotations

import random
from collections import defaultdict

import pytest
from tests.contract.owner_ports.harness import Harness, until

from symphainy_processors.owner.ports import Input, Intake
from symphainy_schemas.errors import OperatorError

Place = tuple[str, int]
MOST = 100  # taken at once


def numbered(first: int, end: int) -> list[tuple[bytes | None, bytes | None]]:
    """Records whose values are their offsets, if `first` is where the log ends."""
    return [(b"key", b"%d" % number) for number in range(first, end)]


class Taken:
    """What came, by its place."""

    def __init__(self, harness: Harness, intake: Intake) -> None:
        self._harness = harness
        self._intake = intake
        self.offsets: dict[Place, list[int]] = defaultdict(list)
        self.inputs: list[Input] = []

    def take(self) -> None:
        """Take what is there."""
        found = self._intake.poll(0.02, MOST)
        assert len(found) <= MOST
        for taken in found:
            assert taken.value == b"%d" % taken.offset
            self.offsets[taken.topic, taken.partition].append(taken.offset)
            self.inputs.append(taken)

    def until_last(self, place: Place, offset: int) -> None:
        """Take until the place has come so far."""
        until(
            self._harness,
            lambda: self.offsets[place][-1:] == [offset],
            f"{place} is read up to {offset}",
            self.take,
        )


class IntakeContract:
    """What every adapter's intake keeps."""

    def test_each_topic_comes_in_order_from_its_start(self, harness: Harness) -> None:
        for p in (0, 1):
            harness.write("intents", p, numbered(0, 700))
            harness.write("steps", p, numbered(0, 300))
        intake = harness.owner("o1").intake
        taken = Taken(harness, intake)
        intake.start(0, 0, 0)
        intake.start(1, 690, 299)
        taken.until_last(("intents", 0), 699)
        taken.until_last(("steps", 0), 299)
        taken.until_last(("intents", 1), 699)
        taken.until_last(("steps", 1), 299)
        assert taken.offsets == {
            ("intents", 0): list(range(700)),
            ("steps", 0): list(range(300)),
            ("intents", 1): list(range(690, 700)),
            ("steps", 1): [299],
        }
        assert taken.inputs[0].key == b"key"

    def test_what_comes_later_comes_too(self, harness: Harness) -> None:
        intake = harness.owner("o1").intake
        taken = Taken(harness, intake)
        assert intake.poll(0.0, MOST) == ()
        intake.start(2, 0, 0)
        harness.write("intents", 2, [(None, b"0")])
        taken.until_last(("intents", 2), 0)
        harness.write("steps", 2, [(b"", b"0")])
        taken.until_last(("steps", 2), 0)
        assert not taken.inputs[0].key

    def test_other_partitions_are_silent(self, harness: Harness) -> None:
        intake = harness.owner("o1").intake
        taken = Taken(harness, intake)
        for p in (0, 1, 2):
            harness.write("intents", p, numbered(0, 2_000))
            intake.start(p, 0, 0)
        until(harness, lambda: len(taken.offsets) == 3, "all are read", taken.take)
        intake.stop([0, 1])
        before = {place: list(offsets) for place, offsets in taken.offsets.items()}
        taken.until_last(("intents", 2), 1_999)
        for p in (0, 1):
            assert taken.offsets["intents", p] == before["intents", p]

    def test_stopping_what_was_not_started_is_harmless(self, harness: Harness) -> None:
        intake = harness.owner("o1").intake
        intake.stop([0, 1])
        intake.hold(0, held=True)
        harness.write("intents", 0, numbered(0, 1))
        intake.start(0, 0, 0)
        Taken(harness, intake).until_last(("intents", 0), 0)

    def test_nothing_of_before_comes_after_a_new_start(self, harness: Harness) -> None:
        count = 4_000
        for p in (0, 1):
            harness.write("intents", p, numbered(0, count))
            harness.write("steps", p, numbered(0, count))
        intake = harness.owner("o1").intake
        chance = random.Random(5)
        started: dict[Place, int] = {}
        taken = Taken(harness, intake)
        for _ in range(60):
            p = chance.randrange(2)
            if ("intents", p) in started or chance.random() < 0.1:
                intake.stop([p])
            started["intents", p] = chance.randrange(count - 1_000)
            started["steps", p] = chance.randrange(count - 1_000)
            intake.start(p, started["intents", p], started["steps", p])
            for short in ("intents", "steps"):
                taken.offsets.pop((short, p), None)
            enough = chance.randrange(1, 300)
            until(
                harness,
                lambda p=p, n=enough: len(taken.offsets["intents", p]) >= n,  # type: ignore[misc]
                "some of it has come",
                taken.take,
            )
            for place, offsets in taken.offsets.items():
                if offsets:
                    assert offsets == list(range(started[place], started[place] + len(offsets)))

    def test_held_intents_wait_while_steps_go_on(self, harness: Harness) -> None:
        harness.write("intents", 0, numbered(0, 2_000))
        intake = harness.owner("o1").intake
        taken = Taken(harness, intake)
        intake.start(0, 0, 0)
        until(harness, lambda: taken.offsets, "some have come", taken.take)
        for round_ in range(5):
            intake.hold(0, held=True)
            before = len(taken.offsets["intents", 0])
            harness.write("steps", 0, numbered(round_, round_ + 1))
            taken.until_last(("steps", 0), round_)
            assert len(taken.offsets["intents", 0]) == before
            intake.hold(0, held=False)
            if before < 2_000:
                until(
                    harness,
                    lambda n=before: len(taken.offsets["intents", 0]) > n,  # type: ignore[misc]
                    "intents come again",
                    taken.take,
                )
        taken.until_last(("intents", 0), 1_999)
        assert taken.offsets["intents", 0] == list(range(2_000))

    def test_a_new_start_is_not_held(self, harness: Harness) -> None:
        harness.write("intents", 0, numbered(0, 10))
        intake = harness.owner("o1").intake
        taken = Taken(harness, intake)
        intake.start(0, 0, 0)
        intake.hold(0, held=True)
        intake.stop([0])
        intake.start(0, 3, 0)
        taken.until_last(("intents", 0), 9)
        assert taken.offsets["intents", 0] == list(range(3, 10))

    def test_first_kept_is_what_retention_has_left(self, harness: Harness) -> None:
        harness.write("intents", 1, numbered(0, 10))
        harness.write("steps", 1, numbered(0, 10))
        intake = harness.owner("o1").intake
        assert intake.first_kept(1) == (0, 0)
        harness.expire("intents", 1, 7)
        harness.expire("steps", 1, 2)
        assert intake.first_kept(1) == (7, 2)
        assert intake.first_kept(0) == (0, 0)

    def test_a_position_that_retention_has_passed_is_an_operators_matter(
        self, harness: Harness
    ) -> None:
        harness.write("steps", 0, numbered(0, 10))
        harness.expire("steps", 0, 5)
        intake = harness.owner("o1").intake
        taken = Taken(harness, intake)
        intake.start(0, 0, 4)
        with pytest.raises(OperatorError) as refused:
            until(harness, lambda: False, "it is refused", taken.take)
        assert refused.value.code == "position_out_of_range"
        assert refused.value.cure
        intake.start(0, 0, intake.first_kept(0)[1])
        taken.until_last(("steps", 0), 9)
        assert taken.offsets["steps", 0] == list(range(5, 10))
