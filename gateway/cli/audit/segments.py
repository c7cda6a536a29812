"""`gateway audit segments`: what the record consists of."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import typer
from rich.table import Table
from rich.text import Text

from gateway.audit.overview import Overview, overview
from gateway.cli.audit.keeping import AsJson, StateDir, amount, day, logs_of, name_of, show, state_of
from gateway.cli.terminal import printable

_STYLES = {"live": "green", "rolled": "yellow", "sealed": "", "pruned": "dim"}


def segments(*, state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """List the segments of every log: from which event to which, when, how big, in which form, and what holds them.

    live: being written. rolled: finished, to be sealed. sealed: compressed, with its seal. pruned: the events were
    removed, their seal is kept.

    For example:

    gateway audit segments

    gateway audit segments --json
    """
    found = [(log, overview(log)) for log in logs_of(state_of(state_dir))]
    if as_json:
        _print_json(found)
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("log", "start", "end", "events", "first", "last", "form", "size", "held by"):
        table.add_column(heading, justify="right" if heading in ("start", "end", "events", "size") else "left")
    for log, parts in found:
        for part in parts:
            table.add_row(*(Text(printable(cell)) for cell in _cells(log, part)), style=_STYLES[part.form])
    show(table)


def _cells(log: Path, part: Overview) -> Sequence[str]:
    return (
        name_of(log),
        str(part.start),
        str(part.end),
        str(part.events),
        day(part.first_time),
        day(part.last_time),
        part.form,
        amount(part.bytes),
        ", ".join(part.held) or "-",
    )


def _print_json(found: Sequence[tuple[Path, list[Overview]]]) -> None:
    for log, parts in found:
        for part in parts:
            typer.echo(json.dumps({"log": name_of(log), **asdict(part), "events": part.events}))
