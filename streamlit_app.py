"""The bundled tool: statistical process control of measurements, and a page that shows visitors their own exchange.

It is an ordinary Streamlit script. `streamlit run streamlit_app.py` works as well; the gateway adds who may use it.
"""

from pathlib import Path

import streamlit as st

from examples.spc import (
    MAX_BYTES,
    RULES,
    Measurements,
    Study,
    UnusableDataError,
    make_study,
    read_measurements,
    safe_csv,
)
from examples.spc.chart import spread_chart, value_chart
from examples.spc.limits import FACTORS
from examples.spc.study import Point
from gateway.model import Client, Principal, Provenance
from gateway.streamlit import CurrentExchange, current

SAMPLE = Path(__file__).parent / "examples" / "spc" / "measurements.csv"
WINDOW = 300  # points on one chart; more cannot be told apart

NONE = "None"
SUBGROUP_NAMES = ("subgroup", "sample", "batch", "lot", "group")
LABEL_NAMES = ("time", "date", "timestamp", "datetime", "id", "serial", "part")


# --- control chart --------------------------------------------------------------------------------------------


def control_chart() -> None:
    """A Shewhart chart of the visitor's measurements, or of the sample."""
    st.title("Control chart")
    st.write("Is the process stable? Points that break a Western Electric rule deserve an investigation.")
    try:
        measurements = _choose_measurements()
        if measurements is not None:
            value, study = _choose_study(measurements)
            _show_study(study, value)
    except UnusableDataError as error:
        st.error(_plain(str(error)))


def _choose_measurements() -> Measurements | None:
    source = st.segmented_control(
        "Measurements", ("Sample: shaft diameters", "Your CSV file"), default="Sample: shaft diameters", required=True
    )
    if source != "Your CSV file":
        return read_measurements(SAMPLE.read_bytes())
    file = st.file_uploader(
        "CSV file",
        type="csv",
        max_upload_size=MAX_BYTES // 1_000_000,
        help="UTF-8 text. The first line names the columns; commas, semicolons or tabs separate them.",
    )
    if file is None:
        st.info("Choose a CSV file with one measurement in each row, in the order in which they were taken.")
        return None
    return read_measurements(file.getvalue())


def _choose_study(measurements: Measurements) -> tuple[str, Study]:
    numbers = measurements.number_columns()
    value_column, subgroup_column, label_column = st.columns(3)
    value = value_column.selectbox("Measured value", numbers, index=len(numbers) - 1)
    others = (NONE, *(column for column in measurements.columns if column != value))
    subgroup = subgroup_column.selectbox(
        "Subgroup",
        others,
        index=_guess(others, SUBGROUP_NAMES),
        help="Rows with the same entry make one point: their average and range. Without it, each row is a point.",
    )
    label = label_column.selectbox(
        "Label of each point",
        others,
        index=_guess(others, LABEL_NAMES),
        disabled=subgroup != NONE,
        help="Names single values, for instance by their time. Subgroups are named by themselves.",
    )
    study = make_study(
        measurements,
        value=value,
        subgroup=None if subgroup == NONE else subgroup,
        label=None if label == NONE else label,
    )
    return value, study


def _guess(columns: tuple[str, ...], names: tuple[str, ...]) -> int:
    """The first column whose name is among the names, else "None"."""
    return next((index for index, column in enumerate(columns) if column.strip().lower() in names), 0)


def _show_study(study: Study, value: str) -> None:
    for notice in study.notices:
        st.warning(_plain(notice))
    _show_verdict(study)
    _show_figures(study)
    points = study.points
    if len(points) > WINDOW:
        first = st.slider("Show from point", 1, len(points) - WINDOW + 1, len(points) - WINDOW + 1)
        points = points[first - 1 : first - 1 + WINDOW]
    st.altair_chart(value_chart(study, points, value), alt=f"Control chart of {value}; its signals are listed below")
    st.altair_chart(spread_chart(study, points, value), alt=f"Range chart of {value}; its signals are listed below")
    _show_flagged(study, value)
    _show_method(study)


def _show_verdict(study: Study) -> None:
    count = len(study.flagged)
    if count == 0:
        st.success(f"No signal in {len(study.points):,} points: the process looks stable.")
    else:
        signal = "1 point signals" if count == 1 else f"{count:,} points signal"
        st.error(f"{signal}, of {len(study.points):,}. Look for a cause before you trust the limits.")


def _show_figures(study: Study) -> None:
    limits = study.limits
    figures = (
        ("Lower limit", limits.lower, "Three sigma below the centre line."),
        ("Centre line", limits.centre, "The average of all points."),
        ("Upper limit", limits.upper, "Three sigma above the centre line."),
        ("Sigma within", study.sigma_within, "The spread of the process, estimated from the mean range: R-bar / d2."),
    )
    with st.container(horizontal=True):
        for name, figure, meaning in figures:
            st.metric(name, study.figure(figure), help=meaning, border=True)


