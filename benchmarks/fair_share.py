"""`python -m benchmarks.fair_share`: what is left for others when many visitors press rerun at once."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks import sides
from benchmarks.crowd import BEGIN, Crowd
from benchmarks.probe import Health
from benchmarks.report import machine
from benchmarks.sides import RESULTS, Conditions, Side
from tests.support.processes import ROOT, clean_environment

SCRIPT = Path(__file__).with_name("busy.py")
AIM_HEALTH = 250.0  # ms, 99th percentile
AIM_MEMORY = 1.5  # of the same visitors one after the other
RUNS_IN_TURN = 2

Flag = typer.Option
Serve = Callable[[Conditions], AbstractContextManager[Side]]


@dataclass(frozen=True)
class Share:
    """What came of one side: the health route, the visitors' runs, and memory in MB, together and in turn."""

    name: str
    health: Health
    crowd: Crowd
    seconds: float
    memory: float
    memory_in_turn: float

    @property
    def memory_ratio(self) -> float:
        return self.memory / self.memory_in_turn


def main(
    visitors: Annotated[int, Flag(min=2, help="Visitors, each with a session of their own.")] = 200,
    seconds: Annotated[float, Flag(min=1, help="Seconds for which they press rerun.")] = 20.0,
    patience: Annotated[float, Flag(min=1, help="Seconds to wait for the last answer of the health route.")] = 60.0,
    at_once: Annotated[int | None, Flag(min=1, help="limits.scripts.at_once of the gateway's policy.")] = None,
    only: Annotated[str | None, Flag(help="One side: bare or gateway.")] = None,
    print_json: Annotated[bool, Flag("--json", help="Print the JSON instead of the table.")] = False,
    strict: Annotated[bool, Flag("--strict", help="Exit with 1 when the gateway misses an aim.")] = False,
) -> None:
    """Let many visitors press rerun at once, on bare Streamlit and on the gateway.

    Each visitor asks for a run of benchmarks/busy.py (50 ms of processor time), and for the next one as soon as it has
    finished. Meanwhile another process asks for the health route. Memory is compared with a fresh server that the same
    visitors use one after the other. Everything is also written to benchmarks/results/.

    For example:

    make bench-fair

    python -m benchmarks.fair_share --visitors 40 --seconds 10
    """
    known: dict[str, Serve] = {"bare": sides.bare, "gateway": sides.gateway}
    shares = []
    for name, serve in known.items():
        if only in (None, name):
            typer.echo(f"measuring {name}", err=True)
            shares.append(measure(name, serve, visitors, seconds, patience, at_once))
    _show(shares, visitors, print_json=print_json)
    if strict and any(share.name == "gateway" and not reached(share) for share in shares):
        raise typer.Exit(1)


def measure(
    name: str, serve: Serve, visitors: int, seconds: float, patience: float = 60.0, at_once: int | None = None
) -> Share:
    """One side, on two fresh servers: the visitors in turn, then all at once."""
    with _server(serve, at_once) as side:
        _client(side, visitors, "--in-turn", str(RUNS_IN_TURN))
        in_turn = side.peak_memory()
    with _server(serve, at_once) as side:
        crowd, health = _together(side, visitors, seconds, patience)
        return Share(name, health, crowd, seconds, side.peak_memory(), in_turn)


def reached(share: Share) -> bool:
    """Whether all three aims are: health in time, everybody served, memory bounded."""
    in_time = share.health.complete and share.health.p99 <= AIM_HEALTH
    return in_time and min(share.crowd.runs) > 0 and share.memory_ratio <= AIM_MEMORY


@contextmanager
def _server(serve: Serve, at_once: int | None) -> Iterator[Side]:
    # Beside the results, not in /tmp: there a memory file system would make the record look cheaper than it is.
    RESULTS.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=".state-", dir=RESULTS) as home,
        serve(Conditions(Path(home), script=SCRIPT, at_once=at_once)) as side,
    ):
        yield side


def _start(module: str, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=clean_environment())


def _client(side: Side, visitors: int, *options: str) -> Crowd:
    process = _start("benchmarks.crowd", side.visitor.url, "--visitors", str(visitors), *options)
    return Crowd(**json.loads(_last_line(process)))


def _last_line(process: "subprocess.Popen[str]") -> str:
    output = process.communicate()[0]
    assert process.returncode == 0, f"the clients failed:\n{output}"
    return output.strip().splitlines()[-1]


def _together(side: Side, visitors: int, seconds: float, patience: float) -> tuple[Crowd, Health]:
    cookie = "; ".join(f"{name}={value}" for name, value in side.visitor.cookies.items())
    crowd = _start("benchmarks.crowd", side.visitor.url, "--visitors", str(visitors), "--seconds", str(seconds))
    assert crowd.stdout is not None
    begun = crowd.stdout.readline().strip()
    assert begun == BEGIN, f"the clients did not begin: {begun}"
    time.sleep(1.0)  # all have asked for their first run
    health = _start(
        *("benchmarks.probe", f"{side.visitor.url}/_stcore/health", "--cookie", cookie),
        *("--seconds", str(seconds - 2.0), "--patience", str(patience)),
    )
    return Crowd(**json.loads(_last_line(crowd))), Health(**json.loads(_last_line(health)))


# --- shown ----------------------------------------------------------------------------------------------------


def table(shares: list[Share], visitors: int) -> Table:
    """The sides beside each other, with the aims."""
    shown = Table(title=f"{visitors} visitors press rerun for {shares[0].seconds:g} s")
    for column in ("", *(share.name for share in shares), "aim"):
        shown.add_column(column, justify="left" if not column else "right", no_wrap=True)
    for title, cell, aim in ROWS:
        shown.add_row(title, *(cell(share) for share in shares), aim)
    return shown


def _milliseconds(value: float, health: Health) -> str:
    return f"{value:.0f}" if health.complete or value < health.longest / 2 else f"≥ {value:.0f}"


ROWS: tuple[tuple[str, Callable[[Share], str], str], ...] = (
    ("health route, median, ms", lambda share: _milliseconds(share.health.p50, share.health), ""),
    ("health route, 99th percentile, ms", lambda share: _milliseconds(share.health.p99, share.health), "250"),
    ("health route, longest, ms", lambda share: _milliseconds(share.health.longest, share.health), ""),
    ("reruns a visitor, least", lambda share: str(min(share.crowd.runs)), "1"),
    ("reruns a visitor, median", lambda share: f"{statistics.median(share.crowd.runs):g}", ""),
    ("reruns a visitor, most", lambda share: str(max(share.crowd.runs)), ""),
    ("reruns a second", lambda share: f"{sum(share.crowd.runs) / share.seconds:.1f}", ""),
    ("longest rerun, s", lambda share: f"{share.crowd.longest:.1f}", ""),
    ("peak memory, MB", lambda share: f"{share.memory:.0f}", ""),
    ("peak memory, visitors in turn, MB", lambda share: f"{share.memory_in_turn:.0f}", ""),
    ("memory, together to in turn", lambda share: f"{share.memory_ratio:.2f}", "1.50"),
)


def _show(shares: list[Share], visitors: int, *, print_json: bool) -> None:
    report = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "visitors": visitors,
        "machine": machine(RESULTS),
        "sides": [{**asdict(share), "memory_ratio": share.memory_ratio, "reached": reached(share)} for share in shares],
    }
    text = json.dumps(report, indent=2)
    (RESULTS / f"fair-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json").write_text(text + "\n")
    if print_json:
        typer.echo(text)
    else:
        Console(width=None if Console().is_terminal else 120).print(table(shares, visitors))


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app(prog_name="python -m benchmarks.fair_share")
