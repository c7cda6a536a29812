"""The four zone rules of the Western Electric Statistical Quality Control Handbook (1956), part I, section B.

They judge each half of the chart by itself. A rule marks the point that completes its pattern, and that point lies in
the zone itself: a pattern that has passed is not marked again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from examples.spc.limits import Limits

_ROUNDING: Final = 1e-12
"""Share of the centre line below which a distance is rounding: equal measurements must not signal."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`count` of `window` neighbouring points lie more than `zone` sigma from the centre line, on the same side."""

    number: int
    name: str
    count: int
    window: int
    zone: int


RULES: Final = (
    Rule(1, "One point beyond 3 sigma", 1, 1, 3),
    Rule(2, "Two of three points beyond 2 sigma on one side", 2, 3, 2),
    Rule(3, "Four of five points beyond 1 sigma on one side", 4, 5, 1),
    Rule(4, "Eight points in a row on one side", 8, 8, 0),
)


def signals(points: Sequence[float], limits: Limits) -> tuple[tuple[Rule, ...], ...]:
    """For each point the rules whose pattern it completes; empty for most."""
    marked = {rule: _marks(points, limits, rule) for rule in RULES}
    return tuple(tuple(rule for rule in RULES if marked[rule][index]) for index in range(len(points)))


def outside(points: Sequence[float], limits: Limits) -> tuple[bool, ...]:
    """For each range whether it lies outside its limits. The zone rules need symmetry, which ranges do not have."""
    slack = _ROUNDING * abs(limits.centre)
    return tuple(point > limits.upper + slack or point < limits.lower - slack for point in points)


def _marks(points: Sequence[float], limits: Limits, rule: Rule) -> list[bool]:
    above = _side(points, limits, rule, 1)
    below = _side(points, limits, rule, -1)
    return [one or other for one, other in zip(above, below, strict=True)]


def _side(points: Sequence[float], limits: Limits, rule: Rule, side: int) -> list[bool]:
    reach = rule.zone * limits.sigma + _ROUNDING * abs(limits.centre)
    beyond = [side * (point - limits.centre) > reach for point in points]
    return [
        is_beyond and sum(beyond[max(0, index - rule.window + 1) : index + 1]) >= rule.count
        for index, is_beyond in enumerate(beyond)
    ]
