"""The parts of the first-load benchmark whose figures would be wrong without anybody noticing."""

import os
import time

import pytest

from benchmarks.first_load import FIGURES, Load, missed, processor_time, ratio
from tests.support.processes import ROOT


def loads(**figures: float) -> Load:
    return Load(**({figure: 1.0 for figure, *_ in FIGURES} | figures))


def test_processor_time_is_that_of_all_threads() -> None:
    """The clock of another process counts what the process itself counts."""
    begun, own = processor_time(os.getpid()), time.process_time()
    while time.process_time() < own + 0.2:
        pass
    assert processor_time(os.getpid()) - begun == pytest.approx(time.process_time() - own, abs=0.02)


def test_a_ratio_is_taken_within_a_round() -> None:
    """A slow moment of the machine slows both sides of a round."""
    bare = [loads(visible=2.0), loads(visible=20.0), loads(visible=2.2)]
    gateway = [loads(visible=1.0), loads(visible=10.0), loads(visible=1.1)]
    assert ratio("visible", bare, gateway) == pytest.approx(0.5)


def test_an_aim_that_is_missed_is_named() -> None:
    """Bytes, time and processor time have an aim each, and those above it are told."""
    bare = [loads(transferred=1000.0)]
    assert missed({"bare": bare, "gateway": [loads(transferred=380.0, visible=0.55)]}) == []
    assert len(missed({"bare": bare, "gateway": [loads(transferred=381.0, visible=0.56, processor=1.01)]})) == 3


def test_every_figure_is_explained() -> None:
    """docs/benchmarks.md has each figure of the table, and the aims."""
    text = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    for _, title, _, _, aim in FIGURES:
        assert title.partition(",")[0] in text
        assert aim is None or f"{aim:.2f}" in text
