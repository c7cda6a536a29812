"""The benchmark's own parts: figures that would be wrong are refused, ratios mean what the table says."""

import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from benchmarks.http_load import LoadError, answer_length, load, percentile, read_wrk
from benchmarks.report import METRICS, Comparison, Metric
from tests.support.processes import ROOT, bare_streamlit, clean_environment

# As wrk 4.1 prints it.
WRK = """Running 1s test @ http://127.0.0.1:8501/_stcore/health
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     5.29ms    1.31ms  20.00ms   93.61%
    Req/Sec     5.96k   321.76     6.10k    70.00%
  Latency Distribution
     50%  950.00us
     75%    5.47ms
     90%   24.58ms
     99%    1.20s
  5960 requests in 1.00s, 7.54MB read
Requests/sec:   5955.57
Transfer/sec:      7.52MB
"""


def test_what_wrk_prints_is_read_with_its_units() -> None:
    """Times come in microseconds, milliseconds or seconds, and end in milliseconds."""
    read = read_wrk(WRK)
    assert (read.answers, read.per_second, read.p99) == (5960, 5955.57, 1200.0)
    assert read.p50 == pytest.approx(0.95)


REFUSED = [
    ("answers that are not 200", WRK.replace("Requests/sec", "  Non-2xx or 3xx responses: 1\nRequests/sec")),
    ("broken connections", WRK.replace("Requests/sec", "  Socket errors: connect 0, read 1\nRequests/sec")),
    ("no figures", "unable to connect to 127.0.0.1:1 Connection refused"),
    ("nothing", ""),
]


@pytest.mark.parametrize("output", [row[1] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_load_with_errors_has_no_figures(output: str) -> None:
    """Fast refusals are no performance: one of them and the load does not count."""
    with pytest.raises(LoadError):
        read_wrk(output)


PERCENTILES = [
    ("median of an odd number", [1.0, 2.0, 9.0], 50, 2.0),
    ("median of an even number", [1.0, 2.0, 3.0, 4.0], 50, 2.0),
    ("99th of a hundred", [float(each) for each in range(1, 101)], 99, 99.0),
    ("99th of ten", [float(each) for each in range(1, 11)], 99, 10.0),
    ("of one", [7.0], 99, 7.0),
]


@pytest.mark.parametrize(
    ("values", "rank", "expected"), [row[1:] for row in PERCENTILES], ids=[r[0] for r in PERCENTILES]
)
def test_a_percentile_is_a_measured_value(values: list[float], rank: float, expected: float) -> None:
    """By nearest rank: the least value that so many percent do not exceed."""
    assert percentile(values, rank) == expected


LENGTHS = [
    ("half a head", b"HTTP/1.1 200 OK\r\nContent-Le", None),
    ("a body", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", 40),
    ("small letters", b"HTTP/1.1 200 OK\r\ncontent-length:2\r\n\r\nok", 39),
    ("no body", b"HTTP/1.1 304 Not Modified\r\n\r\n", 29),
]


@pytest.mark.parametrize(("received", "expected"), [row[1:] for row in LENGTHS], ids=[row[0] for row in LENGTHS])
def test_the_own_loader_knows_where_an_answer_ends(received: bytes, expected: int | None) -> None:
    """An answer is its head and as many bytes as the head says."""
    assert answer_length(received) == expected


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with bare_streamlit(ROOT / "benchmarks" / "app.py") as found:
        yield found


LOADERS = [
    pytest.param(True, id="own"),
    pytest.param(False, id="wrk", marks=pytest.mark.skipif(not shutil.which("wrk"), reason="no wrk")),
]


@pytest.mark.parametrize("own", LOADERS)
def test_each_loader_loads_a_real_server(url: str, own: bool) -> None:
    """Both loaders count answers of Streamlit itself, and their figures fit together."""
    figures = load(f"{url}/_stcore/health", 1.0, "a=b", own=own)
    assert figures.answers > 50
    assert 0 < figures.p50 <= figures.p99


@pytest.mark.parametrize("own", LOADERS)
def test_each_loader_refuses_a_route_that_fails(url: str, own: bool) -> None:
    """A route that answers 404 has no performance."""
    with pytest.raises(LoadError):
        load(f"{url}/component/nothing/here", 1.0, own=own)


RATIOS = [
    ("half the rate", True, 100.0, 50.0, 0.5),
    ("twice the time", False, 10.0, 20.0, 0.5),
    ("a faster gateway", False, 20.0, 10.0, 2.0),
]


@pytest.mark.parametrize(
    ("more_is_better", "bare", "other", "expected"), [r[1:] for r in RATIOS], ids=[r[0] for r in RATIOS]
)
def test_a_ratio_below_one_is_always_worse(more_is_better: bool, bare: float, other: float, expected: float) -> None:
    """For rates and for times alike, 1 is as good as bare and less is worse."""
    assert Metric("key", "title", "unit", more_is_better).ratio(bare, other) == expected


def test_ratios_are_taken_within_a_round() -> None:
    """A slow moment of the machine slows both sides of a round, and does not move the ratio."""
    compared = Comparison(Metric("key", "title", "unit", True, aim=0.6), (100.0, 10.0, 90.0), (70.0, 7.0, 63.0))
    assert compared.ratios == pytest.approx((0.7, 0.7, 0.7))
    assert compared.reached is True
    assert Comparison(Metric("key", "title", "unit", True), (1.0,), (0.1,)).reached is None


def test_the_aims_are_those_we_publish() -> None:
    """docs/benchmarks.md has every aim, and every metric with it."""
    text = (ROOT / "docs" / "benchmarks.md").read_text()
    assert {metric.key: metric.aim for metric in METRICS if metric.aim} == {
        "http_per_second": 0.60,
        "rerun_p50": 0.97,
        "reruns_per_second": 0.97,
    }
    for metric in METRICS:
        assert metric.title.partition(",")[0] in text


def test_bare_streamlit_parses_with_h11() -> None:
    """The bare side does not profit from httptools when that is installed for other reasons."""
    code = "import benchmarks.bare, uvicorn.protocols.http.auto as auto; print(auto.AutoHTTPProtocol.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=clean_environment(), check=True
    )
    assert done.stdout.strip() == "H11Protocol"
