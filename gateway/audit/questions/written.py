"""A query as it may stand in a record that masks people: written again, with pseudonyms in the place of who is named.

Without it, asking for somebody would put their name into a record that is made to forget it.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Final, assert_never

from gateway.audit.questions.qualifiers import PSEUDONYMOUS
from gateway.audit.questions.terms import About, Is, Like, Nothing, Number, Query, Says, Term, Test, Within

Hide = Callable[[str, str], str]
"""The pseudonym of a value of `user`, `client` or `session`."""

_PLAIN: Final = re.compile(r"[\w./:@+=-]+")
_WORD: Final = re.compile(r"[\w./@+=][\w./@+=-]*")  # without a colon it is no qualifier
_LITERAL: Final = re.compile(r"'(?:[^']|'')*'")


def written(query: Query, hide: Hide) -> str:
    """The query in its own language. A free text is hidden too: it may be anything, a name among others."""
    times = (("since", query.since), ("until", query.until))
    terms = [_term(term, hide) for term in query.terms]
    return " ".join(terms + [f"{name}:{_moment(at)}" for name, at in times if at is not None])


def written_sql(sql: str) -> str:
    """The SQL without the texts in it."""
    return _LITERAL.sub("'…'", sql)


def _term(term: Term, hide: Hide) -> str:
    match term.what:
        case Says(text):
            hidden = hide("user", text)
            said = hidden if _WORD.fullmatch(hidden) else _in_quotes(hidden)
        case About(column, tests):
            said = f"{column}:{','.join(_test(column, test, hide) for test in tests)}"
        case _:
            assert_never(term.what)
    return f"-{said}" if term.negated else said


def _test(column: str, test: Test, hide: Hide) -> str:
    def shown(text: str) -> str:
        return hide(column, text) if column in PSEUDONYMOUS and text else text

    match test:
        case Is(text):
            return _quoted(shown(text))
        case Like(pieces):
            return "*".join(shown(piece) for piece in pieces)
        case Nothing():
            return '""'
        case Within(network):
            # A network of one address is somebody; a larger one is nobody.
            return shown(str(network.network_address)) if network.num_addresses == 1 else str(network)
        case Number(_, number) if column == "failed":
            return "yes" if number else "no"
        case Number(operator, number):
            return f"{'' if operator == '=' else operator}{number}"
        case _:
            assert_never(test)


def _quoted(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else _in_quotes(text)


def _in_quotes(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
