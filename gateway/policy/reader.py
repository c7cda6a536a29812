"""Reading a TOML document strictly, and collecting everything that is wrong with it.

A `Table` hands out the values of its keys. What is wrong becomes a problem in the report and a harmless fallback for
the caller, who goes on: so one run reports every problem. Whoever reads a document must end with `Report.raise_any`.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from gateway.errors import PolicyError, Problem
from gateway.policy.values import InvalidValueError, shown, suggestion

Value = TypeVar("Value")
Entry = TypeVar("Entry", bound=Hashable)

PROBLEMS_LISTED = 200  # more help nobody, and a hostile file could have a hundred thousand


class Report:
    """The problems of one policy and the files beside it."""

    __slots__ = ("_problems", "_unlisted", "file")

    def __init__(self, file: str) -> None:
        self.file = file
        self._problems: list[Problem] = []
        self._unlisted = 0

    @property
    def full(self) -> bool:
        """Whether further problems are only counted."""
        return len(self._problems) >= PROBLEMS_LISTED

    def add(self, where: str, message: str, hint: str | None = None) -> None:
        """Note a problem of the policy file: `where` is a key path or a line."""
        self.add_in(self.file, where, message, hint)

    def add_in(self, file: str, where: str, message: str, hint: str | None = None) -> None:
        """Note a problem of any file."""
        if self.full:
            self._unlisted += 1
        else:
            self._problems.append(Problem(f"{file}: {where}" if where else file, message, hint))

    def raise_any(self) -> None:
        """Go on only if there was no problem.

        Raises:
            PolicyError: with all of them.
        """
        if self._unlisted:
            self._problems.append(Problem(self.file, f"{self._unlisted} more problems are not listed"))
        if self._problems:
            raise PolicyError(self._problems)


class Table:
    """One TOML table at a key path; the keys that the language does not have are reported at once."""

    __slots__ = ("_report", "_values", "path")

    def __init__(self, report: Report, path: str, values: Mapping[str, object], keys: Sequence[str] | None) -> None:
        self.path = path
        self._report = report
        self._values = values
        if keys is not None:
            self._refuse_unknown(keys)

    def _refuse_unknown(self, keys: Sequence[str]) -> None:
        for key in self._values:
            if key not in keys:
                self.problem("", f"unknown key {shown(key)}", None if self._report.full else suggestion(key, keys))

    def at(self, key: str) -> str:
        """The key path of one of the keys."""
        return f"{self.path}.{key}" if self.path and key else self.path or key

    def problem(self, key: str, message: str, hint: str | None = None) -> None:
        """Note a problem at one of the keys, or at the table itself if the key is empty."""
        self._report.add(self.at(key), message, hint)

    @property
    def names(self) -> tuple[str, ...]:
        """The keys that are set, in the order of the file."""
        return tuple(self._values)

    def has(self, key: str) -> bool:
        """Whether the key is set, rightly or wrongly."""
        return key in self._values

    def raw(self, key: str) -> object:
        """What TOML gave for the key, unchecked; None if it is not set."""
        return self._values.get(key)

    def get(self, key: str, read: Callable[[object], Value], default: Value) -> Value:
        """The value of an optional key."""
        return self._read(self.at(key), self._values[key], read, default) if key in self._values else default

    def need(self, key: str, read: Callable[[object], Value], fallback: Value) -> Value:
        """The value of a mandatory key."""
        if key not in self._values:
            self.problem(key, "is missing")
        return self.get(key, read, fallback)

    def items(
        self, key: str, read: Callable[[object], Entry], *, may_be_empty: bool = False
    ) -> tuple[Entry, ...] | None:
        """The entries of a list, without repetitions; None if the key is not set.

        An empty list is refused unless it may be empty: it could be read as *nobody* and as *anybody*.
        """
        return self.items_at(key, lambda _, value: read(value), may_be_empty=may_be_empty)

    def items_at(
        self, key: str, read: Callable[[str, object], Entry], *, may_be_empty: bool = False
    ) -> tuple[Entry, ...] | None:
        """As `items`, for entries that have parts: `read` is also given the place of the entry."""
        values = self._values.get(key)
        if values is None:
            return None
        if not isinstance(values, list):
            self.problem(key, f"must be a list, not {shown(values)}", "put it in brackets")
            return ()
        if not values and not may_be_empty:
            self.problem(key, "is an empty list", "leave the key out, or name at least one entry")
        return tuple(self._distinct(key, values, read))

    def _distinct(self, key: str, values: list[object], read: Callable[[str, object], Entry]) -> list[Entry]:
        seen: dict[Entry, None] = {}
        for index, value in enumerate(values):
            where = f"{self.at(key)}[{index}]"
            entry = self._read(where, value, partial(read, where), None)
            if entry is not None and entry in seen:
                self._report.add(where, f"{shown(value)} is listed twice")
            elif entry is not None:
                seen[entry] = None
        return list(seen)

    def table(self, key: str, keys: Sequence[str] | None) -> "Table":
        """The table under a key; an empty one if it is not set. With `keys` None every key is taken."""
        return self._table(self.at(key), self._values.get(key, {}), keys)

    def tables(self, key: str, keys: Sequence[str]) -> list["Table"]:
        """The tables of a list under a key (`[[rules]]`), none if it is not set."""
        values = self._values.get(key, [])
        if not isinstance(values, list):
            self.problem(key, f"must be a list of tables, not {shown(values)}", f"write [[{key}]]")
            return []
        return [self._table(f"{self.at(key)}[{index}]", value, keys) for index, value in enumerate(values)]

    def _table(self, path: str, value: object, keys: Sequence[str] | None) -> "Table":
        if not isinstance(value, dict):
            self._report.add(path, f"must be a table, not {shown(value)}")
            value = {}
        return Table(self._report, path, value, keys)

    def _read(self, where: str, value: object, read: Callable[[object], Value], fallback: Value) -> Value:
        try:
            return read(value)
        except InvalidValueError as error:
            self._report.add(where, error.message, error.hint)
            return fallback
