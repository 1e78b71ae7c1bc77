"""Invariants of `ports.Membership`.

- A member alone has every partition; of two, each partition has at most one, and soon one.
- What the group takes from a member it hands over first: `revoked` is called out of its `poll`,
  with partitions that were its own, before anybody else has them.
- What a member leaves goes to the others. Who joins under a name that is taken takes it over, and
  the first is told.
- A member that the group has lost has nothing from then on, and hands nothing over.
"""

from __future__ import annotations

import pytest
from tests.contract.owner_ports.harness import PARTITIONS, Harness, until

from symphainy_processors.owner.ports import Membership
from symphainy_schemas.errors import OperatorError

EVERY = frozenset(range(PARTITIONS))
HAND_OVER_MS = 2_000  # a group that does not wait gives them away at the next heartbeats (1.5 s)


class Member:
    """One member, and what its polls told."""

    def __init__(self, harness: Harness, name: str) -> None:
        self.has: frozenset[int] = frozenset()
        self.others: list[Member] = []
        self.revoked: list[frozenset[int]] = []
        self._polling = False
        self._harness = harness
        self.membership: Membership = harness.owner(name).membership(self._take_back)

    def poll(self) -> None:
        """Ask; nobody else may have what we have."""
        self._polling = True
        self.has = self.membership.poll()
        self._polling = False
        for other in self.others:
            assert not self.has & other.has, "two have the same partition"

    def _take_back(self, partitions: frozenset[int]) -> None:
        assert self._polling, "revoked outside of poll"
        assert partitions <= self.has, "revoked what was not ours"
        self.revoked.append(partitions)
        until_ms = self._harness.now_ms() + HAND_OVER_MS
        while self._harness.now_ms() < until_ms:
            for other in self.others:
                other.poll()  # finds that it has none of what we still have
            self._harness.go_on()


class MembershipContract:
    """What every adapter's membership keeps."""

    def test_a_member_alone_has_every_partition(self, harness: Harness) -> None:
        alone = Member(harness, "o1")
        self.settle(harness, alone)
        assert alone.revoked == []
        alone.membership.close()

    def test_partitions_are_handed_over_before_another_has_them(self, harness: Harness) -> None:
        first = Member(harness, "o1")
        self.settle(harness, first)
        second = Member(harness, "o2")
        first.others, second.others = [second], [first]
        self.settle(harness, first, second)
        assert frozenset().union(*first.revoked) == EVERY - first.has
        assert second.revoked == []
        first.membership.close()
        second.membership.close()

    def test_what_a_member_leaves_goes_to_the_others(self, harness: Harness) -> None:
        first, second = Member(harness, "o1"), Member(harness, "o2")
        first.others, second.others = [second], [first]
        self.settle(harness, first, second)
        told = list(first.revoked)
        first.membership.close()
        second.others = []
        self.settle(harness, second)
        assert first.revoked == told, "who leaves has handed over before"
        second.membership.close()

    def test_a_name_has_one_bearer(self, harness: Harness) -> None:
        first = Member(harness, "o1")
        self.settle(harness, first)
        second = Member(harness, "o1")

        def both() -> None:
            second.poll()
            first.poll()

        with pytest.raises(OperatorError) as refused:
            until(harness, lambda: False, "the first is refused", both)
        assert refused.value.code == "owner_fenced"
        self.settle(harness, second)
        first.membership.close()
        second.membership.close()

    def test_what_is_lost_is_not_handed_over(self, harness: Harness) -> None:
        member = Member(harness, "o1")
        self.settle(harness, member)
        harness.freeze()
        until(
            harness,
            lambda: not member.has,
            "the member has lost all",
            lambda: _turn(harness, member),
        )
        assert member.revoked == []
        harness.thaw()
        self.settle(harness, member)
        member.membership.close()

    @staticmethod
    def settle(harness: Harness, *members: Member) -> None:
        """Poll until every partition has an owner and every member a partition."""

        def settled() -> bool:
            return (
                all(x.has for x in members)
                and frozenset().union(*(x.has for x in members)) == EVERY
            )

        until(harness, settled, "every partition is owned", lambda: _turn(harness, *members))


def _turn(harness: Harness, *members: Member) -> None:
    for member in members:
        member.poll()
    harness.go_on()
