"""`python -m benchmarks`: the gateway beside bare Streamlit, in interleaved rounds, as a table and as JSON."""

import dataclasses
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.http_load import LoadError
from benchmarks.report import as_json, table
from benchmarks.rounds import Options, Outcome, Tick, run
from benchmarks.sides import RESULTS

Flag = typer.Option


def main(
    rounds: Annotated[int, Flag(min=1, help="Rounds; each measures both sides, in changing order.")] = 7,
    seconds: Annotated[float, Flag(min=0.2, help="Seconds of one measurement; a round has six.")] = 4.0,
    quick: Annotated[bool, Flag("--quick", help="Three rounds of one second: does it work, not how fast.")] = False,
    print_json: Annotated[bool, Flag("--json", help="Print the JSON instead of the table.")] = False,
    self_check: Annotated[bool, Flag("--self-check", help="Bare beside bare: every ratio must be near 1.")] = False,
    own_loader: Annotated[bool, Flag("--own-loader", help="Do not use wrk, although it is there.")] = False,
    httptools: Annotated[bool, Flag("--httptools", help="Let bare Streamlit parse with httptools.")] = False,
    collection: Annotated[
        bool,
        Flag("--collection/--no-collection", help="Whether Streamlit collects garbage after each run; both sides."),
    ] = True,
    strict: Annotated[bool, Flag("--strict", help="Exit with 1 when an aim is missed.")] = False,
) -> None:
    """Measure the gateway beside bare Streamlit, in one run.

    Both serve benchmarks/app.py. The health route is loaded over 32 connections that stay open, and the script is rerun
    over the WebSocket by one client and by four. Everything is also written to benchmarks/results/.

    For example:

    make bench

    make bench ARGS=--quick

    python -m benchmarks --rounds 9 --seconds 6 --json
    """
    options = Options(rounds, seconds, self_check, own_loader, httptools, collection)
    if quick:
        options = dataclasses.replace(options, rounds=3, seconds=1.0)
    try:
        outcome, report = _measure(options)
    except (LoadError, AssertionError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(3) from None
    _show(options, outcome, report, print_json=print_json)
    if strict and any(each.reached is False for each in outcome.comparisons):
        raise typer.Exit(1)


def _measure(options: Options) -> tuple[Outcome, dict[str, object]]:
    RESULTS.mkdir(exist_ok=True)
    # Beside the results, not in /tmp: there a memory file system would make the record look cheaper than it is.
    with tempfile.TemporaryDirectory(prefix=".state-", dir=RESULTS) as directory, _progress(options.steps) as tick:
        outcome = run(options, Path(directory), tick)
        how = {**dataclasses.asdict(options), "loader": outcome.loader}
        return outcome, as_json(outcome.names, outcome.comparisons, how, Path(directory))


@contextmanager
def _progress(steps: int) -> Iterator[Tick]:
    columns = (TextColumn("{task.description:<36}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("starting both sides", total=steps)
        begun = iter((False,))

        def tick(description: str) -> None:
            # Told at the beginning of a step, so the step before it is what is done.
            progress.update(task, description=description, advance=next(begun, True))

        yield tick


def _show(options: Options, outcome: Outcome, report: dict[str, object], *, print_json: bool) -> None:
    text = json.dumps(report, indent=2)
    path = RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    path.write_text(text + "\n")
    if print_json:
        typer.echo(text)
        return
    console = Console(width=None if Console().is_terminal else 160)
    how = f"{options.rounds} rounds of {options.seconds:g} s, load by {outcome.loader}"
    console.print(table(outcome.names, outcome.comparisons, f"{outcome.names[1]} beside {outcome.names[0]}: {how}"))
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    console.print(f"written to {shown}", soft_wrap=True)


if __name__ == "__main__":
    # Typer's own tracebacks print the values of all variables.
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app(prog_name="python -m benchmarks")
