"""Control limits of Shewhart charts: individuals and moving range, averages and ranges.

Factors: ASTM MNL 7, "Manual on Presentation of Data and Control Chart Analysis"; the same table is Appendix VI of
D. C. Montgomery, "Introduction to Statistical Quality Control". A test computes them again from the normal
distribution.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Factors:
    """For subgroups of one size: `a2` on averages, `d2` from mean range to sigma, `d3` and `d4` on ranges.

    `d3` and `d4` are the factors that the literature writes as capitals, D3 and D4.
    """

    a2: float
    d2: float
    d3: float
    d4: float


FACTORS: Final[Mapping[int, Factors]] = MappingProxyType(
    {
        2: Factors(1.880, 1.128, 0, 3.267),
        3: Factors(1.023, 1.693, 0, 2.574),
        4: Factors(0.729, 2.059, 0, 2.282),
        5: Factors(0.577, 2.326, 0, 2.114),
        6: Factors(0.483, 2.534, 0, 2.004),
        7: Factors(0.419, 2.704, 0.076, 1.924),
        8: Factors(0.373, 2.847, 0.136, 1.864),
        9: Factors(0.337, 2.970, 0.184, 1.816),
        10: Factors(0.308, 3.078, 0.223, 1.777),
        11: Factors(0.285, 3.173, 0.256, 1.744),
        12: Factors(0.266, 3.258, 0.283, 1.717),
        13: Factors(0.249, 3.336, 0.307, 1.693),
        14: Factors(0.235, 3.407, 0.328, 1.672),
        15: Factors(0.223, 3.472, 0.347, 1.653),
        16: Factors(0.212, 3.532, 0.363, 1.637),
        17: Factors(0.203, 3.588, 0.378, 1.622),
        18: Factors(0.194, 3.640, 0.391, 1.609),
        19: Factors(0.187, 3.689, 0.404, 1.596),
        20: Factors(0.180, 3.735, 0.415, 1.585),
        21: Factors(0.173, 3.778, 0.425, 1.575),
        22: Factors(0.167, 3.819, 0.435, 1.565),
        23: Factors(0.162, 3.858, 0.443, 1.557),
        24: Factors(0.157, 3.895, 0.452, 1.548),
        25: Factors(0.153, 3.931, 0.459, 1.541),
    }
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Centre line and three-sigma limits of one chart, in the unit of the measurements."""

    lower: float
    centre: float
    upper: float

    @property
    def sigma(self) -> float:
        """One sigma of what is plotted: a third of the way from the centre line to the upper limit."""
        return (self.upper - self.centre) / 3


def moving_ranges(values: Sequence[float]) -> tuple[float, ...]:
    """The absolute differences of neighbours; one fewer than there are values."""
    return tuple(abs(after - before) for before, after in pairwise(values))


def individuals_limits(centre: float, mean_range: float) -> tuple[Limits, Limits]:
    """The limits of an individuals chart and of its moving-range chart (span 2).

    NIST/SEMATECH e-Handbook of Statistical Methods, section 6.3.2.2.
    """
    factors = FACTORS[2]
    reach = 3 * mean_range / factors.d2
    return (
        Limits(centre - reach, centre, centre + reach),
        Limits(factors.d3 * mean_range, mean_range, factors.d4 * mean_range),
    )


def subgroup_limits(grand_mean: float, mean_range: float, size: int) -> tuple[Limits, Limits]:
    """The limits of an X-bar chart and of its R chart, for subgroups of `size` measurements, 2 to 25.

    NIST/SEMATECH e-Handbook of Statistical Methods, section 6.3.2.1.

    Raises:
        KeyError: for another size.
    """
    factors = FACTORS[size]
    reach = factors.a2 * mean_range
    return (
        Limits(grand_mean - reach, grand_mean, grand_mean + reach),
        Limits(factors.d3 * mean_range, mean_range, factors.d4 * mean_range),
    )


def individuals(values: Sequence[float]) -> tuple[Limits, Limits]:
    """The limits of single measurements, at least two, and of their moving ranges."""
    return individuals_limits(fmean(values), fmean(moving_ranges(values)))


def subgroups(groups: Sequence[Sequence[float]]) -> tuple[Limits, Limits]:
    """The limits of the averages and of the ranges of subgroups, all of the same size."""
    size = len(groups[0])
    return subgroup_limits(fmean(map(fmean, groups)), fmean(max(group) - min(group) for group in groups), size)
