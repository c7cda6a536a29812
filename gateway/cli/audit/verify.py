"""`gateway audit verify`: the whole record, event by event, by the stand-alone verifier, on all processors."""

import json
import multiprocessing
import os
import signal
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from gateway.audit import verifier
from gateway.audit.directory import SegmentFiles, known
from gateway.audit.verifier import Finding, Key, Log, Segment, Survey, Task, UnusableError
from gateway.cli.terminal import EXIT_FINDING, EXIT_INVALID, console, errors, print_error, print_warning, printable
from gateway.findings import REGISTRY

_ALONE: Final = 16 * 1024 * 1024  # bytes that are verified before other processes would have started


def verify(
    directories: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[DIRECTORY…]", help="Logs to verify; default: all below the state directory."),
    ] = None,
    *,
    state_dir: Annotated[
        Path | None, typer.Option(help="State directory; default: GATEWAY_STATE_DIR, else .gateway.", metavar="DIR")
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            help="First key (vkey) of a log, as noted when the log began, or a file of such. May be repeated.",
            metavar="VKEY",
        ),
    ] = None,
    anchor: Annotated[
        list[Path] | None,
        typer.Option(
            help="Checkpoints that were kept elsewhere: a file, or a directory of them. May be repeated.",
            metavar="PATH",
        ),
    ] = None,
    every_commit: Annotated[
        bool, typer.Option("--every-commit", help="Check each commit, not only the last of a segment. Slower.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Verify the record: that no event was altered, removed or added, and that only the log's own keys have signed.

    Without --key it cannot tell whether the log is another one; without --anchor, whether it is an older one.

    For example:

    gateway audit verify

    gateway audit verify --key keys-of-the-logs.txt --anchor /mnt/anchors

    gateway audit verify /mnt/copy/w0 --every-commit --json

    Exit codes: 0 nothing found, 1 a finding, 2 it could not be verified.
    """
    state = state_dir or Path(os.environ.get("GATEWAY_STATE_DIR", ".gateway"))
    try:
        keys, anchors = verifier.read_keys(key or ()), verifier.read_anchors(anchor or ())
        surveys = [
            verifier.survey(each, anchors, every_commit=every_commit) for each in directories or logs_below(state)
        ]
        found = list(_verified(surveys, keys))
    except (UnusableError, OSError) as error:
        print_error(
            str(error), "name the gateway's state directory with --state-dir" if "no log there" in str(error) else None
        )
        raise typer.Exit(EXIT_INVALID) from None
    if not directories:
        found += _missing(found, keys, state)
    for unknown in sorted({each.origin for each in anchors} - {each.origin for each in found}):
        print_warning(f"anchors of {unknown}, and no such log was verified")
    _print_json(found) if as_json else _print(found)
    if any(each.findings for each in found):
        raise typer.Exit(EXIT_FINDING)


def logs_below(state: Path) -> list[Path]:
    """The directories of all logs below a state directory: live ones, and copies of which all is sealed.

    Raises:
        UnusableError: there is none.
    """
    found = sorted(path for path in (state / "audit").glob("*/*") if known(path))
    if not found:
        raise UnusableError(f"{state}: no log there")
    return found


def _missing(found: Sequence[Log], keys: Iterable[Key], state: Path) -> Iterator[Log]:
    """A log in name only for each key whose log is not there."""
    for name in sorted({each.name for each in keys} - {each.origin for each in found}):
        finding = Finding(verifier.NO_SUCH_LOG, str(state / "audit"), f"no log of the name {name}")
        yield Log(state, name, None, (), False, 0, None, 0, 0, (), 0, (None, None), 0, 0, (finding,))


# --- the work -------------------------------------------------------------------------------------------------


def _verified(surveys: Sequence[Survey], keys: Sequence[Key]) -> Iterator[Log]:
    tasks = [task for survey in surveys for task in survey.tasks]
    segments = _checked(tasks)
    for survey in surveys:
        yield verifier.conclude(survey, [segments[task] for task in survey.tasks], keys)


def _checked(tasks: Sequence[Task]) -> dict[Task, Segment]:
    """Every segment, each for itself, the greatest first: no processor waits long for the last one."""
    sizes = {task: _size(task) for task in tasks}
    with _progress(sum(sizes.values())) as advance:
        if sum(sizes.values()) < _ALONE:
            return {task: verifier.check_segment(task) for task in tasks}
        context, found = multiprocessing.get_context("spawn"), {}
        with ProcessPoolExecutor(os.cpu_count(), context, initializer=_deaf_to_interrupts) as pool:
            try:
                order = sorted(tasks, key=sizes.__getitem__, reverse=True)
                waiting = {pool.submit(verifier.check_segment, task): task for task in order}
                for future in as_completed(waiting):
                    found[waiting[future]] = future.result()
                    advance(sizes[waiting[future]])
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return found


def _deaf_to_interrupts() -> None:
    # Ctrl-C reaches every process of the terminal; the one that the person has started ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _size(task: Task) -> int:
    """Bytes of the segment as it lies there; a sealed one is about fifteen times as long when it is read."""
    files = SegmentFiles(task.directory, task.start)
    for path, factor in ((files.lines, 1), (files.packed, 15)):
        if path.exists():
            return path.stat().st_size * factor
    return 0


@contextmanager
def _progress(total: int):  # type: ignore[no-untyped-def] # noqa: ANN202 - a function that advances the bar
    columns = (TextColumn("verifying"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("verifying", total=total)
        yield lambda size: bar.advance(task, size)


# --- what is printed ------------------------------------------------------------------------------------------


def _print(logs: Sequence[Log]) -> None:
    for log in logs:
        for name, text in _rows(log):
            console.print(Text.assemble((f"{name:11}", "bold"), text), soft_wrap=True)  # a key is copied as one word
        _print_findings(log)
        console.print()
    if not all(log.pinned for log in logs):
        _line(("not compared: ", "bold yellow"), "a log written anew from its first event on; see gateway audit key")
    if not all(log.anchors for log in logs):
        _line(("no anchor: ", "bold yellow"), "that a log was rolled back to an older state would not be noticed")


def _rows(log: Log) -> Iterator[tuple[str, Text]]:
    pruned = f", {len(log.pruned)} of them pruned" if log.pruned else ""
    pruned += f" ({log.pruned_unread} announced in one that was pruned, too)" if log.pruned_unread else ""
    waiting = f", and {log.waiting} not yet acknowledged" if log.waiting else ""
    anchors = f"{log.anchors} agree" if log.anchors else "none"
    unchecked = f", {log.anchors_unchecked} cannot be compared" if log.anchors_unchecked else ""
    count = len(log.findings)
    yield "log", Text(printable(log.origin))
    yield "events", Text(f"{log.size:,}{waiting}")
    yield "from", Text(f"{_time(log.times[0])} to {_time(log.times[1])}")
    yield "segments", Text(f"{log.segments:,}{pruned}")
    compared = ("as given", "green") if log.pinned else ("not compared", "yellow")
    yield "first key", Text.assemble(printable(log.first_vkey or "unknown"), "  ", compared)
    yield "anchors", Text(anchors + unchecked, style="green" if log.anchors else "yellow")
    found = Text(f"{count} finding{'s' if count != 1 else ''}", style="bold red")
    yield "result", found if count else Text("fine", style="green")


def _print_findings(log: Log) -> None:
    for id_ in sorted({each.id for each in log.findings}):
        kind = REGISTRY[id_]
        _line((f"{id_} {kind.title.lower()}", "bold"))
        for finding in log.findings:
            if finding.id == id_:
                _line(f"  {_place(log, finding)}: {finding.message}")
        _line(("  risk: ", "bold yellow"), kind.risk)
        _line(("  caution: ", "cyan"), kind.caution)


def _print_json(logs: Sequence[Log]) -> None:
    typer.echo(
        json.dumps({"logs": [_as_json(log) for log in logs], "findings": sum(len(log.findings) for log in logs)})
    )


def _as_json(log: Log) -> dict[str, object]:
    return {
        "origin": log.origin,
        "directory": str(log.directory),
        "events": log.size,
        "root": b64encode(log.root).decode() if log.root else None,
        "not_acknowledged": log.waiting,
        "segments": log.segments,
        "pruned": [list(each) for each in log.pruned],
        "pruned_announcement_not_read": log.pruned_unread,
        "first_time": log.times[0],
        "last_time": log.times[1],
        "first_vkey": log.first_vkey,
        "keys": [{"from": start, "vkey": vkey} for start, vkey in log.vkeys],
        "pinned": log.pinned,
        "anchors": {"agree": log.anchors, "not_checked": log.anchors_unchecked},
        "findings": [_finding_as_json(log, each) for each in log.findings],
    }


def _finding_as_json(log: Log, finding: Finding) -> dict[str, object]:
    kind = REGISTRY[finding.id]
    return {
        "id": finding.id,
        "title": kind.title,
        "place": _place(log, finding),
        "message": finding.message,
        "line": finding.line,
        "sequences": finding.sequences,
        "risk": kind.risk,
        "caution": kind.caution,
    }


def _place(log: Log, finding: Finding) -> str:
    """Where it is: a file in the log's directory, or an anchor wherever that is, with the line."""
    path = Path(finding.file) if finding.id == verifier.CONTRADICTED else log.directory / finding.file
    return f"{path}:{finding.line}" if finding.line else str(path)


def _time(milliseconds: int | None) -> str:
    if milliseconds is None:
        return "-"
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (OverflowError, OSError, ValueError):
        return str(milliseconds)


def _line(*parts: str | tuple[str, str]) -> None:
    safe = (printable(part) if isinstance(part, str) else (printable(part[0]), part[1]) for part in parts)
    console.print(Text.assemble(*safe), soft_wrap=True)
