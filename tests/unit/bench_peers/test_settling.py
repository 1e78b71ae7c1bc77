"""Invariants of asking for results after a kill.

- A run counts as lost if its right result is not given in time, and only then.
- A failed question is asked again; a fresh run is tried with a new id each time.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from bench.peers.load import WrongAnswer, answered, checked, settle
from bench.peers.peer import Peer
from bench.peers.steps import FLOWS, Json


class Flaky(Peer):
    """A peer without processes that fails its first ``failures`` questions about each flow."""

    name = "flaky"
    durability = "none"
    roles = ()

    def __init__(self, work: Path, failures: int = 0, wrong: frozenset[str] = frozenset()) -> None:
        super().__init__(work)
        self.failures = failures
        self.wrong = wrong
        self.asked: Counter[str] = Counter()

    @classmethod
    def versions(cls) -> dict[str, str]:
        return {}

    def command(self, role: str) -> tuple[list[str], dict[str, str]]:
        raise NotImplementedError

    async def run(self, flow: str, run_id: str, body: Json) -> Json:
        return await self.result(flow, run_id, body)

    async def submit(self, flow: str, run_id: str, body: Json) -> None:
        raise NotImplementedError

    async def result(self, flow: str, run_id: str, body: Json) -> Json:
        self.asked[run_id] += 1
        if self.asked.total() <= self.failures:
            raise ConnectionError("down")
        return {"ok": False} if run_id in self.wrong else FLOWS[flow].answer


async def test_nothing_is_lost_that_is_answered_after_failures(tmp_path: Path) -> None:
    peer = Flaky(tmp_path, failures=5)
    assert await settle(peer, "slow", ["a", "b", "c"], 10.0) == []
    assert peer.asked.total() == 8


async def test_a_wrong_result_is_a_lost_run(tmp_path: Path) -> None:
    peer = Flaky(tmp_path, wrong=frozenset({"b"}))
    assert await settle(peer, "slow", ["a", "b", "c"], 10.0) == ["b"]


async def test_what_is_not_answered_in_time_is_lost(tmp_path: Path) -> None:
    peer = Flaky(tmp_path, failures=10**6)
    assert sorted(await settle(peer, "slow", ["a", "b"], 0.2)) == ["a", "b"]
    assert not await answered(peer, 0.2)


async def test_a_fresh_run_is_tried_with_new_ids(tmp_path: Path) -> None:
    peer = Flaky(tmp_path, failures=3)
    assert await answered(peer, 10.0)
    assert len(peer.asked) == 4


async def test_a_peer_with_a_wrong_answer_is_not_measured(tmp_path: Path) -> None:
    class Wrong(Flaky):
        async def run(self, flow: str, run_id: str, body: Json) -> Json:
            return {"ok": True, "step": 99}

    with pytest.raises(WrongAnswer, match="one answered"):
        await checked(Wrong(tmp_path), "one")
