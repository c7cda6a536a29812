"""What every command that asks the record does: find its logs, write down what is asked, look into the files."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from gateway.audit.command_log import record
from gateway.audit.reader import logs
from gateway.cli.terminal import EXIT_INVALID, errors, fail, print_error, print_warning
from gateway.errors import LedgerError

StateDirs = Annotated[
    list[Path] | None,
    typer.Option(
        "--state-dir",
        help="State directory; default: GATEWAY_STATE_DIR, else .gateway. May be repeated: one for each replica.",
        metavar="DIR",
    ),
]
Unrecorded = Annotated[
    bool,
    typer.Option("--unrecorded", help="Do not record that this was asked: for a copy of a record, read-only."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Local = Annotated[bool, typer.Option("--local", help="Show times in this machine's zone, not in UTC.")]
Timeout = Annotated[float, typer.Option(help="Seconds that the answer may take.", min=0.1, max=3600)]
Memory = Annotated[int, typer.Option(help="Megabytes of memory that the answer may take.", min=64)]
FromLines = Annotated[
    bool,
    typer.Option("--from-lines", help="Read what is signed for, not the columns derived from it: slower."),
]

_LONG: Final = 200


def states(given: Sequence[Path] | None) -> list[Path]:
    """The state directories that are meant, each of which has a record.

    Raises:
        typer.Exit: one has none; said on stderr.
    """
    found = list(given or [Path(os.environ.get("GATEWAY_STATE_DIR", ".gateway"))])
    for state in found:
        if not logs(state):
            print_error(f"{state}: no record there", "name the gateway's state directory with --state-dir")
            raise typer.Exit(EXIT_INVALID)
    return found


def write_down(found: Sequence[Path], facts: Mapping[str, object], *, unrecorded: bool, succeeded: bool = True) -> None:
    """Record in each record that it is asked, and what: before anything of the answer is shown.

    Raises:
        typer.Exit: it cannot be recorded; then nothing is shown.
    """
    kept = {name: value for name, value in facts.items() if value not in (None, "", False)}
    if unrecorded:
        print_warning("this is not recorded", "only for a copy: a record that is in use tells who has read it")
        return
    for state in found:
        try:
            record(state, "audit.query", kept, succeeded=succeeded)
        except LedgerError as error:
            fail(error, EXIT_INVALID)


@contextmanager
def busy(what: str) -> Iterator[None]:
    """Show on a terminal that something is going on."""
    if not errors.is_terminal:
        yield
        return
    with errors.status(what):
        yield


def brief(text: str | None) -> str | None:
    """A text as it may stand among an event's details, its end cut off when it is long."""
    return text if text is None or len(text) <= _LONG else f"{text[:_LONG]}…"
