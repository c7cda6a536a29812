"""The engine that answers: DuckDB in the memory of this process, over the files of the record, and over nothing else.

It belongs in a process of its own, such as a command: never in the gateway's. What keeps it in its place:

- it may open the files that it was given and no other (`allowed_paths`; external access is off, so no other file, no
  network, no extension), and nothing can change that afterwards (`lock_configuration`);
- it keeps to its memory. It does not spill to a disk: the record would lie outside its directory. A question that needs
  more is refused;
- it keeps to its time: a question that takes longer is stopped.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final, Self

import duckdb

from gateway.audit.questions.columns import NAMES, NOTHING_SQL, lines_sql, parquet_sql, quoted
from gateway.audit.questions.errors import QuestionError
from gateway.audit.questions.sources import Source, sources
from gateway.audit.questions.statement import check

VIEW: Final = "events"
_ATTEMPTS: Final = 3
_ROWS: Final = 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What a question may take: seconds, megabytes, threads."""

    seconds: float = 30.0
    megabytes: int = 256
    threads: int = 2


DEFAULTS: Final = Limits()


class Engine:
    """A view of the record at one moment. Use it in one thread, close it."""

    def __init__(
        self,
        files: Sequence[Source],
        limits: Limits = DEFAULTS,
        *,
        output: Path | None = None,
        again: Callable[[], Sequence[Source]] | None = None,
    ) -> None:
        """`output`: the one file that an answer may be written to, besides. `again`: the files at a later moment."""
        self.files = tuple(files)
        self.limits = limits
        self._output = output
        self._again = again
        self._connection = _open(self.files, limits, output)

    @classmethod
    def of(
        cls,
        directories: Sequence[Path],
        limits: Limits = DEFAULTS,
        *,
        derived: bool = True,
        output: Path | None = None,
    ) -> Self:
        """The engine over these logs as they are now.

        Raises:
            QuestionError: they cannot be read.
        """
        again = partial(sources, tuple(directories), derived=derived)
        for attempt in range(_ATTEMPTS):
            try:
                return cls(again(), limits, output=output, again=again)
            except (FileNotFoundError, duckdb.IOException) as error:  # sealed meanwhile: look again
                if attempt == _ATTEMPTS - 1:
                    raise QuestionError(f"the record cannot be read: {_first_line(error)}") from error
        raise AssertionError("unreachable")

    def ask(self, sql: str, parameters: Mapping[str, object] | None = None, *, most: int | None = None) -> "Answer":
        """The answer to one SELECT, at most so many rows. Read it before the next question.

        Raises:
            QuestionError: the SQL is wrong, takes too long or too much memory, or a file cannot be read. The rows that
                come later may raise it, too.
        """
        try:
            return self._ask(sql, parameters, most)
        except QuestionError:
            if self._again is None or all(each.path.exists() for each in self.files):
                raise
            # A segment was sealed since we have looked: its events are in another file now.
            self._connection.close()
            self.files = tuple(self._again())
            self._connection = _open(self.files, self.limits, self._output)
            return self._ask(sql, parameters, most)

    def _ask(self, sql: str, parameters: Mapping[str, object] | None, most: int | None) -> "Answer":
        with self._bounded():
            result = self._connection.execute(sql, dict(parameters or {}))
            columns = tuple(Answered(str(each[0]), str(each[1])) for each in result.description or ())
            first = result.fetchmany(_ROWS)
        return Answer(columns, islice(chain(first, self._rest(result)), most))

    def judge(self, sql: str) -> str:
        """SQL that somebody has written, if it is exactly one SELECT, of the view and of nothing else.

        What is given is the statement by itself, without comments and semicolons, to be put into another one.

        Raises:
            QuestionError: it is something else.
        """
        with self._bounded():
            return check(self._connection, sql, VIEW)

    def clients(self, beginning: str = "") -> list[str]:
        """Every client address, and every host of a command, that the record holds and that begins like this."""
        sql = f"SELECT DISTINCT client FROM {VIEW} WHERE starts_with(client, $beginning)"  # noqa: S608 - our own name
        return [str(row[0]) for row in self.ask(sql, {"beginning": beginning}).rows]

    def write_parquet(self, sql: str, parameters: Mapping[str, object], target: Path) -> int:
        """Write the answer to `output` as Parquet, and say how many rows it has.

        Raises:
            QuestionError: as `ask`.
        """
        copy = f"COPY ({sql}) TO {quoted(str(target))} (FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false)"
        with self._bounded():
            found = self._connection.execute(copy, dict(parameters or {})).fetchone()
        return int(found[0]) if found else 0

    def close(self) -> None:
        """Let go of the files."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _rest(self, result: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
        while True:
            with self._bounded():
                rows = result.fetchmany(_ROWS)
            if not rows:
                return
            yield from rows

    @contextmanager
    def _bounded(self) -> Iterator[None]:
        timer = threading.Timer(self.limits.seconds, self._connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield
        except duckdb.Error as error:
            raise self._explained(error) from error
        finally:
            timer.cancel()

    def _explained(self, error: duckdb.Error) -> QuestionError:
        match error:
            case duckdb.InterruptException():
                return QuestionError(
                    f"no answer within {self.limits.seconds:g} seconds", "ask for less time with since:, or allow more"
                )
            case duckdb.OutOfMemoryException():
                return QuestionError(
                    f"the answer needs more than {self.limits.megabytes} MB of memory",
                    "ask for less time with since: or for fewer columns, allow more, or use `gateway audit export`",
                )
            case duckdb.IOException():
                return QuestionError(_first_line(error), "a segment was sealed or pruned meanwhile: ask again")
            case duckdb.InvalidInputException() if "seg-" in str(error):
                return QuestionError(_first_line(error), "columns are damaged, or of another version: use --from-lines")
            case _:
                return QuestionError(_first_line(error))


@dataclass(frozen=True, slots=True)
class Answered:
    """A column of an answer, and its type in SQL."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What was asked for. `rows` can be gone through once."""

    columns: tuple[Answered, ...]
    rows: Iterator[tuple[Any, ...]]


