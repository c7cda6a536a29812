"""`gateway audit pseudonyms`: the keys that the record's pseudonyms are made with: see, replace, destroy them."""

import json
import os
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from gateway.audit.command_log import record
from gateway.cli.audit.hash import instant
from gateway.cli.terminal import EXIT_INVALID, console, fail, print_error
from gateway.errors import StartupError
from gateway.state.pseudonym_keys import PseudonymKeys

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="See, replace and destroy the keys that the record's pseudonyms are made with.",
)

StateDir = Annotated[
    Path | None, typer.Option(help="State directory; default: GATEWAY_STATE_DIR, else .gateway.", metavar="DIR")
]
Because = Annotated[str, typer.Option(help="Why, for the record.", metavar="TEXT")]


@app.command("list")
def list_keys(
    *, state_dir: StateDir = None, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """Print the keys, since when each one is used, and which are erased. Never a key itself.

    For example:

    gateway audit pseudonyms list
    """
    keys = PseudonymKeys.below(_state(state_dir))
    try:
        live, erased = keys.live(), keys.erased()
    except StartupError as error:
        fail(error, EXIT_INVALID)
    rows = [(each.kid, "in use" if each is live[-1] else "live", each.since) for each in live]
    rows += [(each.kid, "erased", each.erased) for each in erased]
    rows.sort(key=lambda row: int(row[0][1:]))
    if as_json:
        told = [{"kid": kid, "state": word, "since": since} for kid, word, since in rows]
        console.print(Text(json.dumps(told)), soft_wrap=True)
        return
    table = Table("key", "state", "since", box=None, pad_edge=False)
    for kid, word, since in rows:
        table.add_row(kid, word, instant(since))
    console.print(table, soft_wrap=True)


@app.command()
def rotate(*, because: Because, state_dir: StateDir = None) -> None:
    """Begin a new key now. A running gateway uses it within a second; older keys still find what they have masked.

    Across two keys nobody can see, without asking for a known value, that two pseudonyms are the same person's.

    For example:

    gateway audit pseudonyms rotate --because "the quarter has ended"
    """
    state = _state(state_dir)
    _check_reason(because)
    try:
        record(state, "audit.pseudonyms", {"operation": "rotate", "because": because})
        key = PseudonymKeys.below(state).add(time.time_ns() // 1_000_000)
    except StartupError as error:
        fail(error, EXIT_INVALID)
    console.print(Text(f"{key.kid} is in use"))


@app.command()
def erase(
    kid: Annotated[str, typer.Argument(help="The key, such as k1: see `gateway audit pseudonyms list`.")],
    *,
    because: Because,
    state_dir: StateDir = None,
) -> None:
    """Destroy a key for ever: nobody can find or link any more what it has masked.

    The record itself does not change. A running gateway makes a new key within a second. Copies in backups and
    snapshots are yours to destroy.

    For example:

    gateway audit pseudonyms erase k1 --because "retention of names: two years"
    """
    state = _state(state_dir)
    _check_reason(because)
    keys = PseudonymKeys.below(state)
    try:
        if not keys.has(kid):
            print_error(f"{kid}: no such key", "`gateway audit pseudonyms list` shows those that there are")
            raise typer.Exit(EXIT_INVALID)
        record(state, "audit.pseudonyms", {"operation": "erase", "kid": kid, "because": because})
        keys.erase(kid, time.time_ns() // 1_000_000)
    except StartupError as error:
        fail(error, EXIT_INVALID)
    console.print(Text(f"{kid} is erased"))


def _state(given: Path | None) -> Path:
    return given or Path(os.environ.get("GATEWAY_STATE_DIR", ".gateway"))


def _check_reason(because: str) -> None:
    if not because.strip():
        print_error("--because: nothing in it", "say why: whoever reads the record will ask")
        raise typer.Exit(EXIT_INVALID)
