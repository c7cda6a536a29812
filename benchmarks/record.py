"""What the record costs: `python -m benchmarks.record`.

Three questions. How many events a second does one ledger take when 64 (and 1, and 256) wait at the same time, each
until it is signed and on the disk? How many requests does an application answer that is recorded so, beside one with
the usual structlog set-up, which waits for nothing and promises nothing? Rounds are interleaved; medians and spread.
And how long does a start take with a full segment of 64 MiB that was torn off in the middle of a batch?
"""

import asyncio
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks import http_load
from benchmarks.recorded import WAYS, facts_of, usual_logger
from gateway.audit import Durability, Ledger, opened, stamp
from gateway.audit.recovery import recover
from tests.audit.samples import exchange
from tests.support.processes import PYTHON, free_port, running

AIM_EVENTS, AIM_RATIO = 100_000, 1.5
IN_FLIGHT = (1, 64, 256)
TOGETHER = (1, 64)
SEGMENT = 63 * 1024 * 1024
BESIDE = (
    Path(PYTHON).parents[1] / "beside"
)  # httptools: uvicorn's fastest parser leaves the record the least to hide behind
Rates = dict[str, list[float]]


def main(rounds: int = 7, seconds: float = 2.0, directory: Path | None = None) -> None:
    """Measure, and print a table. `directory`: on which disk; default the one of temporary files."""
    with tempfile.TemporaryDirectory(dir=directory) as home:
        events, delays = _events(Path(home), rounds, seconds)
        requests = _requests(Path(home), rounds, seconds)
        starts = _starts(Path(home), rounds)
    _show(events, delays, requests)
    _show_starts(starts)


def _events(home: Path, rounds: int, seconds: float) -> tuple[Rates, Rates]:
    rates: Rates = {}
    delays: Rates = {}
    sides: dict[str, Callable[[], tuple[float, list[float]]]] = {"structlog, a file": lambda: _logged(home, seconds)}
    event = opened(exchange(), stamp())
    with Ledger.open(home / "ledger", origin="benchmark/w0") as ledger:
        for count in IN_FLIGHT:
            sides[f"ledger, {count} in flight"] = lambda count=count: uvloop.run(
                _durable(ledger, event, count, seconds)
            )
        for _ in range(rounds):
            for name, side in sides.items():
                rate, times = side()
                rates.setdefault(name, []).append(rate)
                if times:
                    delays.setdefault(name, []).append(sorted(times)[int(len(times) * 0.99)] * 1000)
    return rates, delays


async def _durable(ledger: Ledger, event: object, count: int, seconds: float) -> tuple[float, list[float]]:
    times: list[float] = []
    until = time.perf_counter() + seconds

    async def visitor() -> None:
        while (begun := time.perf_counter()) < until:
            await ledger.append(event, Durability.BEFORE).durable()  # type: ignore[arg-type]
            times.append(time.perf_counter() - begun)

    begun = time.perf_counter()
    await asyncio.gather(*(visitor() for _ in range(count)))
    return len(times) / (time.perf_counter() - begun), times


def _logged(home: Path, seconds: float) -> tuple[float, list[float]]:
    log, count = usual_logger(home / "usual.jsonl"), 0
    facts = facts_of(opened(exchange(), stamp()))
    begun = time.perf_counter()
    while time.perf_counter() - begun < seconds:
        log.info("http.request", **facts)
        count += 1
    return count / (time.perf_counter() - begun), []


def _requests(home: Path, rounds: int, seconds: float) -> Rates:
    rates: Rates = {}
    for turn in range(rounds):
        for way in WAYS if turn % 2 == 0 else reversed(WAYS):
            port, place = free_port(), home / f"{way}{turn}"
            place.mkdir()
            command = [PYTHON, "-m", "benchmarks.recorded", way, str(port), str(place), "httptools"]
            environment = {"PYTHONPATH": str(BESIDE)}
            with running(command, ready_url=f"http://127.0.0.1:{port}/", env=environment):
                rates.setdefault(way, []).append(http_load.load(f"http://127.0.0.1:{port}/", seconds).per_second)
    return rates


def _starts(home: Path, rounds: int) -> Rates:
    """Seconds that a start takes, for segments in which so many events share a commit."""
    event, times = opened(exchange(), stamp()), Rates()
    for together in TOGETHER:
        directory = home / f"segment{together}"
        with Ledger.open(directory, origin="benchmark/w0") as ledger:
            for _ in range(SEGMENT // (len(event.body) + 200) // together):
                receipts = [ledger.append(event, Durability.ASYNC) for _ in range(together - 1)]
                [*receipts, ledger.append(event, Durability.BEFORE)][-1].wait(10)
        for turn in range(rounds):
            torn = home / f"torn{together}-{turn}"
            shutil.copytree(directory, torn)
            (torn / "checkpoint").unlink()
            with max(torn.glob("seg-*.jsonl")).open("r+b") as file:
                file.truncate(file.seek(0, 2) - 100)
            begun = time.perf_counter()
            recover(torn, 0)
            times.setdefault(f"{together} events a commit", []).append(time.perf_counter() - begun)
            shutil.rmtree(torn)
    return times


def _show_starts(starts: Rates) -> None:
    table = Table("recovery of a segment of 64 MiB, seconds", "median", "least", "most")
    for name, values in starts.items():
        table.add_row(name, *(f"{each:.2f}" for each in (statistics.median(values), min(values), max(values))))
    Console().print(table, "aim: at most 1 second")


def _show(events: Rates, delays: Rates, requests: Rates) -> None:
    console = Console()
    table = Table("events a second", "median", "least", "most", "p99 ms")
    for name, values in events.items():
        late = f"{statistics.median(delays[name]):.2f}" if name in delays else "-"
        table.add_row(name, *_spread(values), late)
    console.print(table)
    table = Table("requests a second, 32 connections", "median", "least", "most", "of none", "of structlog")
    for name, values in requests.items():
        ratios = [
            [each / other for each, other in zip(values, requests[base], strict=True)] for base in ("none", "structlog")
        ]
        table.add_row(name, *_spread(values), *(f"{statistics.median(each):.2f}" for each in ratios))
    console.print(table)
    console.print(f"aims: {AIM_EVENTS} events a second with 64 in flight; {AIM_RATIO} times structlog's requests")


def _spread(values: list[float]) -> tuple[str, str, str]:
    return f"{statistics.median(values):,.0f}", f"{min(values):,.0f}", f"{max(values):,.0f}"


if __name__ == "__main__":
    typer.run(main)
