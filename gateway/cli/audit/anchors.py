"""`gateway audit anchors`: where the record's checkpoints are kept besides, and how old they are there."""

import json
import os
import time
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.table import Table
from rich.text import Text

from gateway.audit.anchors.status import Status, anchored_logs, read
from gateway.audit.log_tree import origin_of
from gateway.audit.note import size_of_checkpoint
from gateway.audit.proofs import ProofError, newest_checkpoint
from gateway.cli.terminal import EXIT_FINDING, EXIT_INVALID, console, print_error, print_warning, printable
from gateway.errors import GatewayError


def anchors(
    *,
    log: Annotated[Path | None, typer.Option(help="Only the log in this directory.", metavar="DIR")] = None,
    state_dir: Annotated[
        Path | None, typer.Option(help="State directory; default: GATEWAY_STATE_DIR, else .gateway.", metavar="DIR")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show each place that holds checkpoints of the record: which size it has, since when, and how far it is behind.

    As the gateway that writes the record has noted it. Exit codes: 0 fine, 1 an anchor fails or contradicts the record,
    2 there is no record.

    For example:

    gateway audit anchors

    gateway audit anchors --state-dir /var/lib/gateway --json
    """
    state = state_dir or Path(os.environ.get("GATEWAY_STATE_DIR", ".gateway"))
    directories = [log] if log else anchored_logs(state)
    if not directories:
        _refuse(f"{state}: no record there", "name the gateway's state directory with --state-dir")
    try:
        found = [(origin_of(each), _size(each), read(each).anchors) for each in directories]
    except (GatewayError, OSError) as error:
        _refuse(str(error), "gateway audit verify says more")
    if as_json:
        typer.echo(json.dumps({"logs": [_as_json(*each) for each in found]}))
    else:
        for origin, size, statuses in found:
            _show(origin, size, statuses)
    wrong = any(each.problem or each.conflict for _, _, statuses in found for each in statuses)
    raise typer.Exit(EXIT_FINDING if wrong else 0)


def _size(directory: Path) -> int:
    """How many events the log has, as of its checkpoint."""
    try:
        return size_of_checkpoint(newest_checkpoint(directory))
    except (ProofError, ValueError):
        return 0


def _show(origin: str, size: int, statuses: list[Status]) -> None:
    console.print(Text(printable(f"{origin}: {size} events")), soft_wrap=True)
    if all(each.kind == "commands" for each in statuses):
        print_warning(
            "no anchor is configured: rollback and loss of the machine cannot be detected",
            "set GATEWAY_AUDIT__ANCHOR_DIRECTORIES, GATEWAY_AUDIT__PEERS or GATEWAY_AUDIT__WITNESSES",
        )
    table = Table("kind", "place", "size", "age", "behind by", "state", box=None, pad_edge=False)
    for each in statuses:
        row = (each.kind, each.place, _number(each.size), _age(each), _number(_behind(each, size)), _state(each))
        table.add_row(*(Text(printable(cell), overflow="fold") for cell in row))
    if statuses:
        console.print(table)


def _behind(status: Status, size: int) -> int | None:
    """How many events of our log the place does not have; of another log that cannot be told."""
    ours = status.kind in ("directory", "witness") and status.size is not None
    return max(0, size - (status.size or 0)) if ours else None


def _age(status: Status) -> str:
    if status.time is None:
        return "never"
    seconds = max(0, int(time.time()) - status.time // 1000)
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _state(status: Status) -> str:
    return "; ".join(each for each in (status.conflict, status.problem) if each) or "fine"


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _as_json(origin: str, size: int, statuses: list[Status]) -> dict[str, object]:
    found = [
        {
            "kind": each.kind,
            "place": each.place,
            "size": each.size,
            "root": each.root,
            "time": each.time,
            "behind": _behind(each, size),
            "problem": each.problem,
            "since": each.since,
            "conflict": each.conflict,
        }
        for each in statuses
    ]
    return {"log": origin, "size": size, "anchors": found}


def _refuse(message: str, hint: str) -> NoReturn:
    print_error(message, hint)
    raise typer.Exit(EXIT_INVALID)
