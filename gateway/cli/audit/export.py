"""`gateway audit export`: the record, or a part of it, in a schema that other systems read."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Annotated, Final

import msgspec
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from gateway import __version__
from gateway.audit import command_log
from gateway.audit.encode import one_line
from gateway.audit.export import Span, Tally, Wanted, selected, write
from gateway.audit.formats import FORMATS, Format
from gateway.audit.manifest import finish, manifest, manifest_path, new_file
from gateway.audit.questions.errors import QuestionError
from gateway.audit.questions.language import parse
from gateway.audit.questions.moments import moment
from gateway.audit.questions.qualifiers import InvalidValueError
from gateway.audit.questions.written import written
from gateway.audit.reader import logs
from gateway.audit.statements import DamagedLogError
from gateway.cli.audit.asking import FromLines, Memory, StateDirs, Timeout, Unrecorded, brief, busy, states
from gateway.cli.audit.pseudonyms import Pseudonyms
from gateway.cli.audit.tail import Filter
from gateway.cli.terminal import (
    EXIT_FINDING,
    EXIT_INVALID,
    console,
    errors,
    fail,
    print_error,
    print_warning,
    printable,
)
from gateway.errors import LedgerError

CODE: Final = "audit.export"


def export(
    *,
    qualifiers: Annotated[
        list[str] | None, typer.Argument(help="Which events, as in `gateway audit query`.", metavar="QUALIFIERS")
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", "-f", help="ocsf (as recorded), ecs, cef or csv.", metavar="FORMAT")
    ] = "ocsf",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write to this file, with a manifest beside it.", metavar="FILE"),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Only from then on: 2026-09-21, 2026-09-21T13:00, 24h, 7d.", metavar="TIME")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Only before then; of a day, that day included.", metavar="TIME")
    ] = None,
    denied: Annotated[bool, typer.Option("--denied", help="Only what was denied.")] = False,
    event: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this event code, such as ws.open; `audit.*` for all of a kind. May be repeated.", metavar="CODE"
        ),
    ] = None,
    request_id: Annotated[str | None, typer.Option(help="Only what belongs to this request.", metavar="ID")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there already.")] = False,
    unrecorded: Unrecorded = False,
    state_dir: StateDirs = None,
    from_lines: FromLines = False,
    timeout: Timeout = 30.0,
    memory: Memory = 256,
) -> None:
    """Write events of the record in another schema, in the order of time: to stdout, or to a file with a manifest.

    QUALIFIERS are those of `gateway audit query`, such as user:alice client:10.0.0.0/8 -decision:allowed.

    The export is recorded, as `audit.export`, before anything leaves, and again with the SHA-256 of what has left.

    For example:

    gateway audit export --format ecs --since 24h > events.jsonl

    gateway audit export --format csv --denied --since 2026-09-01 --until 2026-09-30 --output september.csv

    gateway audit export 'user:alice path:/ledger*' --format ocsf --output alice.jsonl
    """
    form = _format(format_)
    found = states(state_dir)
    with _explained():
        told = _as_recorded(" ".join(qualifiers or ()), found)
    asked = _Asked(told, since, until, Filter(denied, tuple(event or ()), request_id))
    wanted = asked.wanted()
    _check_free(output, force=force)
    with _explained():
        spans = [Span.of(directory) for state in found for directory in logs(state)]
        if qualifiers:
            found_places = _places(" ".join(qualifiers), found, timeout, memory, derived=not from_lines)
            wanted = replace(wanted, places=found_places)
        _Job(found, spans, form, asked, wanted, output, recorded=not unrecorded).run()


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked for, in the words that were used."""

    qualifiers: str | None
    since: str | None
    until: str | None
    simple: Filter

    def wanted(self) -> Wanted:
        now = datetime.now(UTC)
        since, until = _milliseconds("--since", self.since, now), _milliseconds("--until", self.until, now, end=True)
        return Wanted(since, until, self.simple)

    def facts(self) -> dict[str, object]:
        """For the record and for the manifest: what is not asked for is left out."""
        facts = {
            "query": self.qualifiers,
            "since": self.since,
            "until": self.until,
            "denied": self.simple.denied,
            "event": list(self.simple.codes),
            "request_id": self.simple.request_id,
        }
        return {name: value for name, value in facts.items() if value}