def _show_flagged(study: Study, value: str) -> None:
    st.subheader("Points that signal")
    if not study.flagged:
        st.caption("None.")
        return
    columns = ("Point", "Label", value, "Range", "Signals")
    rows = [
        (point.position, point.label, point.value, "" if point.spread is None else point.spread, _signals(point))
        for point in study.flagged
    ]
    shown = {
        "Point": [point.position for point in study.flagged],
        "Label": [point.label for point in study.flagged],
        "Value": [study.figure(point.value) for point in study.flagged],
        "Range": ["" if point.spread is None else study.figure(point.spread) for point in study.flagged],
        "Signals": [_signals(point) for point in study.flagged],
    }
    st.dataframe(
        shown,
        hide_index=True,
        column_config={
            "Point": st.column_config.NumberColumn(width="small"),
            "Signals": st.column_config.Column(width="large"),
        },
    )
    st.download_button(
        "Download these points", safe_csv(columns, rows), "flagged-points.csv", "text/csv", on_click="ignore"
    )


def _signals(point: Point) -> str:
    rules = [f"{rule.number}: {rule.name}" for rule in point.rules]
    return "; ".join(rules + ["Range outside its limits"] * point.spread_outside)


def _show_method(study: Study) -> None:
    with st.expander("How this is calculated"):
        factors = FACTORS[max(2, study.size)]
        if study.size > 1:
            st.markdown(
                f"**X-bar and R chart**, subgroups of {study.size}. Limits of the averages: grand mean ± A2 · R-bar; of"
                f" the ranges: D3 · R-bar and D4 · R-bar, with A2 = {factors.a2}, D3 = {factors.d3}, D4 = {factors.d4},"
                f" d2 = {factors.d2}."
            )
        else:
            st.markdown(
                "**Individuals and moving range chart**. Limits of the values: mean ± 3 · MR-bar / d2; of the moving"
                f" ranges: D4 · MR-bar, with d2 = {factors.d2}, D4 = {factors.d4} (span 2)."
            )
        st.markdown("\n".join(f"{rule.number}. {rule.name}" for rule in RULES))
        st.caption(
            "Rules: Western Electric, Statistical Quality Control Handbook, 1956; a rule marks the point that completes"
            " its pattern. Ranges are judged by their limits alone. Factors: ASTM MNL 7; formulas: NIST/SEMATECH"
            " e-Handbook, section 6.3.2. The limits are computed from all points, those that signal included."
        )


def _plain(text: str) -> str:
    """Text from a file, shown as it is: Markdown would make links and images of it."""
    return "".join(f"\\{character}" if character in r"\`*_{}[]<>()#+-.!|~$:" else character for character in text)


# --- your exchange --------------------------------------------------------------------------------------------


def your_exchange() -> None:
    """What the gateway knows about this visitor, in their own words and for support."""
    st.title("Your exchange")
    exchange = current()
    if exchange is None:
        st.info(
            "This tool runs without the gateway at the moment, so there is nothing to show: nobody has checked who you"
            " are or from where you come. Start it with `gateway serve` to see your exchange here.",
        )
        return
    st.write("What the gateway knows about this connection. Quote the reference if you ask support about it.")
    show_exchange(exchange)


def show_exchange(exchange: CurrentExchange) -> None:
    """The exchange, one fact in a row."""
    policy = exchange.decision.policy
    st.caption("Reference")
    st.code(exchange.request_id, language=None)
    _facts(
        "From where",
        ("Your address", exchange.client.address or "not known"),
        ("How we know it", _provenance(exchange.client, exchange.peer)),
        ("Reached as", f"{exchange.scheme}://{exchange.host or 'unknown host'}"),
        ("Since", exchange.received_at.strftime("%Y-%m-%d %H:%M:%S UTC")),
    )
    _facts(
        "Who",
        ("You are", exchange.principal.id),
        ("How you signed in", _method(exchange.principal)),
        ("Groups", ", ".join(exchange.principal.groups) or "none"),
        ("Session", exchange.session or "none"),
    )
    _facts(
        "Why you are let in",
        ("Rule", exchange.decision.rule or "none"),
        ("Reason", exchange.decision.reason.value),
        ("Policy revision", policy.revision),
        ("Policy digest", policy.digest),
    )
    st.caption("The session is shown by its fingerprint, which is in the record too; it does not let anybody in.")


def _facts(heading: str, *facts: tuple[str, str]) -> None:
    st.subheader(heading)
    with st.container(border=True):
        for name, fact in facts:
            left, right = st.columns((1, 3), vertical_alignment="center")
            left.caption(name)
            right.text(fact)  # text, never Markdown: names come from outside


def _provenance(client: Client, peer: str | None) -> str:
    if client.provenance is Provenance.DIRECT:
        return "It opened the connection itself"
    if client.provenance is Provenance.FORWARDED:
        return f"A trusted proxy named it; the connection came from {peer or 'an unnamed peer'}"
    return "It could not be established"


def _method(principal: Principal) -> str:
    words = {
        "none": "Not at all: you are known by your network only",
        "oidc": "With your organisation's sign-in",
        "proxy": "At the proxy in front of this service",
        "mtls": "With a certificate",
        "local": "With a local account",
        "token": "With a token",
    }[principal.method.value]
    return f"{words}, with a second factor" if principal.mfa else words


def main() -> None:
    """The tool: two pages."""
    st.set_page_config(page_title="Process control", page_icon="📈", layout="wide")
    page = st.navigation(
        [
            st.Page(control_chart, title="Control chart", default=True),
            st.Page(your_exchange, title="Your exchange", url_path="exchange"),
        ]
    )
    page.run()


if __name__ == "__main__":
    main()
