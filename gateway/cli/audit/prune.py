"""`gateway audit prune`: remove old events, segment by segment, and leave a record of it."""

import json
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from gateway.audit.retention import DAY, Old, old_segments
from gateway.audit.retention import prune as prune_log
from gateway.audit.sealing import requests
from gateway.audit.sealing.keeper import appender
from gateway.audit.sealing.offline import open_log
from gateway.audit.sealing.seal import Seal, read_seal
from gateway.audit.stamp import stamp
from gateway.cli.audit.keeping import AsJson, StateDir, age, amount, day, logs_of, name_of, show, state_of, write_down
from gateway.cli.terminal import EXIT_FINDING, console, errors, print_error, print_warning, printable
from gateway.errors import AuditUnavailable

_PATIENCE: Final = 60.0  # seconds that the gateway is given: it looks every five
_HINT: Final = "`gateway audit segments` shows what is there; the process log of the gateway says why"


def prune(
    *,
    older_than: Annotated[str, typer.Option(help="Age of the last event of a segment: 400d, 6w or 2y.", metavar="AGE")],
    because: Annotated[str | None, typer.Option(help="Why. It is recorded.", metavar="TEXT")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")] = False,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Remove the events of sealed segments whose last event is older, oldest first.

    Not those of the segment being written, and none under a legal hold. Each removal is an event of the same log
    before it happens, and the seals stay: what is left verifies as before. While the gateway runs, it is the gateway
    that removes.

    For example:

    gateway audit prune --older-than 400d --dry-run

    gateway audit prune --older-than 400d --because "Retention schedule 7"

    Exit codes: 0 done, 1 something that should have been removed is still there, 2 it could not be recorded.
    """
    state, days = state_of(state_dir), age(older_than).days
    if because is not None and not because.isprintable():
        raise typer.BadParameter("write a reason, on one line", param_hint="--because")
    before = stamp().time - days * DAY
    found = {log: old_segments(log, before) for log in logs_of(state)}
    if not dry_run:
        _prune_all(state, found, before, f"older than {days} days: {because}" if because else f"older than {days} days")
    _show(found, as_json=as_json, dry_run=dry_run)
    left = [old for olds in found.values() for old in olds if not old.held and not _is_pruned(old)]
    if left and not dry_run:
        print_error(f"{len(left)} segments were not removed", _HINT)
        raise typer.Exit(EXIT_FINDING)


def _prune_all(state: Path, found: dict[Path, list[Old]], before: int, because: str) -> None:
    due = [log for log, olds in found.items() if any(not old.held for old in olds)]
    if not due:
        return
    write_down(state, "audit.prune", {"older_than": day(before), "because": because})
    because = f"{because} (gateway audit prune)"  # who has asked stands in the commands' log, masked if it has to be
    for log in due:
        ledger = open_log(log)
        if ledger is None:
            _ask_gateway(log, requests.PruneRequest(before, because))
            continue
        with closing(ledger):
            try:
                prune_log(log, before, because, appender(ledger))
            except AuditUnavailable as error:
                print_error(f"{name_of(log)}: nothing was removed: {error}")


def _ask_gateway(log: Path, request: requests.PruneRequest) -> None:
    requests.ask(log, request)
    until = time.monotonic() + _PATIENCE
    with errors.status("the gateway runs, and was asked to do it"):
        while requests.waits(log) and time.monotonic() < until:
            time.sleep(0.1)
    if requests.waits(log):
        print_warning(f"{name_of(log)}: the gateway has not answered yet", "it does it as soon as it can")


def _is_pruned(old: Old) -> bool:
    return read_seal(old.files.seal).pruned is not None


def _show(found: dict[Path, list[Old]], *, as_json: bool, dry_run: bool) -> None:
    rows = [(log, old, _outcome(old, dry_run=dry_run)) for log, olds in found.items() for old in olds]
    if as_json:
        for log, old, outcome in rows:
            typer.echo(json.dumps(_as_json(log, old.seal, outcome, old.held)))
        return
    if not rows:
        console.print("nothing is that old")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("log", "start", "end", "first", "last", "size", "outcome"):
        table.add_column(heading, justify="right" if heading in ("start", "end", "size") else "left")
    for log, old, outcome in rows:
        table.add_row(*(Text(printable(cell)) for cell in _cells(log, old, outcome)))
    show(table)


def _outcome(old: Old, *, dry_run: bool) -> str:
    if _is_pruned(old):
        return "removed"
    if old.held:
        return "held"
    return "would be removed" if dry_run else "still there"


def _cells(log: Path, old: Old, outcome: str) -> Sequence[str]:
    seal = old.seal
    by = f" by {', '.join(old.held)}" if outcome == "held" else ""
    first, last, size = day(seal.first_time), day(seal.last_time), amount(seal.zst.bytes)
    return name_of(log), str(seal.start), str(seal.end), first, last, size, outcome + by


def _as_json(log: Path, seal: Seal, outcome: str, held: Sequence[str]) -> dict[str, object]:
    return {
        "log": name_of(log),
        "start": seal.start,
        "end": seal.end,
        "first_time": seal.first_time,
        "last_time": seal.last_time,
        "bytes": seal.zst.bytes,
        "outcome": outcome,
        "held": list(held),
    }
