"""`gateway audit seal`: seal by hand what waits, when the gateway does not run."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from gateway.audit.directory import SegmentFiles, known
from gateway.audit.ledger import Ledger
from gateway.audit.sealing.child import Report, locked
from gateway.audit.sealing.keeper import appender, sealed_event
from gateway.audit.sealing.offline import open_log
from gateway.audit.sealing.steps import make_columns, sweep, waiting, without_columns
from gateway.audit.sealing.steps import seal as seal_segment
from gateway.audit.stamp import stamp
from gateway.audit.store import Store
from gateway.cli.audit.keeping import AsJson, StateDir, amount, logs_of, name_of, state_of
from gateway.cli.terminal import EXIT_FINDING, EXIT_INVALID, console, errors, print_error
from gateway.errors import AuditUnavailable, GatewayError

_ROLL: Final = 10.0  # seconds


def seal(
    *,
    now: Annotated[
        bool, typer.Option("--now", help="Also what is being written: the log goes on in a new segment.")
    ] = False,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Seal finished segments: compress them, write their seals, and record it in the same log.

    A gateway that runs does this by itself; this is for one that does not, such as before its record is archived.

    For example:

    gateway audit seal

    gateway audit seal --now

    Exit codes: 0 done, 1 a segment could not be sealed, 2 the gateway runs.
    """
    failed = running = False
    for log in logs_of(state_of(state_dir)):
        try:
            if now and not _roll(log):
                running = True
                continue
            done = _seal_log(log, as_json=as_json)
            running = running or not done
        except (GatewayError, OSError) as error:
            print_error(str(error))
            failed = True
    if running:
        print_error("the gateway runs, and seals its record by itself", "stop it first, or leave it to it")
    if failed or running:
        raise typer.Exit(EXIT_FINDING if failed else EXIT_INVALID)


def _roll(log: Path) -> bool:
    """End the segment that is being written. False: the gateway runs."""
    if not _has_events(log):
        return True
    ledger = open_log(log, segment_age=0.0)
    if ledger is None:
        return False
    with closing(ledger):
        before, until = ledger.health.segments, time.monotonic() + _ROLL
        while ledger.health.segments == before and time.monotonic() < until:
            time.sleep(0.02)
    return True


def _has_events(log: Path) -> bool:
    with Store(log) as store:
        return store.end > known(log)[-1].start


def _seal_log(log: Path, *, as_json: bool) -> bool:
    segments = waiting(log)
    if not segments and not without_columns(log):
        return True
    ledger = open_log(log)
    if ledger is None:
        return False
    with closing(ledger), locked(log) as ours:
        if not ours:
            return False
        sweep(log)
        with _progress(log, len(segments)) as tick:
            for files in segments:
                _seal_one(log, files, ledger, as_json=as_json)
                tick()
        for files in without_columns(log):
            make_columns(files)
    return True


def _seal_one(log: Path, files: SegmentFiles, ledger: Ledger, *, as_json: bool) -> None:
    report = Report.of(seal_segment(files, stamp().time))
    try:
        appender(ledger)(sealed_event(report))
    except AuditUnavailable as error:
        print_error(f"{name_of(log)}: {report.segment} was sealed, and it could not be recorded: {error}")
    if as_json:
        typer.echo(json.dumps({"log": name_of(log), **msgspec.structs.asdict(report)}))
        return
    size = f"{amount(report.bytes)} to {amount(report.zst_bytes)}"
    console.print(Text(f"{name_of(log)}: sealed {report.segment} to {report.end}, {report.events} events, {size}"))


@contextmanager
def _progress(log: Path, count: int) -> Iterator[Callable[[], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task(f"sealing {name_of(log)}", total=count)
        yield lambda: progress.advance(task)
