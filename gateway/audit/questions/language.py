"""The language in which reviewers ask: `user:alice -decision:allowed path:/admin/* status:>=400 since:24h "free text"`.

Terms are parted by blanks, and all must hold; values are parted by commas, and one must. `-` before a term turns it
round. `*` in a value stands for anything; in quotes it is a star. `""` means that there is no value. A word that
belongs to no qualifier is looked for everywhere in an event.
"""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, cast

from gateway.audit.questions.errors import QuestionError
from gateway.audit.questions.moments import moment
from gateway.audit.questions.qualifiers import (
    EMPTY,
    QUALIFIERS,
    TIMES,
    InvalidValueError,
    Qualifier,
    nearest,
)
from gateway.audit.questions.terms import About, Is, Like, Operator, Query, Says, Term, Test

LONGEST: Final = 4096  # characters of a query
_MOST: Final = 100  # terms, and values of a term
_NAME: Final = re.compile(r"([A-Za-z][A-Za-z0-9_-]*):")
_OPERATOR: Final = re.compile(r">=|<=|>|<")


@dataclass(frozen=True, slots=True)
class _Value:
    text: str
    quoted: bool
    operator: str
    at: int


def parse(text: str, now: datetime) -> Query:
    """What the text asks for. `now` is the moment that `24h` and `yesterday` are counted from.

    Raises:
        QuestionError: with the place, what is wrong there, and what to write instead.
    """
    if len(text) > LONGEST:
        raise QuestionError(f"longer than {LONGEST} characters", "ask a shorter question", place="query")
    return _Parser(text, now).run()


class _Parser:
    def __init__(self, text: str, now: datetime) -> None:
        self.text = text
        self.now = now
        self.at = 0

    def run(self) -> Query:
        query = Query()
        while self._skip_blanks():
            if len(query.terms) >= _MOST:
                raise self._error(self.at, f"more than {_MOST} terms", "ask a shorter question")
            query = self._term(query)
        return query

    def _term(self, query: Query) -> Query:
        start = self.at
        negated = self.text[self.at] == "-" and self.at + 1 < len(self.text) and not self.text[self.at + 1].isspace()
        self.at += negated
        named = _NAME.match(self.text, self.at)
        if named is None:
            return replace(query, terms=(*query.terms, Term(Says(self._word()), negated)))
        name = named[1].lower().replace("-", "_")
        self.at = named.end()
        if name in TIMES:
            return self._time(query, name, start, negated=negated)
        qualifier = QUALIFIERS.get(name)
        if qualifier is None:
            raise self._error(named.start(), f"unknown qualifier {named[1]!r}", nearest(name))
        tests = tuple(self._test(qualifier, value) for value in self._values(name))
        return replace(query, terms=(*query.terms, Term(About(name, tests), negated)))

    # --- pieces of text ---------------------------------------------------------------------------------------

    def _skip_blanks(self) -> bool:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.at < len(self.text)

    def _word(self) -> str:
        start = self.at
        if self._next() == '"':
            word = self._in_quotes()
        else:
            while self._next() and not self._next().isspace():
                self.at += 1
            word = self.text[start : self.at]
        if not word:
            raise self._error(start, "nothing to look for", "write a word between the quotes")
        return word

    def _values(self, name: str) -> list[_Value]:
        values = [self._value(name)]
        while self._next() == ",":
            self.at += 1
            values.append(self._value(name))
            if len(values) > _MOST:
                raise self._error(self.at, f"more than {_MOST} values", "ask a shorter question")
        if self._next() and not self._next().isspace():
            raise self._error(self.at, "a value in quotes has ended here", "part values by commas, and terms by blanks")
        return values

    def _value(self, name: str) -> _Value:
        start = self.at
        operator = _OPERATOR.match(self.text, self.at)
        self.at = operator.end() if operator else self.at
        quoted = self._next() == '"'
        if quoted:
            text = self._in_quotes()
        else:
            begin = self.at
            while self._next() and self._next() != "," and not self._next().isspace():
                self.at += 1
            text = self.text[begin : self.at]
        if not text and not quoted:
            hint = f'write a value behind it, or {name}:"" for events that have none'
            raise self._error(start, f"{name}: has no value", hint)
        return _Value(text, quoted, operator[0] if operator else "", start)

    def _in_quotes(self) -> str:
        start, pieces = self.at, []
        self.at += 1
        while (char := self._next()) != '"':
            if not char:
                raise self._error(start, "a quote that does not end", 'write " behind the text; inside it, \\"')
            if char == "\\" and self.text[self.at + 1 : self.at + 2] in ('"', "\\"):
                self.at += 1
            pieces.append(self.text[self.at])
            self.at += 1
        self.at += 1
        return "".join(pieces)

    def _next(self) -> str:
        return self.text[self.at : self.at + 1]

    # --- what they mean ---------------------------------------------------------------------------------------

    def _test(self, qualifier: Qualifier, value: _Value) -> Test:
        try:
            if value.operator:
                return qualifier.compare(cast("Operator", value.operator), value.text)
            if value.quoted and not value.text:
                return EMPTY
            if qualifier.compares or qualifier.name == "failed":
                return qualifier.read(value.text)
            if value.quoted:
                return Is(value.text)
            return Like(tuple(value.text.split("*"))) if "*" in value.text else qualifier.read(value.text)
        except InvalidValueError as error:
            raise self._error(value.at, str(error), error.hint) from error

    def _time(self, query: Query, name: str, start: int, *, negated: bool) -> Query:
        values = self._values(name)
        if negated or len(values) > 1 or values[0].operator:
            raise self._error(start, f"{name}: takes one point in time", f"write {name}:24h")
        if getattr(query, name) is not None:
            raise self._error(start, f"{name}: stands here twice", "leave one of them out")
        try:
            at = moment(values[0].text, self.now, end=name == "until")
        except InvalidValueError as error:
            raise self._error(values[0].at, str(error), error.hint) from error
        return replace(query, since=at) if name == "since" else replace(query, until=at)

    def _error(self, at: int, message: str, hint: str) -> QuestionError:
        return QuestionError(message, hint, place=f"query, character {at + 1}")
