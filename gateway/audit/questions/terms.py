"""What a query says once it is read: terms that must all hold, about a column, about time, or a text somewhere."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from gateway.policy.networks import IPNetwork

Operator = Literal["=", ">=", "<=", ">", "<"]


@dataclass(frozen=True, slots=True)
class Is:
    """The value itself."""

    text: str


@dataclass(frozen=True, slots=True)
class Like:
    """A text with `*` for anything: the pieces between the stars."""

    pieces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Nothing:
    """No value at all."""


@dataclass(frozen=True, slots=True)
class Within:
    """An address in a network."""

    network: IPNetwork


@dataclass(frozen=True, slots=True)
class Number:
    """A number compared."""

    operator: Operator
    number: int


Test = Is | Like | Nothing | Within | Number


@dataclass(frozen=True, slots=True)
class About:
    """Any of the tests holds for the column."""

    column: str
    tests: tuple[Test, ...]


@dataclass(frozen=True, slots=True)
class Says:
    """The text stands somewhere in the event, in upper or lower case."""

    text: str


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that must hold, or must not."""

    what: About | Says
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for: `since` included, `until` not; both in UTC."""

    terms: tuple[Term, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