@dataclass(frozen=True, slots=True)
class _Job:
    """One export."""

    found: list[Path]
    spans: list[Span]
    form: Format
    asked: _Asked
    wanted: Wanted
    output: Path | None
    recorded: bool

    def run(self) -> None:
        self._record("begin", {})
        if self.output is None:
            tally = self._write(sys.stdout.buffer, _for_a_terminal if sys.stdout.isatty() else None)
            self._record_end(tally)
        else:
            tally = self._file(self.output)
            said = f"{printable(str(self.output))}: {tally.events} events, sha256 {tally.sha256}"
            console.print(Text(said), soft_wrap=True)

    def _file(self, path: Path) -> Tally:
        with new_file(path) as (file, temporary):
            tally = self._write(file)
            # Before the file has its name: an export that is in somebody's hands is in the record with its digest.
            self._record_end(tally)
            finish(file, temporary, path)
        with new_file(manifest_path(path)) as (file, temporary):
            file.write(self._manifest(path, tally))
            finish(file, temporary, manifest_path(path))
        return tally

    def _manifest(self, path: Path, tally: Tally) -> bytes:
        described = manifest(
            path,
            self.form,
            tally,
            self.spans,
            query=self.asked.facts(),
            time=datetime.now(UTC).isoformat(timespec="seconds"),
            version=__version__,
            recorded=self.recorded,
        )
        return msgspec.json.format(msgspec.json.encode(described), indent=1) + b"\n"

    def _write(self, out: IO[bytes], shown: Callable[[bytes], bytes] | None = None) -> Tally:
        total = sum(span.end for span in self.spans)
        with _progress(total) as progress, selected(self.spans, self.wanted, progress) as lines:
            return write(lines, self.form, out, shown=shown) if shown else write(lines, self.form, out)

    def _record_end(self, tally: Tally) -> None:
        self._record("end", {"events": tally.events, "sha256": tally.sha256})

    def _record(self, stage: str, facts: dict[str, object]) -> None:
        if not self.recorded:
            if stage == "begin":
                print_warning("this is not recorded", "only for a copy: a record that is in use tells who has read it")
            return
        output = {"output": str(self.output.absolute())} if self.output else {}
        said = {"stage": stage, "format": self.form.name, **output, **self.asked.facts(), **facts}
        for state in self.found:
            command_log.record(state, CODE, said)


def _as_recorded(text: str, found: list[Path]) -> str | None:
    """The qualifiers as they may be written down: in a record that masks people, without their names.

    Raises:
        QuestionError: they cannot be understood.
    """
    pseudonyms = Pseudonyms(found)
    return brief(written(parse(text, datetime.now(UTC)), pseudonyms.newest) if text and pseudonyms.keys else text)


def _places(text: str, found: list[Path], timeout: float, memory: int, *, derived: bool) -> Mapping[str, Sequence[int]]:
    """Which events the qualifiers ask for.

    Raises:
        QuestionError: they cannot be understood, or not be answered within the limits.
    """
    query = parse(text, datetime.now(UTC))
    from gateway.audit.questions.engine import Engine, Limits  # with DuckDB, which nobody else here needs
    from gateway.audit.questions.places import places
    from gateway.cli.audit.wish import warn_of_masks

    pseudonyms = Pseudonyms(found)
    warn_of_masks(query, pseudonyms)
    directories = [directory for state in found for directory in logs(state)]
    with Engine.of(directories, Limits(timeout, memory), derived=derived) as engine, busy("asking the record"):
        return places(engine, query, pseudonyms)


def _format(name: str) -> Format:
    if name not in FORMATS:
        print_error(f"--format: {name!r} is no format", f"choose one of {', '.join(FORMATS)}")
        raise typer.Exit(EXIT_INVALID)
    return FORMATS[name]


def _milliseconds(option: str, text: str | None, now: datetime, *, end: bool = False) -> int | None:
    if text is None:
        return None
    try:
        return int(moment(text, now, end=end).timestamp() * 1000)
    except InvalidValueError as error:
        print_error(f"{option}: {error}", error.hint)
        raise typer.Exit(EXIT_INVALID) from error


def _check_free(output: Path | None, *, force: bool) -> None:
    if output is None:
        return
    if output.is_dir():
        print_error(f"{output}: is a directory", "name a file with --output")
        raise typer.Exit(EXIT_INVALID)
    for path in (output, manifest_path(output)):
        if not force and (path.exists() or path.is_symlink()):
            print_error(f"{path}: is there already", "choose another name, or replace it with --force")
            raise typer.Exit(EXIT_INVALID)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except DamagedLogError as error:
        print_error(str(error), "ask `gateway audit verify` what is damaged")
        raise typer.Exit(EXIT_FINDING) from error
    except (LedgerError, QuestionError) as error:
        fail(error, EXIT_INVALID)
    except BrokenPipeError:
        # Whoever reads has seen enough: `| head`. What Python would still flush at its end has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit from None
    except OSError as error:
        print_error(str(error))
        raise typer.Exit(EXIT_INVALID) from error


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    with ExitStack() as stack:
        if not errors.is_terminal or sys.stdout.isatty():
            yield lambda _: None
            return
        columns = (TextColumn("export"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        bar = stack.enter_context(Progress(*columns, console=errors, transient=True))
        task = bar.add_task("export", total=total)
        yield lambda more: bar.advance(task, more)


def _for_a_terminal(piece: bytes) -> bytes:
    """Lines of ours are printable already; one that somebody has put there by hand may not be."""
    lines = piece.decode("utf-8", "replace").split("\n")
    return "\n".join(one_line(line.rstrip("\r")) for line in lines).encode()
