"""Backpressure: never more than the limits, and whoever waits for room is woken."""

from __future__ import annotations

import threading

from symphainy.worker.flow import Flow


def test_room_is_what_the_limits_leave() -> None:
    flow = Flow(4, 1_000)
    assert flow.room() == 4
    flow.hand(3, 900)
    assert (flow.room(), flow.held) == (1, 3)
    flow.hand(1, 200)
    assert flow.room() == 0
    flow.release(900)
    assert flow.room() == 1


def test_too_many_bytes_leave_no_room() -> None:
    flow = Flow(100, 1_000)
    flow.hand(1, 1_000)
    assert flow.room() == 0
    flow.release(1_000)
    assert flow.room() == 100


def test_a_closed_flow_has_no_room() -> None:
    flow = Flow(4, 1_000)
    flow.closed = True
    assert flow.room() == 0


def test_a_release_wakes_whoever_waits_for_a_quarter() -> None:
    flow = Flow(8, 1_000)
    flow.hand(8, 8)
    woken = threading.Event()

    def wait() -> None:
        flow.wait(10.0)
        woken.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    flow.release(1)
    assert not woken.wait(0.05)
    # Whether it began to wait before or after this, there is room now.
    flow.release(1)
    assert woken.wait(10.0)
    waiting.join()


def test_waiting_ends_without_room_too() -> None:
    flow = Flow(1, 1_000)
    flow.hand(1, 1)
    flow.wait(0.001)
    assert flow.room() == 0
