"""What the commands about keeping the record share: which logs there are, ages and days, recording what was ordered."""

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from gateway.audit.command_log import record
from gateway.audit.reader import logs
from gateway.audit.sealing.offline import SET_ASIDE
from gateway.cli.terminal import EXIT_INVALID, console, fail, print_error
from gateway.errors import LedgerError

StateDir = Annotated[
    Path | None, typer.Option(help="State directory; default: GATEWAY_STATE_DIR, else .gateway.", metavar="DIR")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_WIDE: Final = 32_768
_AGE: Final = re.compile(r"(\d{1,5})([dwy])")
_DAYS: Final = {"d": 1, "w": 7, "y": 365}


def state_of(given: Path | None) -> Path:
    """The state directory that is meant."""
    return given or Path(os.environ.get("GATEWAY_STATE_DIR", ".gateway"))


def logs_of(state: Path) -> list[Path]:
    """The logs below it that are in use; those that were set aside as damaged are left alone.

    Raises:
        typer.Exit: there are none; said on stderr.
    """
    found = [each for each in logs(state) if SET_ASIDE not in each.name]
    if not found:
        print_error(f"{state}: no record there", "name the gateway's state directory with --state-dir")
        raise typer.Exit(EXIT_INVALID)
    return found


def name_of(log: Path) -> str:
    """A log as the commands call it: instance and worker."""
    return f"{log.parent.name}/{log.name}"


def write_down(state: Path, code: str, facts: Mapping[str, object]) -> None:
    """Record what is about to be done, and by whom.

    Raises:
        typer.Exit: it cannot be recorded; then it must not be done.
    """
    try:
        record(state, code, {name: value for name, value in facts.items() if value is not None})
    except LedgerError as error:
        error.hint = "run it as the gateway's user"
        fail(error, EXIT_INVALID)


def age(text: str) -> timedelta:
    """`400d`, `6w`, `2y` (365 days each). Raises typer.BadParameter for anything else."""
    found = _AGE.fullmatch(text)
    if found is None or not 0 < int(found[1]) * _DAYS[found[2]] <= 36_500:
        raise typer.BadParameter("write a number of days, weeks or years, such as 400d, 6w or 2y; at most 100 years")
    return timedelta(days=int(found[1]) * _DAYS[found[2]])


def moment(text: str, *, end: bool = False) -> int:
    """`2026-03-31`, or `2026-03-31T18:00:00+02:00`, as milliseconds; UTC unless it says otherwise.

    A day as an `end` lasts until its last millisecond. Raises typer.BadParameter for what is neither.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither a day, such as 2026-03-31, nor a time in ISO 8601") from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    milliseconds = int(at.timestamp() * 1000)
    return milliseconds + 86_400_000 - 1 if end and len(text) == 10 else milliseconds


def day(milliseconds: int | None) -> str:
    """A time as a table shows it."""
    if milliseconds is None:
        return "-"
    try:
        return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S}Z"
    except (OverflowError, OSError, ValueError):
        return str(milliseconds)


def show(table: Table) -> None:
    """Print a table; to a file or a pipe without breaking its lines."""
    (console if console.is_terminal else Console(highlight=False, width=_WIDE)).print(table)


def amount(size: int) -> str:
    """Bytes as a table shows them."""
    value, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
