"""From a query to a condition of SQL. Values never become SQL: each one is a parameter of the prepared statement."""

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, assert_never

from gateway.audit.questions.qualifiers import PSEUDONYMOUS
from gateway.audit.questions.terms import About, Is, Like, Nothing, Number, Query, Says, Term, Test, Within
from gateway.policy.networks import IPNetwork

# Where a free text is looked for.
SEARCHED: Final = (
    *("path", "page", "user", "client", "reason", "rule", "code", "text", "details", "message", "file"),
    *("host", "session", "request", "agent"),
)
EARLIEST: Final = datetime(1, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9999, 12, 31, tzinfo=UTC)

Pseudonyms = Callable[[str, str], Sequence[str]]
"""All pseudonyms of a value of a column (`user`, `session`, `client`) under the keys that there are."""
Clients = Callable[[str], Iterable[str]]
"""Every client that the record holds whose address begins like this."""


def no_pseudonyms(_column: str, _value: str) -> Sequence[str]:
    """No pseudonym: of a record in which values stand as they are."""
    return ()


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition of SQL with its parameters by name. Time is apart: questions use it in their own way."""

    sql: str
    parameters: dict[str, object] = field(default_factory=dict)


def condition(query: Query, clients: Clients, pseudonyms: Pseudonyms = no_pseudonyms) -> Condition:
    """What the terms of the query ask for; `true` when there are none."""
    return _Compiler(clients, pseudonyms).run(query)


def times(query: Query) -> dict[str, object]:
    """The parameters `since` and `until`, as SQL compares them: without a zone, in UTC."""
    since, until = query.since or EARLIEST, query.until or LATEST
    return {"since": since.replace(tzinfo=None), "until": until.replace(tzinfo=None)}


class _Compiler:
    def __init__(self, clients: Clients, pseudonyms: Pseudonyms) -> None:
        self.parameters: dict[str, object] = {}
        self._clients = clients
        self._pseudonyms = pseudonyms

    def run(self, query: Query) -> Condition:
        sql = " AND ".join(self._term(term) for term in query.terms)
        return Condition(sql or "true", self.parameters)

    def _term(self, term: Term) -> str:
        match term.what:
            case Says(text):
                wanted = self._parameter(text)
                sql = " OR ".join(f'contains(lower("{name}"), lower({wanted}))' for name in SEARCHED)
            case About(column, tests):
                sql = " OR ".join(self._tests(column, tests))
            case _:
                assert_never(term.what)
        # A column without a value is neither equal nor unequal to anything in SQL; to a reviewer it is not equal.
        return f"(({sql}) IS NOT TRUE)" if term.negated else f"({sql})"

    def _tests(self, column: str, tests: tuple[Test, ...]) -> Iterable[str]:
        known = [test.text for test in tests if isinstance(test, Is)]
        if known:
            yield self._is(column, known)
        for test in tests:
            if not isinstance(test, Is):
                yield self._test(f'"{column}"', test)

    def _is(self, column: str, known: list[str]) -> str:
        values = list(known)
        if column in PSEUDONYMOUS:
            values += [each for value in known for each in self._pseudonyms(column, value)]
        return f'"{column}" IN ({", ".join(self._parameter(value) for value in values)})'

    def _test(self, column: str, test: Test) -> str:
        match test:
            case Nothing():
                return f"{column} IS NULL"
            case Number(operator, number):
                return f"{column} {operator} {self._parameter(number)}"
            case Like(pieces):
                return self._like(column, pieces)
            case Within(network):
                inside = [each for each in self._clients(_beginning(network)) if _is_in(each, network)]
                return f"{column} IN (SELECT unnest({self._parameter(inside)}::VARCHAR[]))"
            case Is(text):
                return f"{column} = {self._parameter(text)}"
            case _:
                assert_never(test)

    def _like(self, column: str, pieces: tuple[str, ...]) -> str:
        if len(pieces) == 2 and not pieces[1]:
            return f"starts_with({column}, {self._parameter(pieces[0])})"
        escaped = (piece.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") for piece in pieces)
        return f"{column} LIKE {self._parameter('%'.join(escaped))} ESCAPE '\\'"

    def _parameter(self, value: object) -> str:
        name = f"asked_{len(self.parameters)}"
        self.parameters[name] = value
        return f"${name}"


def _beginning(network: IPNetwork) -> str:
    """What every address of the network begins with, as far as its text can tell: whole numbers of IPv4."""
    if network.version == 6:
        return ""  # the shortened form has no fixed places
    numbers = str(network.network_address).split(".")[: network.prefixlen // 8]
    return ".".join([*numbers, ""]) if len(numbers) < 4 else ".".join(numbers)


def _is_in(text: str, network: IPNetwork) -> bool:
    if (":" in text) != (network.version == 6):
        return False
    try:
        return ipaddress.ip_address(text) in network
    except ValueError:
        return False  # a pseudonym, or the host of a command
