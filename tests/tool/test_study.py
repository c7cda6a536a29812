"""From a table to a pair of charts."""

from pathlib import Path

import pytest

from examples.spc import Study, UnusableDataError, make_study, read_measurements
from examples.spc.limits import Limits

SAMPLE = Path(__file__).parents[2] / "examples" / "spc" / "measurements.csv"


def study(text: str, **columns: str) -> Study:
    return make_study(read_measurements(text.encode()), value="v", **columns)


def test_single_values() -> None:
    """Without subgroups each row is a point, with its distance from the one before."""
    result = study("t,v\nmon,1\ntue,\nwed,4\nthu,2\n", label="t")
    assert (result.kind, result.size) == ("I-MR", 1)
    assert [(point.position, point.label, point.value, point.spread) for point in result.points] == [
        (1, "mon", 1.0, None),
        (2, "wed", 4.0, 3.0),
        (3, "thu", 2.0, 2.0),
    ]
    assert "1 row without a number" in result.notices[0]
    assert result.sigma_within == pytest.approx(2.5 / 1.128)


def test_subgroups() -> None:
    """With a subgroup column each subgroup is a point, in the order of the file, with its range."""
    result = study("g,v\nb,1\na,2\nb,3\na,6\n", subgroup="g")
    assert (result.kind, result.size) == ("X-bar and R", 2)
    assert [(point.label, point.value, point.spread) for point in result.points] == [("b", 2.0, 2.0), ("a", 4.0, 4.0)]
    assert any("provisional" in notice for notice in result.notices)


def test_incomplete_subgroups_are_left_out_and_named() -> None:
    """A subgroup of another size has other limits: it is left out, and the reader is told which."""
    result = study("g,v\na,1\na,2\nb,3\nb,4\nc,9\n", subgroup="g")
    assert [point.label for point in result.points] == ["a", "b"]
    assert any("1 subgroup left out" in notice and notice.endswith(": c.") for notice in result.notices)


UNUSABLE = [
    ("subgroups of one", "g,v\na,1\nb,2\n", "one measurement each"),
    ("a single subgroup", "g,v\na,1\na,2\n", "fewer than two complete subgroups"),
    ("subgroups of 26", "g,v\n" + "a,1\n" * 26 + "b,2\n" * 26, "25 at most"),
]


@pytest.mark.parametrize(("text", "words"), [case[1:] for case in UNUSABLE], ids=[case[0] for case in UNUSABLE])
def test_subgroups_that_give_no_chart(text: str, words: str) -> None:
    """Subgroups that range charts cannot take are refused with what to choose instead."""
    with pytest.raises(UnusableDataError, match=words):
        study(text, subgroup="g")


@pytest.mark.parametrize(
    ("sigma", "value", "text"),
    [
        (0.005, 25.00123456, "25.00123"),
        (0.9, 50.81, "50.810"),
        (250.0, 123456.7, "123457"),
        (0, 1.0, "1.000"),
        (1e97, 1e99, "1e+99"),
    ],
)
def test_figures_have_the_decimals_that_matter(sigma: float, value: float, text: str) -> None:
    """Figures are shown with three digits of sigma, and very large or small ones in scientific notation."""
    limits = Limits(value - 3 * sigma, value, value + 3 * sigma)
    assert Study("I-MR", 1, (), limits, limits).figure(value) == text


def test_the_sample_shows_every_rule() -> None:
    """The bundled sample is stable at first, and then signals each of the four rules and one range."""
    measurements = read_measurements(SAMPLE.read_bytes())
    result = make_study(measurements, value="diameter_mm", subgroup="subgroup")
    assert (len(result.points), result.size, result.notices) == (25, 5, ())
    assert {rule.number for point in result.flagged for rule in point.rules} == {1, 2, 3, 4}
    assert [point.position for point in result.flagged if point.spread_outside] == [13]
    assert min(point.position for point in result.flagged) == 9
