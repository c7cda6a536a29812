"""What `gateway audit query` is asked for: the options, whether they go together, and what is run for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal, cast, get_args

from gateway.audit.questions import asked as ask_for
from gateway.audit.questions.asked import SHOWN, Asked
from gateway.audit.questions.conditions import condition
from gateway.audit.questions.engine import Engine
from gateway.audit.questions.errors import QuestionError
from gateway.audit.questions.language import parse
from gateway.audit.questions.qualifiers import PSEUDONYMOUS
from gateway.audit.questions.terms import About, Like, Query, Within
from gateway.audit.questions.written import written, written_sql
from gateway.cli.audit.answers import Format
from gateway.cli.audit.asking import brief
from gateway.cli.audit.pseudonyms import Pseudonyms
from gateway.cli.terminal import print_warning

_LIMIT: Final = 100
_EVERYTHING: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Wish:
    """What the options say."""

    text: str
    question: str | None
    sql: str | None
    by: str | None
    histogram: str | None
    since: str | None
    until: str | None
    limit: int | None
    columns: str | None
    output: Path | None
    zone: str
    format: Format

    @property
    def most(self) -> int:
        """The most rows."""
        return self.limit or (_EVERYTHING if self.output else _LIMIT)

    def check(self) -> None:
        """Nothing, if the options go together.

        Raises:
            QuestionError: they do not.
        """
        kinds = {"--question": self.question, "--sql": self.sql, "--by": self.by, "--histogram": self.histogram}
        given = [name for name, value in kinds.items() if value is not None]
        if len(given) > 1:
            raise QuestionError("are different questions", "ask one after the other", place=", ".join(given))
        if given and self.columns:
            raise QuestionError("does not go with --columns", "its answer has columns of its own", place=given[0])
        if self.sql is not None and (self.text or self.since or self.until):
            raise QuestionError("does not go with qualifiers", "write them into its WHERE", place="--sql")
        if self.sql is not None and self.format == "parquet" and self.limit is not None:
            raise QuestionError("does not go with --limit and parquet", "write LIMIT into the SQL", place="--sql")
        if self.histogram not in (None, "hour", "day"):
            raise QuestionError(f"{self.histogram!r} is no unit", "write hour or day", place="--histogram")
        if self.format not in get_args(Format):
            raise QuestionError(f"{self.format!r} is no format", "write table, json, csv or parquet", place="--format")
        if (self.format == "parquet") > (self.output is not None) or (
            self.format == "table" and self.output is not None
        ):
            hint = "--format json, csv or parquet with --output FILE; table and json and csv without"
            raise QuestionError("does not go with this --output", hint, place=f"--format {self.format}")

    def asked(self, engine: Engine, pseudonyms: Pseudonyms) -> Asked:
        """What is to be run.

        Raises:
            QuestionError: it cannot be understood.
        """
        if self.sql is not None:
            plain = engine.judge(self.sql)
            return Asked(plain if self.format == "parquet" else self.sql, {})
        named = ask_for.question_named(self.question) if self.question is not None else None
        read = self._read(named.since if named else None)
        where = condition(read, engine.clients, pseudonyms)
        warn_of_masks(read, pseudonyms)
        if named is not None:
            return ask_for.built_in(named, read, where, self.most, self.zone)
        if self.by is not None:
            return ask_for.counts(read, where, self.by, self.most)
        if self.histogram is not None:
            return ask_for.histogram(read, where, cast("Literal['hour', 'day']", self.histogram), self.most)
        return ask_for.events(read, where, self._columns(), self.most)

    def facts(self, pseudonyms: Pseudonyms) -> dict[str, object]:
        """What is recorded about it: in a record that masks people, without their names. SQL has its digest, too."""
        digest = sha256(self.sql.encode()).hexdigest() if self.sql else None
        text, sql = self.text, self.sql
        if pseudonyms.keys:
            text = written(parse(text, datetime.now(UTC)), pseudonyms.newest)
            sql = sql and written_sql(sql)
        return {
            "query": brief(text),
            "question": self.question,
            "sql": brief(sql),
            "sql_sha256": digest,
            "by": self.by,
            "histogram": self.histogram,
            "columns": brief(self.columns),
            "since": self.since,
            "until": self.until,
            "limit": self.most if self.most != _EVERYTHING else None,
            "format": self.format,
            "output": str(self.output.absolute()) if self.output else None,
        }

    def _columns(self) -> Sequence[str]:
        return [name.strip() for name in self.columns.split(",")] if self.columns else SHOWN

    def _read(self, usual: str | None) -> Query:
        given = [f'{name}:"{value}"' for name, value in (("since", self.since), ("until", self.until)) if value]
        read = parse(" ".join([self.text, *given]), now := datetime.now(UTC))
        return parse(" ".join([self.text, *given, f"since:{usual}"]), now) if usual and read.since is None else read


def warn_of_masks(read: Query, pseudonyms: Pseudonyms) -> None:
    """A pseudonym is found by the whole value only: who asks for a part of it must know that."""
    partly = {
        term.what.column
        for term in read.terms
        if isinstance(term.what, About) and any(isinstance(test, (Like, Within)) for test in term.what.tests)
    }
    if (masked := sorted(partly.intersection(PSEUDONYMOUS))) and pseudonyms.keys:
        hint = "ask for a whole value: its pseudonyms are looked for, too"
        print_warning(f"what is masked is not found by a part of it: {', '.join(masked)}", hint)
