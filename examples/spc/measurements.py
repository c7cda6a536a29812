"""Measurements from a CSV file that a visitor sends, and results back to one that a spreadsheet may open.

Nothing is guessed that could change a number: the encoding is UTF-8 (or UTF-16 with its mark), the separator is the one
that the first line uses, a decimal comma is read only where commas do not separate. Cells stay text until a column is
chosen; what is not a number is left out and counted, never replaced.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

MAX_BYTES: Final = 5_000_000
MAX_ROWS: Final = 20_000
MAX_COLUMNS: Final = 200

_NUMBER = re.compile(r"[+-]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,2})?", re.ASCII)
_WORKBOOKS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx is a zip archive, .xls a compound file
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # OWASP, "CSV Injection": spreadsheets run cells that start so


class UnusableDataError(ValueError):
    """The file, or the choice of columns, gives no chart. The text tells the visitor what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Measurements:
    """A table of text cells: every row as long as `columns`, whose names are unique."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    decimal: Literal[".", ","] = "."

    def cells(self, column: str) -> tuple[str, ...]:
        """The cells of a column, as they were written."""
        index = self.columns.index(column)
        return tuple(row[index] for row in self.rows)

    def numbers(self, column: str) -> tuple[float | None, ...]:
        """The numbers of a column; None where a cell is empty or no number."""
        return tuple(_number(cell, self.decimal) for cell in self.cells(column))

    def number_columns(self) -> tuple[str, ...]:
        """The columns in which at least half of what is written are numbers, and at least two."""
        return tuple(column for column in self.columns if self._holds_numbers(column))

    def _holds_numbers(self, column: str) -> bool:
        written = sum(1 for cell in self.cells(column) if cell)
        numbers = sum(1 for number in self.numbers(column) if number is not None)
        return numbers >= 2 and 2 * numbers >= written


def read_measurements(content: bytes) -> Measurements:
    """The table in a CSV file: first line names the columns; comma, semicolon or tab between cells.

    Raises:
        UnusableDataError: empty, too large, no text, not rectangular, no column of numbers.
    """
    if len(content) > MAX_BYTES:
        raise UnusableDataError(f"The file is larger than {MAX_BYTES // 1_000_000} MB. Send fewer rows or columns.")
    text = _decode(content)
    if not text.strip():
        raise UnusableDataError("The file is empty.")
    separator = _separator(text)
    header, *rows = _rows(text, separator)
    measurements = Measurements(_names(header), tuple(rows), "." if separator == "," else _decimal(rows))
    if not rows:
        raise UnusableDataError("The file has a first line, but no measurements below it.")
    if not measurements.number_columns():
        raise UnusableDataError(
            "No column holds numbers. The chart needs at least one column with the measured values."
        )
    return measurements


def safe_csv(columns: Sequence[str], rows: Iterable[Sequence[str | float | int]]) -> bytes:
    """A CSV file that no spreadsheet takes for a program, in UTF-8 with its mark, for Excel.

    Text that starts like a formula gets an apostrophe in front. Numbers are written as they are: -1.5 stays a number.
    """
    output = io.StringIO(newline="")
    writer = csv.writer(output)
    writer.writerow([_safe(name) for name in columns])
    writer.writerows([_safe(cell) for cell in row] for row in rows)
    return output.getvalue().encode("utf-8-sig")


def _safe(cell: str | float) -> str | float:
    return f"'{cell}" if isinstance(cell, str) and cell.lstrip(" ").startswith(_FORMULA) else cell


def _decode(content: bytes) -> str:
    if content.startswith(_WORKBOOKS):
        raise UnusableDataError("This is a spreadsheet, not a CSV file. Save it as CSV UTF-8 and send that.")
    marked = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError:
        raise UnusableDataError("The file is not UTF-8 text. Save it as CSV UTF-8 and send it again.") from None
    if "\x00" in text:
        raise UnusableDataError("The file is not text. Save it as CSV UTF-8 and send it again.")
    return text


def _separator(text: str) -> str:
    first = text.lstrip("\r\n").splitlines()[0]
    return max(",;\t", key=first.count)


def _decimal(rows: Sequence[Sequence[str]]) -> Literal[".", ","]:
    """The comma, if more cells are numbers that way. `1,234` stays what it is where points are used besides."""
    cells = [cell for row in rows for cell in row]
    with_comma = sum(1 for cell in cells if "," in cell and _number(cell, ",") is not None)
    with_point = sum(1 for cell in cells if "." in cell and _number(cell, ".") is not None)
    return "," if with_comma > with_point else "."


def _rows(text: str, separator: str) -> list[tuple[str, ...]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows: list[tuple[str, ...]] = []
    try:
        for cells in reader:
            row = tuple(cell.strip() for cell in cells)
            if any(row):
                rows.append(_fitted(row, rows[0] if rows else row, reader.line_num))
            if len(rows) > MAX_ROWS + 1:
                raise UnusableDataError(f"The file has more than {MAX_ROWS:,} rows. Send a part of it.")
    except csv.Error as error:
        raise UnusableDataError(f"Line {reader.line_num} cannot be read as CSV ({error}).") from error
    if not rows:
        raise UnusableDataError("The file is empty.")
    return rows


def _fitted(row: tuple[str, ...], header: tuple[str, ...], line: int) -> tuple[str, ...]:
    if len(header) > MAX_COLUMNS:
        raise UnusableDataError(f"The file has more than {MAX_COLUMNS} columns. Send those that you need.")
    if any(row[len(header) :]):
        raise UnusableDataError(f"Line {line} has {len(row)} cells, but the first line names {len(header)} columns.")
    return (row + ("",) * (len(header) - len(row)))[: len(header)]


def _names(header: tuple[str, ...]) -> tuple[str, ...]:
    """Unique names for the columns: those of the first line, completed where they are empty or come twice."""
    if all(_number(cell, ",") is not None or _number(cell, ".") is not None for cell in header):
        raise UnusableDataError("The first line holds numbers. It must name the columns.")
    names: list[str] = []
    for position, cell in enumerate(header, 1):
        name = base = cell or f"column {position}"
        copy = 2
        while name in names:
            name, copy = f"{base} ({copy})", copy + 1
        names.append(name)
    return tuple(names)


def _number(cell: str, decimal: Literal[".", ","]) -> float | None:
    """The number that a cell spells; None for anything else, `nan`, `inf` and digit groups included."""
    text = cell.replace(",", ".") if decimal == "," and "." not in cell else cell
    return float(text) if _NUMBER.fullmatch(text) else None
