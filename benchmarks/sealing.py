"""`python -m benchmarks.sealing`: what a million events take once they are sealed, and what sealing them costs.

A commit line holds 96 random bytes, a root and a signature, which no compression makes smaller. How many events share
one is up to the traffic: on a quiet gateway each has its own, under load they come in batches. So it is measured for
several.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.traffic import BEGIN, traffic
from gateway.audit.chain import Chain
from gateway.audit.directory import SegmentFiles, known
from gateway.audit.keys import EpochKeys
from gateway.audit.segment import Segment
from gateway.audit.store import Store
from gateway.audit.tree import leaf_hash

ORIGIN = "5f3a9c2e51d04b6a/w0"
PER_COMMIT = (1, 2, 8, 64)
MIB = 1024**2


@dataclass(frozen=True)
class Measured:
    """One segment: events a commit, bytes an event by file, seconds and MiB of the process, µs to find one event."""

    per_commit: int
    events: int
    lines: int
    packed: int
    tree: int
    seal: int
    columns: int
    seconds: float
    memory: float
    find: float

    @property
    def sealed(self) -> int:
        return self.packed + self.tree + self.seal + self.columns


def main(
    events: Annotated[int, typer.Option(min=1000, help="Events of a segment; 42000 are about 64 MiB.")] = 42_000,
) -> None:
    """Seal one segment for each number of events a commit, and print a table."""
    console = Console(width=None if Console().is_terminal else 160)
    table = Table(title=f"one segment of {events} events, in bytes an event", box=None, pad_edge=False)
    headings = ("events a commit", "lines", "zst", "tree", "seal", "parquet", "sealed: MB a million", "s for 64 MiB")
    for heading in (*headings, "MiB of memory", "µs to find one event"):
        table.add_column(heading, justify="right")
    for per_commit in PER_COMMIT:
        with tempfile.TemporaryDirectory() as directory, console.status(f"{per_commit} events a commit"):
            table.add_row(*_cells(measure(Path(directory), events, per_commit)))
    console.print(table)


def measure(directory: Path, events: int, per_commit: int) -> Measured:
    write(directory, events, per_commit)
    files = known(directory)[0]
    lines = files.lines.stat().st_size
    seconds, memory = seal(directory)
    sizes = [path.stat().st_size for path in (files.packed, files.tree, files.seal, files.columns)]
    return Measured(per_commit, events, lines, *sizes, seconds, memory, find(directory, events))


def write(directory: Path, events: int, per_commit: int) -> None:
    """A finished segment, and an empty one that is being written; nothing is synced on the way."""
    chain, epoch = Chain.begin(ORIGIN, EpochKeys(directory, ORIGIN), BEGIN)
    Segment.create(directory, epoch.header, epoch.commit, 4096).close()
    with SegmentFiles(directory, 0).lines.open("ab") as file:
        for lines in batched_lines(events, per_commit):
            tree = chain.tree.extended([leaf_hash(line) for line in lines])
            file.write(b"\n".join([*lines, chain.commit(tree)]))
            chain.tree = tree
    following = chain.following(BEGIN)
    Segment.create(directory, following.header, following.commit, 4096).close()


def batched_lines(events: int, per_commit: int) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for sequence, event in enumerate(traffic(events)):
        durability = b'"before"' if b'"phase":"decision"' in event.body else b'"async"'
        batch.append(event.line(sequence, b'"%b"' % ORIGIN.encode(), durability))
        if len(batch) == per_commit or sequence == events - 1:
            yield batch
            batch = []


def seal(directory: Path) -> tuple[float, float]:
    """Seconds of processor time scaled to 64 MiB of lines, and the greatest memory in MiB."""
    size = SegmentFiles(directory, 0).lines.stat().st_size
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.audit.sealing", str(directory)], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit("sealing failed")
    return (usage.ru_utime + usage.ru_stime) * 64 * MIB / size, usage.ru_maxrss / 1024


def find(directory: Path, events: int) -> float:
    """Microseconds until the line of an event somewhere in the sealed segment is there."""
    random, took = Random(1), []
    with Store(directory) as store:
        store.event(0)
        for _ in range(200):
            begun = time.perf_counter()
            store.event(random.randrange(events))
            took.append(time.perf_counter() - begun)
    return median(took) * 1e6


def _cells(measured: Measured) -> Iterator[str]:
    yield str(measured.per_commit)
    for size in (measured.lines, measured.packed, measured.tree, measured.seal, measured.columns):
        yield f"{size / measured.events:.2f}"
    yield f"{measured.sealed / measured.events:.0f}"
    yield f"{measured.seconds:.2f}"
    yield f"{measured.memory:.0f}"
    yield f"{measured.find:.0f}"


if __name__ == "__main__":
    # Typer's own tracebacks print the values of all variables.
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app(prog_name="python -m benchmarks.sealing")
