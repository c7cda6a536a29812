"""The fair share benchmark's own parts: percentiles that hide nobody, aims that mean what the manual says."""

import pytest

from benchmarks import sides
from benchmarks.crowd import Crowd
from benchmarks.fair_share import AIM_HEALTH, AIM_MEMORY, ROWS, Share, measure, reached, table
from benchmarks.probe import INTERVAL, everybody, summary
from tests.support.processes import ROOT


def test_a_long_answer_counts_for_all_who_could_not_ask() -> None:
    """Two seconds of silence are forty visitors who waited, on average one second, not one slow answer among many."""
    health = summary([0.001] * 100 + [2.0], complete=True)
    assert health.longest == 2000
    assert health.p99 > 1900
    assert health.asked == 101


WAITED = [
    ("quick", 0.01, [0.01]),
    ("just in time", INTERVAL, [0.05]),
    ("three intervals", 3 * INTERVAL, [0.15, 0.10, 0.05]),
]


@pytest.mark.parametrize(("waited", "expected"), [row[1:] for row in WAITED], ids=[row[0] for row in WAITED])
def test_who_asks_every_interval_waits_for_what_is_left(waited: float, expected: list[float]) -> None:
    """The later one asks during the silence, the shorter one waits."""
    assert everybody(waited) == pytest.approx(expected)


def share(**changes: object) -> Share:
    figures: dict[str, object] = {
        "name": "gateway",
        "health": summary([0.01], complete=True),
        "crowd": Crowd([1, 2], 0.1),
        "seconds": 20.0,
        "memory": 140.0,
        "memory_in_turn": 100.0,
        **changes,
    }
    return Share(**figures)  # type: ignore[arg-type]


AIMS = [
    ("all reached", {}, True),
    ("health too late", {"health": summary([0.3], complete=True)}, False),
    ("the last answer never came", {"health": summary([0.01], complete=False)}, False),
    ("a visitor was not served", {"crowd": Crowd([0, 9], 0.1)}, False),
    ("too much memory", {"memory": 151.0}, False),
]


@pytest.mark.parametrize(("changes", "expected"), [row[1:] for row in AIMS], ids=[row[0] for row in AIMS])
def test_one_missed_aim_is_enough(changes: dict[str, object], expected: bool) -> None:
    """Health in time, everybody served and memory bounded: all three, or the aim is missed."""
    assert reached(share(**changes)) is expected


def test_an_answer_that_never_came_is_no_figure() -> None:
    """The table says of such a time that it is at least so long."""
    silent = share(health=summary([9.0], complete=False))
    cells = {title: cell(silent) for title, cell, _ in ROWS}
    assert cells["health route, longest, ms"] == "≥ 9000"
    assert table([share()], 2).row_count == len(ROWS)


def test_the_aims_are_those_we_publish() -> None:
    """docs/benchmarks.md has each aim and each row."""
    text = (ROOT / "docs" / "benchmarks.md").read_text()
    assert (AIM_HEALTH, AIM_MEMORY) == (250.0, 1.5)
    assert "250 ms" in text
    for title, _, _ in ROWS:
        assert title.partition(",")[0] in text


def test_it_measures_a_real_gateway() -> None:
    """Six visitors for three seconds: all are served, and the health route answers meanwhile."""
    measured = measure("gateway", sides.gateway, visitors=6, seconds=3.0)
    assert min(measured.crowd.runs) >= 1
    assert measured.health.complete
    assert measured.health.asked > 2
    assert 0.5 < measured.memory_ratio < 2
