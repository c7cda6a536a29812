"""What is run: the SQL and its parameters, of events, of counts, of a histogram, or of a built-in question."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, Literal

from gateway.audit.questions.builtin import BY_NAME, Question
from gateway.audit.questions.columns import NAMES
from gateway.audit.questions.conditions import Condition, times
from gateway.audit.questions.errors import QuestionError
from gateway.audit.questions.terms import About, Query

SHOWN: Final = (
    "time",
    "decision",
    "code",
    "phase",
    "user",
    "client",
    "method",
    "path",
    "page",
    "reason",
    "status",
    "request",
)
"""The columns that are shown when nobody names others."""

_IN_TIME: Final = "time >= $since AND time < $until AND "
_BARS: Final = 40


@dataclass(frozen=True, slots=True)
class Asked:
    """One prepared question."""

    sql: str
    parameters: dict[str, Any]


def events(query: Query, asked: Condition, columns: Sequence[str], limit: int) -> Asked:
    """The events themselves, newest first."""
    chosen = ", ".join(f'"{known(column)}"' for column in columns)
    sql = f"SELECT {chosen} FROM events WHERE {{asked}} ORDER BY time DESC, log, sequence DESC LIMIT $limit"  # noqa: S608 - known columns
    return _asked(sql, query, asked, {"limit": limit})


def counts(query: Query, asked: Condition, column: str, limit: int) -> Asked:
    """How many events have which value of a column, most first."""
    sql = f"""
        SELECT "{known(column)}", count(*) AS events, count(*) FILTER (decision = 'denied') AS denied,
               min(time) AS first, max(time) AS last
        FROM events WHERE {{asked}} GROUP BY "{column}" ORDER BY events DESC, "{column}" LIMIT $limit
    """  # noqa: S608 - a known column
    return _asked(sql, query, asked, {"limit": limit})


def histogram(query: Query, asked: Condition, unit: Literal["hour", "day"], limit: int) -> Asked:
    """How many events each hour or day, newest first; also those without any, between the first and the last."""
    sql = f"""
        WITH counted AS (
            SELECT date_trunc('{unit}', time) AS bucket, count(*) AS events,
                   count(*) FILTER (decision = 'denied') AS denied
            FROM events WHERE {{asked}} GROUP BY bucket
        ), ends AS (
            SELECT max(bucket) AS newest, min(bucket) AS oldest FROM counted
        ), every AS (
            SELECT unnest(range(newest, oldest - INTERVAL 1 {unit}, INTERVAL (-1) {unit})[:$limit]) AS bucket FROM ends
        )
        SELECT bucket AS "{unit}", coalesce(events, 0) AS events, coalesce(denied, 0) AS denied,
               rpad('', (coalesce(events, 0) * {_BARS} / greatest((SELECT max(events) FROM counted), 1))::INTEGER, '█')
                   AS "graph"
        FROM every LEFT JOIN counted USING (bucket) ORDER BY bucket DESC
    """  # noqa: S608 - one of two words
    return _asked(sql, query, asked, {"limit": limit})


def built_in(question: Question, query: Query, asked: Condition, limit: int, zone: str = "UTC") -> Asked:
    """A question of the list.

    Raises:
        QuestionError: it is about something that the query does not name.
    """
    if question.needs is not None and not _names(query, question.needs):
        hint = f"write {question.needs}:… behind it, or {question.needs}:* for all"
        raise QuestionError(f"needs {question.needs}:", hint, place=question.name)
    return _asked(question.sql, query, asked, {"limit": limit, "zone": zone})


def question_named(name: str) -> Question:
    """The built-in question of this name.

    Raises:
        QuestionError: there is none.
    """
    if name in BY_NAME:
        return BY_NAME[name]
    near = get_close_matches(name, BY_NAME, n=3, cutoff=0.4) or list(BY_NAME)
    raise QuestionError(
        f"no question is named {name!r}", f"try {', '.join(near)}; --questions lists all", place="--question"
    )


def known(column: str) -> str:
    """The column, if there is such a one.

    Raises:
        QuestionError: there is none.
    """
    if column in NAMES:
        return column
    near = get_close_matches(column, NAMES, n=3, cutoff=0.5) or list(NAMES)
    raise QuestionError(f"no column is named {column!r}", f"columns are {', '.join(near)}", place="--columns, --by")


def _names(query: Query, column: str) -> bool:
    return any(isinstance(term.what, About) and term.what.column == column for term in query.terms)


def _asked(sql: str, query: Query, asked: Condition, more: dict[str, Any]) -> Asked:
    sql = sql.replace("{asked}", f"{_IN_TIME}{{terms}}").replace("{terms}", f"({asked.sql})")
    parameters = {**asked.parameters, **times(query), **more}
    # DuckDB refuses a parameter that the statement does not have.
    return Asked(sql, {name: value for name, value in parameters.items() if f"${name}" in sql})
