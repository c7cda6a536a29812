"""`gateway audit query`: questions to the record, in the language of reviewers, from a list, or in SQL."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.text import Text

from gateway.audit.questions.asked import Asked
from gateway.audit.questions.builtin import QUESTIONS
from gateway.audit.questions.columns import NAMES
from gateway.audit.questions.conditions import EARLIEST
from gateway.audit.questions.engine import Engine, Limits
from gateway.audit.questions.errors import QuestionError
from gateway.audit.questions.qualifiers import QUALIFIERS, TIMES
from gateway.audit.questions.sources import gone
from gateway.audit.reader import logs
from gateway.audit.statements import DamagedLogError
from gateway.cli.audit.answers import Format, create, moment_text, print_table, write_csv, write_json
from gateway.cli.audit.asking import (
    FromLines,
    Local,
    Memory,
    StateDirs,
    Timeout,
    Unrecorded,
    busy,
    states,
    write_down,
)
from gateway.cli.audit.pseudonyms import Pseudonyms
from gateway.cli.audit.wish import Wish
from gateway.cli.terminal import EXIT_INVALID, console, errors, fail, printable


def _complete_query(incomplete: str) -> list[tuple[str, str]]:
    name, colon, value = incomplete.partition(":")
    if colon and (qualifier := QUALIFIERS.get(name.removeprefix("-"))):
        return [(f"{name}:{each}", "") for each in qualifier.choices if each.startswith(value)]
    described = {**{each.name: each.meaning for each in QUALIFIERS.values()}, **TIMES}
    dash = "-" if incomplete.startswith("-") else ""
    return [(f"{dash}{each}:", said) for each, said in described.items() if each.startswith(incomplete.lstrip("-"))]


def _complete_question(incomplete: str) -> list[tuple[str, str]]:
    return [(each.name, each.sentence) for each in QUESTIONS if each.name.startswith(incomplete)]


def _complete_column(incomplete: str) -> list[str]:
    done, comma, last = incomplete.rpartition(",")
    return [f"{done}{comma}{name}" for name in NAMES if name.startswith(last)]


def query(
    *,
    qualifiers: Annotated[
        list[str] | None,
        typer.Argument(help="What is asked for.", metavar="QUALIFIERS", autocompletion=_complete_query),
    ] = None,
    question: Annotated[
        str | None,
        typer.Option(help="Ask a question of the list.", metavar="NAME", autocompletion=_complete_question),
    ] = None,
    questions: Annotated[bool, typer.Option("--questions", help="List the questions, and end.")] = False,
    sql: Annotated[str | None, typer.Option(help="Ask in SQL: one SELECT over the view `events`.")] = None,
    by: Annotated[
        str | None,
        typer.Option(help="Count events by the values of a column.", metavar="COLUMN", autocompletion=_complete_column),
    ] = None,
    histogram: Annotated[str | None, typer.Option(help="Count events by `hour` or `day`.", metavar="UNIT")] = None,
    since: Annotated[str | None, typer.Option(help="As `since:`, such as 24h or 2026-09-21.", metavar="TIME")] = None,
    until: Annotated[str | None, typer.Option(help="As `until:`.", metavar="TIME")] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", help="Most rows; with --output all, else 100.", min=1)
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(help="Which columns, parted by commas.", metavar="NAMES", autocompletion=_complete_column),
    ] = None,
    format_: Annotated[str, typer.Option("--format", help="table, json, csv or parquet.", metavar="FORMAT")] = "table",
    output: Annotated[Path | None, typer.Option(help="Write to a new file.", metavar="FILE")] = None,
    zone: Annotated[str, typer.Option(help="Time zone of office hours, for `off-hours`.", metavar="ZONE")] = "UTC",
    local: Local = False,
    state_dir: StateDirs = None,
    unrecorded: Unrecorded = False,
    from_lines: FromLines = False,
    timeout: Timeout = 30.0,
    memory: Memory = 256,
) -> None:
    """Ask the record: newest events first, counts, a histogram, or a question of the list.

    QUALIFIERS are terms such as user:alice client:10.0.0.0/8 path:/admin/* -decision:allowed status:>=400 since:24h,
    or words that stand anywhere in an event. All terms must hold. A query that begins with a dash goes behind `--`.

    Asking is recorded, as `audit.query`, before anything is shown.

    For example:

    gateway audit query 'decision:denied since:24h' --by client

    gateway audit query 'user:alice path:/ledger* -status:200' --columns time,path,status,client

    gateway audit query --question denied-by-client --since 7d

    gateway audit query 'code:file.download since:30d' --format csv --output downloads.csv

    gateway audit query --sql 'SELECT "user", count(*) FROM events GROUP BY 1 ORDER BY 2 DESC'
    """
    if questions:
        _list_questions()
        return
    wish = Wish(
        " ".join(qualifiers or ()),
        question,
        sql,
        by,
        histogram,
        since,
        until,
        limit,
        columns,
        output,
        zone,
        cast("Format", format_),
    )
    try:
        wish.check()
        found = states(state_dir)
        limits = Limits(timeout, memory)
        target = output.resolve() if output and format_ == "parquet" else None
        directories = [directory for state in found for directory in logs(state)]
        with Engine.of(directories, limits, derived=not from_lines, output=target) as engine:
            pseudonyms = Pseudonyms(found)
            with busy("reading the record"), _refusals(found, wish, pseudonyms, unrecorded=unrecorded):
                asked = wish.asked(engine, pseudonyms)
            write_down(found, wish.facts(pseudonyms), unrecorded=unrecorded)
            _tell_of_gone(directories, asked)
            _answer(engine, asked, wish, local=local)
    except (QuestionError, DamagedLogError) as error:
        fail(error, EXIT_INVALID)


@contextmanager
def _refusals(found: Sequence[Path], wish: Wish, pseudonyms: Pseudonyms, *, unrecorded: bool) -> Iterator[None]:
    """Whoever tries in SQL what is not let through leaves an event, too."""
    try:
        yield
    except QuestionError:
        if wish.sql is not None:
            write_down(found, wish.facts(pseudonyms), unrecorded=unrecorded, succeeded=False)
        raise


def _tell_of_gone(directories: Sequence[Path], asked: Asked) -> None:
    """Events that were pruned are missing in an answer, and nothing else would say so."""
    since = asked.parameters.get("since", EARLIEST.replace(tzinfo=None))
    for each in gone(directories):
        latest = datetime.fromtimestamp(each.latest / 1000, UTC).replace(tzinfo=None)
        if latest >= since:
            _note(f"{each.log}: {each.events} events up to {moment_text(latest)} UTC were pruned, and are not in this")


def _note(text: str) -> None:
    errors.print(Text.assemble(("note:", "cyan"), f" {printable(text)}"), soft_wrap=True)


def _answer(engine: Engine, asked: Asked, wish: Wish, *, local: bool) -> None:
    if wish.output is not None:
        _write(engine, asked, wish, wish.output)
        return
    with busy("reading the record"):
        answer = engine.ask(asked.sql, asked.parameters, most=wish.most)
    if wish.format == "json":
        count = write_json(answer, sys.stdout)
    elif wish.format == "csv":
        count = write_csv(answer, sys.stdout)
    else:
        count = print_table(answer, local=local, keep_empty=wish.columns is not None)
    if count == wish.most and wish.histogram is None:
        _note(f"the first {count}; --limit shows more")


def _write(engine: Engine, asked: Asked, wish: Wish, output: Path) -> None:
    file = create(output)
    try:
        with file, busy(f"writing {printable(str(output))}"):
            if wish.format == "parquet":
                count = engine.write_parquet(asked.sql, asked.parameters, output.resolve())
            else:
                answer = engine.ask(asked.sql, asked.parameters, most=wish.most)
                count = (write_json if wish.format == "json" else write_csv)(answer, file)
    except BaseException:
        output.unlink(missing_ok=True)
        raise
    console.print(Text(printable(f"{output}: {count} rows")), soft_wrap=True)


def _list_questions() -> None:
    for each in QUESTIONS:
        needs = f" Needs {each.needs}:" if each.needs else ""
        console.print(Text.assemble((f"{each.name}", "bold"), f"  {each.sentence} Since {each.since}.{needs}"))
