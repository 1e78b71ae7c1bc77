"""Invariants of the peers' table.

- A ratio is ours by theirs, median by median; where either is unknown or the peer's is zero
  there is no ratio.
- A ratio is marked where the machine was not quiet, on either side and in any repeat.
- Each of our variants is compared with each other peer, never with another of ours.
- What was not measured is said with its reason, never shown as a number.
- A table has as many cells in each line as in its head.
"""

from __future__ import annotations

import pytest
from bench.peers.steps import Json
from bench.peers.table import FAILED, NOT_APPLICABLE, NOT_YET, QUIET_CORES, markdown, ratio, report

OURS = ("symphainy", "symphainy-fsync")
TITLES = {"w1": "one step", "w3": "compensated"}


def row(peer: str, what: str = "sequential", workload: str = "w1", **values: object) -> Json:
    return {"peer": peer, "workload": workload, "what": what, **values}


def lines_with(text: str, start: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(f"| {start}")]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_ratio_is_between_medians() -> None:
    ours = [row("symphainy", p50_ms=value) for value in (4.0, 100.0, 6.0)]
    theirs = [row("restate", p50_ms=value) for value in (10.0, 14.0)]
    assert ratio(ours, theirs, "p50_ms") == pytest.approx(6.0 / 12.0)


@pytest.mark.parametrize("unknown", [None, float("nan"), "n/a"])
def test_no_ratio_with_an_unknown_number(unknown: object) -> None:
    known, other = [row("a", p50_ms=1.0)], [row("b", p50_ms=unknown)]
    assert ratio(known, other, "p50_ms") is None
    assert ratio(other, known, "p50_ms") is None
    assert ratio(known, [row("b")], "p50_ms") is None


def test_no_ratio_by_zero() -> None:
    assert ratio([row("a", cpu_percent=1.0)], [row("b", cpu_percent=0.0)], "cpu_percent") is None


def test_a_repeat_that_failed_to_give_a_number_does_not_spoil_the_others() -> None:
    ours = [row("a", p50_ms=None), row("a", p50_ms=3.0)]
    assert ratio(ours, [row("b", p50_ms=1.5)], "p50_ms") == pytest.approx(2.0)


def test_p50_throughput_and_cpu_are_compared() -> None:
    closed = {"what": "closed loop c=16"}
    rows = [
        row("symphainy", **closed, p50_ms=2.0, per_s=900.0, cpu_s_per_1k=1.0),
        row("restate", **closed, p50_ms=4.0, per_s=600.0, cpu_s_per_1k=2.5),
    ]
    (line,) = lines_with(report(rows, OURS, TITLES), "symphainy / restate")
    assert cells(line)[1:] == ["0.50", "1.50", "0.40"]


@pytest.mark.parametrize("busy", ["symphainy", "restate"])
def test_a_ratio_is_marked_where_the_machine_was_not_quiet(busy: str) -> None:
    names = ("symphainy", "restate")
    quiet = [row(name, p50_ms=1.0, other_cores=QUIET_CORES) for name in names]
    (line,) = lines_with(report(quiet, OURS, TITLES), "symphainy / restate")
    assert cells(line)[1] == "1.00"
    disturbed = [*quiet, row(busy, p50_ms=1.0, other_cores=QUIET_CORES + 0.01)]
    (line,) = lines_with(report(disturbed, OURS, TITLES), "symphainy / restate")
    assert cells(line)[1] == "1.00 ?"


def test_each_of_ours_is_compared_with_each_other_peer_and_not_with_ours() -> None:
    names = ("symphainy", "symphainy-fsync", "restate", "dbos")
    text = report([row(name, p50_ms=1.0) for name in names], OURS, TITLES)
    compared = [cells(line)[0] for line in text.splitlines() if " / " in line and "|" in line]
    assert compared == [f"{us} / {peer}" for us in OURS for peer in ("restate", "dbos")]


def test_without_us_there_are_no_ratios() -> None:
    assert "ratio" not in report([row("restate", p50_ms=1.0)], OURS, TITLES).splitlines()


def test_the_same_part_is_compared_whatever_its_process_is_called() -> None:
    killed = {"what": "kill -9 engine", "workload": "w4"}
    rows = [
        row("symphainy", **killed, killed="owner", settled_s=3.0, steps_repeated=4),
        row("restate", **killed, killed="server", settled_s=6.0, steps_repeated=0),
    ]
    text = report(rows, OURS, TITLES)
    (line,) = lines_with(text, "symphainy / restate")
    assert cells(line)[2] == "0.50"
    assert cells(lines_with(text, "restate")[0])[1] == "server"


def test_repeats_stand_in_one_cell_in_their_order() -> None:
    text = report([row("dbos", p50_ms=3.5), row("dbos", p50_ms=3.25)], OURS, TITLES)
    assert "3.5 / 3.25" in text


def test_the_machine_s_other_load_is_in_every_table_of_timings() -> None:
    for what in ("sequential", "closed loop c=1", "kill -9 worker", "9 timers", "idle 30 s"):
        text = report([row("dbos", what)], OURS, TITLES)
        assert "other cores" in lines_with(text, "peer")[0], what


@pytest.mark.parametrize("kind", [NOT_YET, NOT_APPLICABLE, FAILED])
def test_what_was_not_measured_is_said_once_with_its_reason(kind: str) -> None:
    missing = row("symphainy", kind, "w3", reason="no compensations")
    text = report([missing, missing, row("dbos", workload="w3", p50_ms=9.0)], OURS, TITLES)
    assert text.count(f"- symphainy: {kind}: no compensations") == 1
    assert not lines_with(text, "symphainy")
    assert "## W3 compensated" in text


def test_durability_versions_and_notes_are_printed_for_each_peer() -> None:
    about = {"what": "peer", "peer": "dbos", "durability": "fsync each commit"}
    text = report([{**about, "versions": {"dbos": "3.4.0"}, "note": "beware"}], OURS, TITLES)
    assert cells(lines_with(text, "dbos")[0]) == ["dbos", "dbos 3.4.0", "fsync each commit"]
    assert "- dbos: beware" in text


def test_every_line_of_a_table_has_the_width_of_its_head() -> None:
    text = markdown(["peer", "p50"], [["a", "1"], ["long-name", "1234.5"]])
    assert len({len(line) for line in text.splitlines()}) == 1
    with pytest.raises(ValueError, match="argument"):
        markdown(["peer", "p50"], [["a"]])
