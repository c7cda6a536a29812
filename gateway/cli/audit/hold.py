"""`gateway audit hold`: what must not be removed, whatever the retention says."""

import json
import re
from typing import Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from gateway.audit.command_log import actor
from gateway.audit.holds import Hold, add_hold, holding, read_holds, release_hold
from gateway.audit.stamp import stamp
from gateway.cli.audit.keeping import AsJson, StateDir, day, logs_of, moment, name_of, show, state_of, write_down
from gateway.cli.terminal import EXIT_FINDING, EXIT_INVALID, console, print_error, printable

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

app = typer.Typer(no_args_is_help=True, help="Keep events from being removed.", pretty_exceptions_enable=False)

Name = Annotated[str, typer.Argument(help="What the hold is called, such as a case number.", metavar="NAME")]
Because = Annotated[str, typer.Option("--because", help="Why. It is recorded.", metavar="TEXT")]


@app.command()
def add(
    name: Name,
    because: Because,
    *,
    since: Annotated[str | None, typer.Option("--from", help="First day, or a time.", metavar="DATE")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Last day, or a time.", metavar="DATE")] = None,
    state_dir: StateDir = None,
) -> None:
    """Hold events: no segment that has an event of these days is removed until the hold is released.

    Without --from and --to everything is held, what is yet to come as well. Days and times are UTC unless a time says
    otherwise. When the command returns, the hold is in force, also in a gateway that runs.

    For example:

    gateway audit hold add case-2026-17 --because "Inquiry of the regulator" --from 2026-01-01 --to 2026-03-31

    gateway audit hold add everything --because "Litigation"
    """
    state = state_of(state_dir)
    logs_of(state)
    hold = _hold(name, because, since, until)
    if any(each.name == name for log in holding(state / "audit") for each in read_holds(log)):
        print_error(f"{name}: there is a hold of this name", "choose another name, or release that one first")
        raise typer.Exit(EXIT_INVALID)
    facts = {"name": name, "because": because, "from": since, "to": until}
    write_down(state, "audit.hold", {"action": "add", **facts})
    for log in logs_of(state):  # again: to write it down may have begun the commands' own log
        add_hold(log, hold)
    console.print(Text(f"{name} holds {_range(hold)}"))


@app.command("list")
def list_holds(*, state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """List the holds.

    For example:

    gateway audit hold list
    """
    holds: dict[str, Hold] = {}
    where: dict[str, list[str]] = {}
    state = state_of(state_dir)
    logs_of(state)
    for log in holding(state / "audit"):
        for hold in read_holds(log):
            holds[hold.name] = hold
            where.setdefault(hold.name, []).append(name_of(log))
    if as_json:
        for hold in holds.values():
            typer.echo(json.dumps(_as_json(hold, where[hold.name])))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("name", "from", "to", "since", "by", "because"):
        table.add_column(heading, overflow="fold")
    for hold in sorted(holds.values(), key=lambda each: each.created):
        cells = (hold.name, day(hold.since), day(hold.until), day(hold.created), hold.by, hold.because)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    if holds:
        show(table)
    else:
        console.print("no holds")


@app.command()
def release(name: Name, because: Because, *, state_dir: StateDir = None) -> None:
    """End a hold. What only it has held may be removed from now on.

    Exit codes: 0 released, 1 there is no such hold, 2 it could not be recorded; then it stays.

    For example:

    gateway audit hold release case-2026-17 --because "Closed on 2027-02-01"
    """
    state = state_of(state_dir)
    logs_of(state)
    found = [log for log in holding(state / "audit") if any(hold.name == name for hold in read_holds(log))]
    if not found:
        print_error(f"{name}: there is no such hold", "`gateway audit hold list` shows them")
        raise typer.Exit(EXIT_FINDING)
    write_down(state, "audit.hold", {"action": "release", "name": name, "because": because})
    for log in found:
        release_hold(log, name)
    console.print(Text(f"{name} was released"))


def _hold(name: str, because: str, since: str | None, until: str | None) -> Hold:
    if not _NAME.fullmatch(name):
        raise typer.BadParameter("write letters, digits, dots, dashes and underscores; at most 64", param_hint="NAME")
    if not because.strip() or not because.isprintable():
        raise typer.BadParameter("write a reason, on one line", param_hint="--because")
    first = moment(since) if since else None
    last = moment(until, end=True) if until else None
    if first is not None and last is not None and first > last:
        raise typer.BadParameter("is before --from", param_hint="--to")
    return Hold(name, because.strip(), first, last, stamp().time, actor().id)


def _range(hold: Hold) -> str:
    if hold.since is None and hold.until is None:
        return "everything"
    return f"what happened from {day(hold.since)} to {day(hold.until)}".replace("from - ", "").replace(" to -", "")


def _as_json(hold: Hold, places: list[str]) -> dict[str, object]:
    return {
        "name": hold.name,
        "because": hold.because,
        "from": hold.since,
        "to": hold.until,
        "created": hold.created,
        "by": hold.by,
        "logs": places,
    }