def _open(files: Sequence[Source], limits: Limits, output: Path | None) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": limits.threads,
            "memory_limit": f"{limits.megabytes}MB",
            "temp_directory": "",
            "autoload_known_extensions": False,
            "autoinstall_known_extensions": False,
            "allow_community_extensions": False,
            "preserve_insertion_order": False,
        },
    )
    try:
        allowed = [str(each.path) for each in files] + ([str(output)] if output else [])
        connection.execute("SET python_enable_replacements = false")
        connection.execute(f"SET allowed_paths = [{', '.join(map(quoted, allowed))}]")
        connection.execute("SET enable_external_access = false")
        _create_view(connection, files)
        connection.execute("SET lock_configuration = true")
    except BaseException:
        connection.close()
        raise
    return connection


def _create_view(connection: duckdb.DuckDBPyConnection, files: Sequence[Source]) -> None:
    # To look into each file for its columns takes as long as a question. Versions follow each other, so a log whose
    # oldest and newest files have this version's columns has no others.
    tolerant = not all(_has_our_columns(connection, path) for path in _ends(files))
    connection.execute(f"CREATE VIEW {VIEW} AS {_union(files, tolerant=tolerant)}")


def _ends(files: Sequence[Source]) -> Iterator[Path]:
    """The oldest and the newest Parquet file of each log."""
    by_log: dict[Path, list[Path]] = {}
    for each in files:
        if each.is_columns:
            by_log.setdefault(each.path.parent, []).append(each.path)
    for paths in by_log.values():
        yield from {min(paths), max(paths)}


def _has_our_columns(connection: duckdb.DuckDBPyConnection, path: Path) -> bool:
    found = connection.execute(f"DESCRIBE SELECT * FROM read_parquet({quoted(str(path))})").fetchall()  # noqa: S608
    return tuple(row[0] for row in found) == NAMES


def _union(files: Sequence[Source], *, tolerant: bool) -> str:
    columns = [each.path for each in files if each.is_columns]
    lines = [lines_sql(each.path, before=each.before) for each in files if not each.is_columns]
    return " UNION ALL ".join(([parquet_sql(columns, tolerant=tolerant)] if columns else []) + lines) or NOTHING_SQL


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
