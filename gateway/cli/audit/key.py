"""`gateway audit key`: the keys by which a log is known."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from gateway.audit.directory import SegmentFiles, known
from gateway.audit.verifier import Header, Seal, UnusableError
from gateway.cli.audit.verify import logs_below
from gateway.cli.terminal import EXIT_FINDING, EXIT_INVALID, print_error, printable

_LONGEST = 64 * 1024


def key(
    directories: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[DIRECTORY…]", help="Logs; default: all below the state directory."),
    ] = None,
    *,
    state_dir: Annotated[
        Path | None, typer.Option(help="State directory; default: GATEWAY_STATE_DIR, else .gateway.", metavar="DIR")
    ] = None,
    current: Annotated[
        bool, typer.Option("--current", help="The key of the running segment instead: proofs and checkpoints bear it.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print both keys of every log, one JSON object.")] = False,
) -> None:
    """Print the first key of each log (vkey), one a line: what a reviewer notes when a log begins, and keeps.

    Nothing is verified. A key that is read beside the log says nothing about the log: note it early, elsewhere.

    For example:

    gateway audit key > keys-of-the-logs.txt

    gateway audit key --current
    """
    state = state_dir or Path(os.environ.get("GATEWAY_STATE_DIR", ".gateway"))
    try:
        found = [(each, _headers(each)) for each in directories or logs_below(state)]
    except (UnusableError, OSError) as error:
        print_error(str(error), "name the gateway's state directory with --state-dir")
        raise typer.Exit(EXIT_INVALID) from None
    except ValueError as error:
        print_error(str(error), "gateway audit verify says more")
        raise typer.Exit(EXIT_FINDING) from None
    if as_json:
        rows = [
            {"directory": str(path), "origin": first.origin, "first": first.vkey, "current": last.vkey}
            for path, (first, last) in found
        ]
        typer.echo(json.dumps({"logs": rows}))
        return
    for _, (first, last) in found:
        typer.echo(printable((last if current else first).vkey))


def _headers(directory: Path) -> tuple[Header, Header]:
    """The first and the last header of a log."""
    segments = known(directory)
    if not segments:
        raise UnusableError(f"{directory}: no log there")
    first, last = _header(segments[0]), _header(segments[-1])
    if first.start:
        raise ValueError(f"{directory}: the log begins with event {first.start}: its first segment is missing")
    return first, last


def _header(files: SegmentFiles) -> Header:
    try:
        if not files.lines.exists():
            return Header.parse(Seal.read(files.seal).header)
        with files.lines.open("rb") as file:
            return Header.parse(file.readline(_LONGEST))
    except ValueError as error:
        raise ValueError(f"{files.lines}: {error}") from error
