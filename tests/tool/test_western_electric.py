"""The Western Electric rules, by examples and by their symmetries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.spc.limits import Limits
from examples.spc.rules import RULES, outside, signals

ZERO = Limits(-3.0, 0.0, 3.0)  # one sigma is 1, so that points read as sigmas

# Western Electric Statistical Quality Control Handbook (1956), part I, section B: tests for instability.
CASES = [
    ("nothing unusual", [0.5, -0.5, 0.9, -0.9, 0.2], {}),
    ("one point beyond three sigma", [0, 3.1, 0], {1: [1]}),
    ("below as well", [0, -3.1, 0], {1: [1]}),
    ("on the limit is not beyond it", [0, 3.0, 0], {}),
    ("two in a row beyond two sigma", [0, 2.1, 2.1], {2: [2]}),
    ("two of three, with one between", [2.1, 0, 2.1], {2: [2]}),
    ("two of four are too far apart", [2.1, 0, 0, 2.1], {}),
    ("on two sides they do not count", [2.1, -2.1, 0], {}),
    ("the point after the pattern is not marked", [2.1, 2.1, 0.5], {1: [2]}),
    ("four of five beyond one sigma", [1.1, 1.1, 0, 1.1, 1.1], {4: [3]}),
    ("four in a row", [1.1, 1.1, 1.1, 1.1], {3: [3]}),
    ("three of five are too few", [1.1, 0, 1.1, 0, 1.1], {}),
    ("eight on one side", [0.1] * 8, {7: [4]}),
    ("seven on one side", [0.1] * 7, {}),
    ("nine on one side are marked twice", [-0.1] * 9, {7: [4], 8: [4]}),
    ("the centre line breaks a run", [0.1] * 7 + [0.0] + [0.1] * 7, {}),
    ("several rules at once", [2.5, 3.5], {1: [1, 2]}),
    ("no points", [], {}),
]


def _numbers(points: list[float], limits: Limits) -> dict[int, list[int]]:
    found = signals(points, limits)
    return {index: [rule.number for rule in rules] for index, rules in enumerate(found) if rules}


@pytest.mark.parametrize(("points", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_rules(points: list[float], expected: dict[int, list[int]]) -> None:
    """A point signals when it completes one of the four patterns on one side of the centre line."""
    assert _numbers(points, ZERO) == expected


POINTS = st.lists(st.integers(-40, 40).map(lambda tenths: tenths / 8), max_size=40)  # eighths are exact in binary


def _by_the_book(points: list[float], index: int) -> list[int]:
    """The four rules once more, in the words of the handbook and without any of the product's code."""
    found = []
    for side in (1, -1):
        here = [side * point for point in points[: index + 1]]
        now = here[-1]
        if now > 3:
            found.append(1)
        if now > 2 and len([point for point in here[-3:] if point > 2]) >= 2:
            found.append(2)
        if now > 1 and len([point for point in here[-5:] if point > 1]) >= 4:
            found.append(3)
        if len(here) >= 8 and all(point > 0 for point in here[-8:]):
            found.append(4)
    return sorted(found)


@given(POINTS)
def test_rules_by_the_book(points: list[float]) -> None:
    """Whatever the measurements, the marks are those of the handbook."""
    expected = {index: rules for index in range(len(points)) if (rules := _by_the_book(points, index))}
    assert _numbers(points, ZERO) == expected


@given(POINTS)
def test_rules_are_symmetric(points: list[float]) -> None:
    """A chart that is turned upside down has the same marks."""
    assert _numbers([-point for point in points], ZERO) == _numbers(points, ZERO)


@given(POINTS, st.sampled_from([0.25, 2.0, 1024.0]), st.sampled_from([-64.0, 0.0, 512.0]))
def test_rules_do_not_depend_on_the_unit(points: list[float], scale: float, shift: float) -> None:
    """Millimetres or metres, from whatever zero: the marks stay."""
    limits = Limits(shift - 3 * scale, shift, shift + 3 * scale)
    assert _numbers([shift + scale * point for point in points], limits) == _numbers(points, ZERO)


@given(st.floats(-1e6, 1e6), st.integers(2, 60))
def test_equal_measurements_never_signal(value: float, count: int) -> None:
    """A process that always gives the same value is in control, also where its mean cannot be computed exactly."""
    mean = sum([value] * count) / count
    assert _numbers([value] * count, Limits(mean, mean, mean)) == {}


def test_ranges_are_judged_by_their_limits() -> None:
    """A range signals above its upper or below its lower limit, not on them."""
    assert outside([0.5, 1.0, 2.0, 3.0, 3.5], Limits(1.0, 2.0, 3.0)) == (True, False, False, False, True)


def test_the_rules_are_named() -> None:
    """The four rules have their numbers and a name that says what they look for."""
    assert [rule.number for rule in RULES] == [1, 2, 3, 4]
    assert len({rule.name for rule in RULES}) == 4
