"""Control limits agree with published worked examples, and the table of factors with the normal distribution."""

import math

import pytest

from examples.spc.limits import FACTORS, individuals, moving_ranges, subgroup_limits, subgroups

# NIST/SEMATECH e-Handbook of Statistical Methods, 6.3.2.2: flow rate of ten batches.
FLOW_RATE = [49.6, 47.6, 49.9, 51.3, 47.8, 51.2, 52.6, 52.4, 53.6, 52.1]
FLOW_RATE_MOVING_RANGES = [2.0, 2.3, 1.4, 3.5, 3.4, 1.4, 0.2, 1.2, 1.5]


def test_individuals_as_in_the_nist_handbook() -> None:
    """Single values get the limits that the NIST e-Handbook computes for its example (6.3.2.2)."""
    assert moving_ranges(FLOW_RATE) == pytest.approx(FLOW_RATE_MOVING_RANGES)
    limits, spread = individuals(FLOW_RATE)
    assert spread.centre == pytest.approx(1.8778, abs=5e-5)
    assert limits.centre == pytest.approx(50.81, abs=5e-3)
    assert limits.upper == pytest.approx(55.8041, abs=5e-5)
    assert limits.lower == pytest.approx(45.8159, abs=5e-5)
    assert spread.upper == pytest.approx(3.267 * 1.8778, abs=5e-4)
    assert spread.lower == 0


def test_subgroups_as_in_montgomery() -> None:
    """Averages and ranges get the limits that Montgomery computes for his flow-width example (25 subgroups of 5)."""
    limits, spread = subgroup_limits(1.5056, 0.32521, 5)
    assert limits.upper == pytest.approx(1.69325, abs=5e-5)
    assert limits.lower == pytest.approx(1.31795, abs=5e-5)
    assert spread.upper == pytest.approx(0.68749, abs=5e-5)
    assert spread.lower == 0


def test_subgroups_from_measurements() -> None:
    """The centre lines are the mean of the averages and the mean of the ranges; worked by hand."""
    limits, spread = subgroups([(1.0, 2.0, 3.0), (2.0, 4.0, 6.0), (3.0, 3.0, 6.0)])
    assert limits.centre == pytest.approx(10 / 3)
    assert spread.centre == pytest.approx(3)
    assert limits.upper == pytest.approx(10 / 3 + 1.023 * 3)
    assert limits.sigma == pytest.approx(1.023)


def _integrate(function: object, low: float, high: float, steps: int) -> float:
    """Simpson's rule."""
    width = (high - low) / steps
    total = function(low) + function(high)
    total += sum(function(low + index * width) * (4 if index % 2 else 2) for index in range(1, steps))
    return total * width / 3


def _normal(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def _range_moments(size: int) -> tuple[float, float]:
    """Mean and standard deviation of the range of `size` standard normal values (Tippett 1925).

    E[R] = integral of P(R > r) with P(R <= r) = n * integral of phi(x) * (Phi(x + r) - Phi(x))^(n-1).
    """

    def at_most(reach: float) -> float:
        def density(x: float) -> float:
            phi = math.exp(-x * x / 2) / math.sqrt(2 * math.pi)
            return size * phi * (_normal(x + reach) - _normal(x)) ** (size - 1)

        return _integrate(density, -8, 8, 160)

    beyond = {index: 1 - at_most(index * 10 / 100) for index in range(101)}
    mean = _integrate(lambda reach: beyond[round(reach * 10)], 0, 10, 100)
    square = _integrate(lambda reach: 2 * reach * beyond[round(reach * 10)], 0, 10, 100)
    return mean, math.sqrt(square - mean**2)


@pytest.mark.parametrize("size", FACTORS)
def test_factors_follow_from_the_normal_distribution(size: int) -> None:
    """Every factor of the table is the one that the distribution of the range gives, to the digits printed."""
    factors = FACTORS[size]
    d2, deviation = _range_moments(size)
    assert factors.d2 == pytest.approx(d2, abs=1.5e-3)
    assert factors.a2 == pytest.approx(3 / (d2 * math.sqrt(size)), abs=1.5e-3)
    assert factors.d3 == pytest.approx(max(0, 1 - 3 * deviation / d2), abs=1.5e-3)
    assert factors.d4 == pytest.approx(1 + 3 * deviation / d2, abs=1.5e-3)
