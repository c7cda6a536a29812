"""Shewhart charts in Vega-Lite: the values above, their ranges below."""

from typing import Any, Final

import altair as alt

from examples.spc.limits import Limits
from examples.spc.study import Point, Study

# Mid tones, readable on light and on dark grounds. What matters is told by shape and text as well as by colour.
VALUE: Final = "#3d7cc9"
SIGNAL: Final = "#d9434f"
LIMIT: Final = "#b0662f"
CENTRE: Final = "#2f8f6b"
ZONE: Final = "#7c93ad"


def value_chart(study: Study, points: tuple[Point, ...], unit: str) -> alt.LayerChart | alt.FacetChart:
    """Single values or averages, with the one, two and three sigma zones, and the rules that each point signals."""
    limits = study.limits
    title = f"Average of {study.size}" if study.size > 1 else "Single value"
    rows = [_row(point, point.value, ", ".join(str(rule.number) for rule in point.rules)) for point in points]
    marks = [
        (limits.upper, f"UCL {study.figure(limits.upper)}", LIMIT),
        (limits.centre, f"CL {study.figure(limits.centre)}", CENTRE),
        (limits.lower, f"LCL {study.figure(limits.lower)}", LIMIT),
    ]
    return alt.layer(*_zones(limits), *_lines(marks), *_points(rows, f"{title}: {unit}")).properties(height=340)


def spread_chart(study: Study, points: tuple[Point, ...], unit: str) -> alt.LayerChart | alt.FacetChart:
    """Ranges of subgroups, or moving ranges of single values, with their limits."""
    limits = study.spread_limits
    title = "Range" if study.size > 1 else "Moving range"
    rows = [
        _row(point, point.spread, "outside" if point.spread_outside else "")
        for point in points
        if point.spread is not None
    ]
    marks = [
        (limits.upper, f"UCL {study.figure(limits.upper)}", LIMIT),
        (limits.centre, f"CL {study.figure(limits.centre)}", CENTRE),
    ]
    if limits.lower > 0:
        marks.append((limits.lower, f"LCL {study.figure(limits.lower)}", LIMIT))
    return alt.layer(*_lines(marks), *_points(rows, f"{title}: {unit}", zero=True)).properties(height=200)


def _row(point: Point, value: float, signal: str) -> dict[str, Any]:
    return {"position": point.position, "label": point.label, "value": value, "signal": signal}


def _zones(limits: Limits) -> list[alt.Chart]:
    """Bands of one, two and three sigma on top of each other, so that the inner ones are darker."""
    bands = [
        {"low": limits.centre - reach * limits.sigma, "high": limits.centre + reach * limits.sigma}
        for reach in (3, 2, 1)
    ]
    band = alt.Chart(alt.Data(values=bands)).mark_rect(color=ZONE, opacity=0.11)
    return [band.encode(y=alt.Y("low:Q", scale=alt.Scale(zero=False)), y2="high:Q")]


def _lines(marks: list[tuple[float, str, str]]) -> list[alt.Chart]:
    layers: list[alt.Chart] = []
    for value, text, colour in marks:
        base = alt.Chart(alt.Data(values=[{"value": value, "text": text}])).encode(y="value:Q")
        layers.append(base.mark_rule(color=colour, strokeDash=[1, 0] if colour == CENTRE else [6, 4], strokeWidth=1.5))
        layers.append(
            base.mark_text(align="left", baseline="middle", dx=6, color=colour, fontWeight=600).encode(
                x=alt.value("width"), text="text:N"
            )
        )
    return layers


def _points(rows: list[dict[str, Any]], title: str, *, zero: bool = False) -> list[alt.Chart]:
    first = min((row["position"] for row in rows), default=1)
    last = max((row["position"] for row in rows), default=1)
    axis = alt.Axis(format="d", tickMinStep=1, grid=False)
    x = alt.X("position:Q", title="Point", scale=alt.Scale(domain=[first - 0.5, last + 0.5], nice=False), axis=axis)
    y = alt.Y("value:Q", title=title, scale=alt.Scale(zero=zero), axis=alt.Axis(minExtent=48))
    tooltip = [
        alt.Tooltip("position:Q", title="Point"),
        alt.Tooltip("label:N", title="Label"),
        alt.Tooltip("value:Q", title="Value", format=".6g"),
        alt.Tooltip("signal:N", title="Signal"),
    ]
    base = alt.Chart(alt.Data(values=rows)).encode(x=x, y=y, tooltip=tooltip)
    flagged = base.transform_filter("datum.signal !== ''")
    return [
        base.mark_line(color=VALUE, strokeWidth=1.5),
        base.mark_circle(color=VALUE, size=44, opacity=1),
        flagged.mark_point(color=SIGNAL, fill=SIGNAL, shape="diamond", size=120, opacity=1),
        flagged.mark_text(color=SIGNAL, dy=-14, fontWeight=700).encode(text="signal:N"),
    ]
