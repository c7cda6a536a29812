"""An answer of the record on a terminal, or in a file: as a table, as JSON lines, as CSV.

Nothing from the record steers a terminal or a spreadsheet: what is not printable is written out, and a cell that a
spreadsheet would take for a formula gets an apostrophe before it.
"""

import csv
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Final, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.audit.encode import one_line
from gateway.audit.questions.engine import Answer, Answered
from gateway.audit.questions.errors import QuestionError
from gateway.cli.terminal import console, printable

Format = Literal["table", "json", "csv", "parquet"]

_WIDE: Final = 32_768  # columns of a "terminal" that is a file or a pipe: one row, one line
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # https://owasp.org/www-community/attacks/CSV_Injection
_STYLES: Final = {"denied": "red", "allowed": "green", "modified": "yellow", "observed": "cyan"}
_SELF_EVIDENT: Final = ("time", "decision", "code", "events", "after", "what", "")
_NOTHING: Final = "-"
_NUMBERS: Final = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "DOUBLE")


def print_table(answer: Answer, *, local: bool = False, keep_empty: bool = True) -> int:
    """Print the answer as a table, and say how many rows it has. Times are UTC, or of this machine's zone (`local`).

    A row is a line. On a terminal that is too narrow for the table, each value is written behind the name of its
    column. `keep_empty`: also columns in which no row has anything.
    """
    rows = list(answer.rows)
    shown = [at for at in range(len(answer.columns)) if keep_empty or any(row[at] is not None for row in rows)]
    columns = [answer.columns[at] for at in shown]
    cells = [[_cell(row[at], local=local) for at in shown] for row in rows]
    table, there = _table(columns, cells, local=local), _console()
    if table.__rich_measure__(there, there.options.update(max_width=_WIDE)).maximum <= there.width:
        there.print(table)
    else:
        for row in cells:
            there.print(_one_line(columns, row, _zone(local=local)), soft_wrap=True)
    return len(rows)


def _table(columns: Sequence[Answered], cells: Sequence[Sequence[Text]], *, local: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        justify: Literal["left", "right"] = "right" if column.type in _NUMBERS else "left"
        table.add_column(Text(_heading(column, local=local)), justify=justify, overflow="fold")
    for row in cells:
        table.add_row(*row)
    return table


def _one_line(columns: Sequence[Answered], cells: Sequence[Text], zone: str) -> Text:
    parts = []
    for column, cell in zip(columns, cells, strict=True):
        if cell.plain == _NOTHING:
            continue
        name = Text("" if column.name in _SELF_EVIDENT else f"{printable(column.name)}=", style="dim")
        parts.append(Text.assemble(name, cell, f" {zone}" if column.type.startswith("TIMESTAMP") else ""))
    return Text("  ").join(parts)


def write_json(answer: Answer, out: IO[str]) -> int:
    """Write one JSON object a line, its keys in the order of the columns; times in UTC."""
    names = [column.name for column in answer.columns]
    count = 0
    for row in answer.rows:
        values = dict(zip(names, row, strict=True))
        out.write(one_line(json.dumps(values, ensure_ascii=False, default=_plain)) + "\n")
        count += 1
    return count


def write_csv(answer: Answer, out: IO[str]) -> int:
    """Write RFC 4180 with a line of names; times in UTC."""
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([column.name for column in answer.columns])
    count = 0
    for row in answer.rows:
        writer.writerow([_csv_cell(value) for value in row])
        count += 1
    return count


def create(path: Path) -> IO[str]:
    """The file to write an answer to, readable by nobody else.

    Raises:
        QuestionError: it is there already, or cannot be made.
    """
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8", newline="")
    except FileExistsError as error:
        raise QuestionError("is there already", "name another file, or remove this one", place=str(path)) from error
    except OSError as error:
        raise QuestionError(f"cannot be written: {error.strerror}", place=str(path)) from error


def moment_text(at: datetime, *, local: bool = False) -> str:
    """The time as a person reads it, to the millisecond."""
    there = at.replace(tzinfo=UTC).astimezone() if local else at
    return f"{there:%Y-%m-%d %H:%M:%S}.{there.microsecond // 1000:03d}"


def _console() -> Console:
    return console if console.is_terminal else Console(highlight=False, width=_WIDE)


def _heading(column: Answered, *, local: bool) -> str:
    if not column.type.startswith("TIMESTAMP"):
        return printable(column.name)
    return printable(f"{column.name} ({_zone(local=local)})")


def _zone(*, local: bool) -> str:
    return (datetime.now().astimezone().tzname() or "local") if local else "UTC"


def _cell(value: Any, *, local: bool) -> Text:  # noqa: ANN401 - whatever SQL has
    match value:
        case None:
            return Text(_NOTHING, style="dim")
        case datetime():
            return Text(moment_text(value, local=local))
        case str():
            return Text(printable(value), style=_STYLES.get(value, ""))
        case _:
            return Text(printable(str(_plain(value) if not isinstance(value, (int, float, list, dict)) else value)))


def _csv_cell(value: Any) -> Any:  # noqa: ANN401 - whatever SQL has
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return _harmless(value)
        case list() | dict():
            return _harmless(json.dumps(value, default=_plain))
        case _:
            return _harmless(str(_plain(value)))


def _harmless(text: str) -> str:
    text = "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode() for char in text
    )
    return f"'{text}" if text.startswith(_FORMULA) else text


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever SQL has
    """What JSON has for a value of SQL that it has no word for."""
    match value:
        case datetime():
            at = value.astimezone(UTC) if value.tzinfo else value
            return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
        case date():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Decimal():
            return float(value)
        case bytes():
            return value.hex()
        case set() | tuple():
            return list(value)
        case _:
            return str(value)


def columns_of(names: Sequence[str], rows: Iterable[Sequence[Any]], types: Sequence[str] = ()) -> Answer:
    """An answer made of values that are here already."""
    given: Iterator[tuple[Any, ...]] = (tuple(row) for row in rows)
    kinds = [*types, *["VARCHAR"] * (len(names) - len(types))]
    return Answer(tuple(Answered(name, kind) for name, kind in zip(names, kinds, strict=True)), given)
