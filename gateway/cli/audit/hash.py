"""`gateway audit hash`: find a person who is known already in a record that shows only pseudonyms."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from gateway.audit.command_log import record
from gateway.audit.masks import Kind, MaskKey, canonical
from gateway.cli.terminal import EXIT_INVALID, console, fail, print_error, print_warning
from gateway.errors import StartupError
from gateway.state.pseudonym_keys import PseudonymKeys

LONGEST: Final = 4096
"""Characters of a value."""


@dataclass(frozen=True, slots=True)
class Found:
    """What stands in the record for the value, from `since` (milliseconds) until the next key."""

    kid: str
    since: int
    pseudonym: str


def hash_value(
    value: Annotated[str, typer.Argument(help="A user, an address or a session; `-` reads it from standard input.")],
    *,
    kind: Annotated[
        Kind | None,
        typer.Option("--class", help="What it is; default: an address is a client, anything else a user."),
    ] = None,
    state_dir: Annotated[
        Path | None, typer.Option(help="State directory; default: GATEWAY_STATE_DIR, else .gateway.", metavar="DIR")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print what stands in the record for a known value, under every key that there is.

    Who asks for it, and for which pseudonyms, is recorded; the value is not.

    For example:

    echo j.doe@example.com | gateway audit hash -

    gateway audit hash 192.0.2.7

    gateway audit hash 5b0e77a1c2d94f30 --class session
    """
    state = state_dir or Path(os.environ.get("GATEWAY_STATE_DIR", ".gateway"))
    known_kind, known = _checked(_read() if value == "-" else value, kind)
    if value != "-":
        print_warning(
            "the value stands in this shell's history, and in the list of processes while this runs",
            "write - for it, and give it on standard input",
        )
    try:
        found = _found(state, known_kind, known)
        facts = {"class": known_kind, "kids": [each.kid for each in found]}
        record(state, "audit.hash", {**facts, "pseudonyms": [each.pseudonym for each in found]})
    except StartupError as error:
        fail(error, EXIT_INVALID)
    _print_json(known_kind, found) if as_json else _print(found)


def instant(milliseconds: int) -> str:
    """The instant as people read it, in UTC, to the second."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _read() -> str:
    text = sys.stdin.read(LONGEST + 2)
    return text.removesuffix("\n").removesuffix("\r")


def _checked(value: str, kind: Kind | None) -> tuple[Kind, str]:
    if not value or len(value) > LONGEST or "\n" in value:
        print_error("not one value", f"give one line of 1 to {LONGEST} characters")
        raise typer.Exit(EXIT_INVALID)
    try:
        return (kind or "client"), canonical(kind or "client", value)
    except ValueError:
        if kind is None:
            return "user", value
    # The value is not repeated: it may be a slip, and somebody's name.
    print_error("not an address", "a client is an IPv4 or IPv6 address; for anything else choose another --class")
    raise typer.Exit(EXIT_INVALID)


def _found(state: Path, kind: Kind, value: str) -> list[Found]:
    keys = PseudonymKeys.below(state).live()
    if not keys:
        raise StartupError(
            f"{state}: no keys of pseudonyms: nothing in this record can be found by them",
            "name the gateway's state directory with --state-dir; an erased key does not come back",
        )
    return [Found(each.kid, each.since, MaskKey(each.kid, each.secret).pseudonym(kind, value)) for each in keys]


def _print_json(kind: Kind, found: Sequence[Found]) -> None:
    under = [{"kid": each.kid, "since": each.since, "pseudonym": each.pseudonym} for each in found]
    console.print(Text(json.dumps({"class": kind, "under": under})), soft_wrap=True)


def _print(found: Sequence[Found]) -> None:
    table = Table("key", "since", "pseudonym", box=None, pad_edge=False)
    for each in found:
        table.add_row(each.kid, instant(each.since), Text(each.pseudonym, no_wrap=True))
    console.print(table, soft_wrap=True)
