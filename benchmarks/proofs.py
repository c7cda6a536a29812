"""`python -m benchmarks.proofs`: what it takes to open a log, to prove one of its events, and to check the proof.

The log is written segment by segment without a sync, sealed by the gateway's own process, and its last segment stays
live. Events are proven in random order, so nearly each one is in a frame that nobody has opened before.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from random import Random
from statistics import median, quantiles
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.sealing import ORIGIN
from benchmarks.traffic import BEGIN, traffic
from gateway.audit.chain import Chain, Epoch
from gateway.audit.directory import SegmentFiles, checkpoint_path
from gateway.audit.event import Event
from gateway.audit.keys import EpochKeys
from gateway.audit.proofs import LogTree, newest_checkpoint, parsed, prove, prove_continued
from gateway.audit.segment import Segment
from gateway.audit.tree import leaf_hash
from gateway.audit.verifier import Key, check_consistency, check_proof

SEGMENT = 48_000  # events of about 64 MiB
PER_COMMIT = 16

Timed = tuple[str, list[float]]


def main(
    events: Annotated[int, typer.Option(min=3 * SEGMENT, help="Events of the log.")] = 1_000_000,
    samples: Annotated[int, typer.Option(min=10, help="How many are proven.")] = 2000,
) -> None:
    """Write a log, prove events of it, check the proofs, and print a table."""
    console = Console(width=None if Console().is_terminal else 160)
    with tempfile.TemporaryDirectory() as directory:
        with console.status(f"writing and sealing {events} events"):
            write(Path(directory), events)
        table = Table("", "median µs", "99th percentile µs", title=f"{events} events", box=None, pad_edge=False)
        for name, took in measured(Path(directory), samples):
            table.add_row(name, f"{median(took) * 1e6:.0f}", f"{quantiles(took, n=100)[98] * 1e6:.0f}")
        console.print(table)


def write(directory: Path, events: int) -> None:
    """A log whose segments are sealed, but for the last one."""
    chain, epoch = Chain.begin(ORIGIN, EpochKeys(directory, ORIGIN), BEGIN)
    made = iter(traffic(events))
    for start in range(0, events, SEGMENT):
        if start:
            epoch = chain.following(BEGIN)
        _segment(directory, chain, epoch, islice(made, SEGMENT))
        subprocess.run([sys.executable, "-m", "gateway.audit.sealing", str(directory)], check=True, capture_output=True)
    checkpoint_path(directory).write_text(chain.checkpoint())


def _segment(directory: Path, chain: Chain, epoch: Epoch, events: Iterator[Event]) -> None:
    Segment.create(directory, epoch.header, epoch.commit, 4096).close()
    if epoch.header.start:
        chain.promote(epoch)
    with SegmentFiles(directory, epoch.header.start).lines.open("ab") as file:
        while batch := list(islice(events, PER_COMMIT)):
            first = chain.tree.size
            lines = [each.line(first + at, b'"%b"' % ORIGIN.encode(), b'"before"') for at, each in enumerate(batch)]
            tree = chain.tree.extended([leaf_hash(line) for line in lines])
            file.write(b"\n".join([*lines, chain.commit(tree)]))
            chain.tree = tree


def measured(directory: Path, samples: int) -> Iterator[Timed]:
    """Each thing that is done, with the seconds that it took each time."""
    random, note = Random(1), newest_checkpoint(directory)
    yield "open the log", list(_each(range(5), lambda _: LogTree(directory).root(parsed(note).size)))
    with LogTree(directory) as tree:
        size, key = parsed(note).size, [Key.parse(tree.signed_by(parsed(note)))]
        wanted, proofs = [random.randrange(size) for _ in range(samples)], {}
        prove(tree, 0, note)

        def make(sequence: int) -> None:
            proofs[sequence] = prove(tree, sequence, note)

        yield "prove an event, any", list(_each(wanted, make))
        yield "prove an event beside the last one", list(_each([wanted[0]] * samples, make))
        lines = {each: tree.line(each) for each in wanted}
        yield "check a proof and its signature", list(_each(wanted, lambda at: check_proof(lines[at], proofs[at], key)))
        starts = [int(path.name[4:16]) for path in sorted(directory.glob("seg-*.seal"))][1:]
        old = {each: parsed(tree.checkpoint_at(each)) for each in starts}
        keys = [*key, *(Key.parse(tree.signed_by(each)) for each in old.values())]
        sizes = [random.choice(starts) for _ in range(samples)]
        new = parsed(note)
        yield (
            "prove that the log continues a checkpoint",
            list(_each(sizes, lambda at: prove_continued(tree, old[at], new))),
        )
        paths = {at: prove_continued(tree, old[at], new) for at in starts}
        yield (
            "check it, and both signatures",
            list(_each(sizes, lambda at: check_consistency(old[at], new, paths[at], keys))),
        )


def _each(values: "Iterator[int] | list[int] | range", act: Callable[[int], object]) -> Iterator[float]:
    for value in values:
        begun = time.perf_counter()
        act(value)
        yield time.perf_counter() - begun


if __name__ == "__main__":
    # Typer's own tracebacks print the values of all variables.
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app(prog_name="python -m benchmarks.proofs")
