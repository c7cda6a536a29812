"""One process, studied: points, ranges, limits, and the points that signal."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import floor, log10
from statistics import fmean
from typing import Final, Literal

from examples.spc.limits import FACTORS, Limits, individuals, moving_ranges, subgroups
from examples.spc.measurements import Measurements, UnusableDataError
from examples.spc.rules import Rule, outside, signals

ENOUGH: Final = 20
"""Points below which limits are provisional: 20 to 25 are the usual advice (NIST e-Handbook 6.3.2.1, Montgomery)."""

WIDE: Final = 10
"""Subgroup size above which a range wastes information and an S chart is the better choice (Montgomery)."""


@dataclass(frozen=True, slots=True)
class Point:
    """One plotted point. `position` counts from 1; `spread` is its range, None for the first of single values."""

    position: int
    label: str
    value: float
    spread: float | None
    rules: tuple[Rule, ...]
    spread_outside: bool

    @property
    def signals(self) -> bool:
        """Whether the point asks for an investigation."""
        return bool(self.rules) or self.spread_outside


@dataclass(frozen=True, slots=True)
class Study:
    """A pair of charts. `size` is the number of measurements in each point; `notices` are caveats for the reader."""

    kind: Literal["I-MR", "X-bar and R"]
    size: int
    points: tuple[Point, ...]
    limits: Limits
    spread_limits: Limits
    notices: tuple[str, ...] = ()

    @property
    def flagged(self) -> tuple[Point, ...]:
        """The points that signal, in order."""
        return tuple(point for point in self.points if point.signals)

    def figure(self, value: float) -> str:
        """A value as text, with the decimals that show three digits of the chart's sigma."""
        sigma = self.limits.sigma
        decimals = 2 - floor(log10(sigma)) if sigma > 0 else 3
        return f"{value:.{max(0, decimals)}f}" if decimals <= 9 and abs(value) < 1e9 else f"{value:.6g}"

    @property
    def sigma_within(self) -> float:
        """The estimate of the process sigma from the mean range: R-bar / d2."""
        return self.spread_limits.centre / FACTORS[max(2, self.size)].d2


def make_study(
    measurements: Measurements, *, value: str, subgroup: str | None = None, label: str | None = None
) -> Study:
    """The charts for one column: individuals and moving range, or averages and ranges if a subgroup column is named.

    Rows are taken in the order of the file. `label` names single values, for instance by their time.

    Raises:
        UnusableDataError: fewer than two points, or subgroups that an R chart cannot take.
    """
    numbers = measurements.numbers(value)
    skipped = sum(1 for number in numbers if number is None)
    notices = (f"{_count(skipped, 'row')} without a number in “{value}” left out.",) if skipped else ()
    if subgroup is None:
        labels = measurements.cells(label) if label else tuple(str(row) for row in range(1, len(numbers) + 1))
        kept = [(name, number) for name, number in zip(labels, numbers, strict=True) if number is not None]
        return _individuals(kept, notices)
    names = measurements.cells(subgroup)
    return _subgroups(
        [(name, number) for name, number in zip(names, numbers, strict=True) if number is not None], notices
    )


def _individuals(rows: list[tuple[str, float]], notices: tuple[str, ...]) -> Study:
    if len(rows) < 2:
        raise UnusableDataError("There are fewer than two measurements. A chart needs at least two, better twenty.")
    values = [value for _, value in rows]
    limits, spread_limits = individuals(values)
    points = _points([name for name, _ in rows], values, [None, *moving_ranges(values)], limits, spread_limits)
    return Study("I-MR", 1, points, limits, spread_limits, notices + _few(len(points)))


def _subgroups(rows: list[tuple[str, float]], notices: tuple[str, ...]) -> Study:
    groups: dict[str, list[float]] = {}
    for name, value in rows:
        groups.setdefault(name, []).append(value)
    size = _common_size(groups)
    whole = {name: values for name, values in groups.items() if len(values) == size}
    left_out = [name for name in groups if name not in whole]
    if len(whole) < 2:
        raise UnusableDataError(
            "There are fewer than two complete subgroups. A chart needs at least two, better twenty."
        )
    limits, spread_limits = subgroups(list(whole.values()))
    means = [fmean(values) for values in whole.values()]
    ranges = [max(values) - min(values) for values in whole.values()]
    points = _points(list(whole), means, ranges, limits, spread_limits)
    notices += _incomplete(left_out, size) + _wide(size) + _few(len(points))
    return Study("X-bar and R", size, points, limits, spread_limits, notices)


def _common_size(groups: dict[str, list[float]]) -> int:
    """The size that most subgroups have, the larger of two that are as frequent."""
    sizes = Counter(len(values) for values in groups.values())
    size = max(sizes, key=lambda size: (sizes[size], size), default=0)
    if size < 2:
        raise UnusableDataError("The subgroups hold one measurement each. Choose “None” to chart single values.")
    if size not in FACTORS:
        raise UnusableDataError(
            f"The subgroups hold {size} measurements; range charts take {max(FACTORS)} at most."
            " Choose a column that makes smaller subgroups."
        )
    return size


def _points(
    labels: list[str],
    values: list[float],
    spreads: list[float | None] | list[float],
    limits: Limits,
    spread_limits: Limits,
) -> tuple[Point, ...]:
    marks = signals(values, limits)
    wild = outside([spread_limits.centre if spread is None else spread for spread in spreads], spread_limits)
    rows: Iterable[tuple[str, float, float | None, tuple[Rule, ...], bool]]
    rows = zip(labels, values, spreads, marks, wild, strict=True)
    return tuple(Point(position, *row) for position, row in enumerate(rows, 1))


def _few(points: int) -> tuple[str, ...]:
    if points >= ENOUGH:
        return ()
    return (f"The limits are provisional: they rest on {points} points, and {ENOUGH} or more are usual.",)


def _wide(size: int) -> tuple[str, ...]:
    if size <= WIDE:
        return ()
    return (f"With {size} measurements in a subgroup the range loses information; an S chart would be better.",)


def _incomplete(names: list[str], size: int) -> tuple[str, ...]:
    if not names:
        return ()
    listed = ", ".join(name or "(no name)" for name in names[:5]) + (", …" if len(names) > 5 else "")
    return (f"{_count(len(names), 'subgroup')} left out, because they do not hold {size} measurements: {listed}.",)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
