"""The bundled tool as a visitor meets it: the real script, run by Streamlit."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

SCRIPT = Path(__file__).parents[2] / "streamlit_app.py"
UPLOAD = "Your CSV file"


def tool() -> AppTest:
    app = AppTest.from_file(str(SCRIPT), default_timeout=30).run()
    assert not app.exception
    return app


def upload(content: bytes) -> AppTest:
    app = tool()
    app.segmented_control[0].set_value(UPLOAD).run()
    app.file_uploader[0].set_value(("measurements.csv", content, "text/csv")).run()
    assert not app.exception
    return app


def test_the_sample_is_charted_at_once() -> None:
    """The tool opens with the sample charted: verdict, limits, both charts, the points that signal."""
    app = tool()
    assert app.title[0].value == "Control chart"
    assert "7 points signal, of 25" in app.error[0].value
    assert [metric.label for metric in app.metric] == ["Lower limit", "Centre line", "Upper limit", "Sigma within"]
    assert len(app.get("vega_lite_chart")) == 2
    assert list(app.dataframe[0].value["Point"]) == [9, 13, 17, 18, 19, 23, 25]
    assert app.get("download_button")


def test_single_values_instead_of_subgroups() -> None:
    """Without a subgroup column every measurement is a point, named by the label that the visitor picks."""
    app = tool()
    app.selectbox[1].select("None").run()
    assert not app.exception
    assert "of 125" in app.error[0].value
    assert app.dataframe[0].value["Label"].str.startswith("2026-03-09T").all()


def test_a_file_of_ones_own() -> None:
    """An uploaded file is charted; caveats are said, and text from the file is never taken for formatting."""
    app = upload(b"id,v*\n" + b"".join(b"%d,%d\n" % (row, row % 3) for row in range(10)) + b"x,?\n")
    assert app.success[0].value.startswith("No signal in 10 points")
    assert any(r"without a number in “v\*” left out" in warning.value for warning in app.warning)
    assert any("provisional" in warning.value for warning in app.warning)


def test_long_files_are_shown_in_part() -> None:
    """A chart shows 300 points at a time; limits and signals are those of the whole file."""
    app = upload(b"v\n" + b"".join(b"%d\n" % (row * 7 % 13) for row in range(1000)))
    assert "1,000 points" in app.success[0].value
    assert app.slider[0].value == 701
    app.slider[0].set_value(1).run()
    assert not app.exception


def test_waiting_for_a_file() -> None:
    """Before a file is chosen the page says what kind of file it takes."""
    app = tool()
    app.segmented_control[0].set_value(UPLOAD).run()
    assert "CSV file" in app.info[0].value
    assert not app.error


BAD = [
    ("empty", b"", "empty"),
    ("no numbers", b"a,b\nx,y\n", "No column holds numbers"),
    ("wrong encoding", "größe,v\n1,2\n3,4\n".encode("latin-1"), "UTF"),
    ("a workbook", b"PK\x03\x04", "spreadsheet"),
    ("not rectangular", b"a,b\n1,2\n1,2,3\n", "Line 3"),
    ("too many rows", b"v\n" + b"1\n" * 20_001, "rows"),
]


@pytest.mark.parametrize(("content", "words"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_file_that_gives_no_chart(content: bytes, words: str) -> None:
    """A file that cannot be used is explained on the page; nothing breaks."""
    app = upload(content)
    assert words in app.error[0].value
    assert not app.get("vega_lite_chart")


def test_columns_that_give_no_chart() -> None:
    """A choice of columns that gives no chart is explained as well, and can be changed."""
    app = tool()
    app.selectbox[1].select("part").run()
    assert "one measurement each" in app.error[0].value
    app.selectbox[1].select("subgroup").run()
    assert app.get("vega_lite_chart")


def test_your_exchange_without_the_gateway() -> None:
    """Started without the gateway, the page about the exchange says so."""
    app = AppTest.from_function(_exchange_page, default_timeout=30).run()
    assert not app.exception
    assert "without the gateway" in app.info[0].value


def _exchange_page() -> None:
    import streamlit_app

    streamlit_app.your_exchange()


def test_your_exchange() -> None:
    """Visitors see their address and how it was found, who they are, their session, and the policy that let them in."""
    app = AppTest.from_function(_known_exchange, default_timeout=30).run()
    assert not app.exception
    shown = {element.value for element in app.text}
    assert app.code[0].value == "01990b3f7c5e7000a1b2c3d4e5f60718"
    assert {
        "203.0.113.7",
        "A trusted proxy named it; the connection came from 10.20.0.1",
        "https://tools.corp.example",
        "2026-11-22 09:05:01 UTC",
        "**j.doe** <b>",
        "With your organisation's sign-in, with a second factor",
        "finance, quality",
        "5f2a9c01",
        "staff",
        "allowed-by-rule",
        "0007",
        "sha256:00ff",
    } <= shown
    assert not any("j.doe" in element.value for element in (*app.markdown, *app.caption))


def _known_exchange() -> None:
    from datetime import UTC, datetime

    import streamlit_app
    from gateway.model import Allow, Client, Method, PolicyRef, Principal, Provenance, Reason
    from gateway.streamlit import CurrentExchange

    streamlit_app.show_exchange(
        CurrentExchange(
            request_id="01990b3f7c5e7000a1b2c3d4e5f60718",
            received_at=datetime(2026, 11, 22, 9, 5, 1, tzinfo=UTC),
            peer="10.20.0.1",
            client=Client("203.0.113.7", Provenance.FORWARDED),
            host="tools.corp.example",
            scheme="https",
            principal=Principal("**j.doe** <b>", Method.OIDC, ("finance", "quality"), mfa=True),
            session="5f2a9c01",
            decision=Allow(Reason.ALLOWED_BY_RULE, PolicyRef("0007", "sha256:00ff"), "staff"),
        )
    )
