"""`gateway audit timeline`: what one session, or one user, did, in the order of time."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.text import Text

from gateway.audit.questions.engine import Engine, Limits
from gateway.audit.questions.errors import QuestionError
from gateway.audit.questions.timeline import COLUMNS, Step, steps
from gateway.audit.reader import logs
from gateway.cli.audit.answers import columns_of, moment_text, print_table
from gateway.cli.audit.asking import AsJson, Local, Memory, StateDirs, Timeout, Unrecorded, busy, states, write_down
from gateway.cli.audit.pseudonyms import Pseudonyms
from gateway.cli.terminal import EXIT_INVALID, console, fail, print_error, print_warning, printable

SHORTEST: Final = 8
"""Characters of the beginning of a session's fingerprint."""
MOST: Final = 20_000
"""The most events of a timeline."""

_SHOWN: Final = ", ".join(f'"{name}"' for name in COLUMNS)
_OF: Final = """
    WITH theirs AS (SELECT DISTINCT request FROM events WHERE {who} AND request IS NOT NULL)
    SELECT {columns} FROM events WHERE {who} OR request IN (SELECT request FROM theirs)
    ORDER BY time DESC, log, sequence DESC LIMIT $most
"""


def timeline(
    *,
    session: Annotated[
        str | None,
        typer.Argument(help="The session as it stands in the record, or its beginning.", metavar="[SESSION]"),
    ] = None,
    user: Annotated[str | None, typer.Option(help="Everything that this user did instead.", metavar="USER")] = None,
    state_dir: StateDirs = None,
    local: Local = False,
    as_json: AsJson = False,
    unrecorded: Unrecorded = False,
    timeout: Timeout = 30.0,
    memory: Memory = 256,
) -> None:
    """Show a visit in steps: pages, sockets, widgets that were used, files, refusals, errors, and the time between.

    Exit codes: 0 shown, 2 there is no such session, or more than one begins like this.

    For example:

    gateway audit timeline 5b0e77a1

    gateway audit timeline --user alice@corp.example --json
    """
    if (session is None) == (user is None):
        print_error("name a session or a user", "gateway audit timeline SESSION, or --user USER")
        raise typer.Exit(EXIT_INVALID)
    found = states(state_dir)
    names = Pseudonyms(found)
    asked = {"session": session and names.newest("session", session), "user": user and names.newest("user", user)}
    write_down(found, asked, unrecorded=unrecorded)
    try:
        with busy("reading the record"), _engine(found, Limits(timeout, memory)) as engine:
            rows = (
                _of_session(engine, session)
                if session is not None
                else _of_user(engine, [str(user), *names("user", str(user))])
            )
    except QuestionError as error:
        fail(error)
    made = steps(rows)
    if not made:
        print_error(f"{session or user}: nothing in the record", "sessions and users stand there as `query` shows them")
        raise typer.Exit(EXIT_INVALID)
    if as_json:
        typer.echo(json.dumps(_as_json(rows, made), default=str))
    else:
        _print(rows, made, local=local)
    if len(rows) >= MOST:
        print_warning(f"only the newest {MOST} events", "ask for a part of the time with `gateway audit query`")


def _engine(found: Sequence[Path], limits: Limits) -> Engine:
    return Engine.of([directory for state in found for directory in logs(state)], limits)


def _of_session(engine: Engine, session: str) -> list[dict[str, Any]]:
    matching = [session]
    if len(session) >= SHORTEST:
        sql = "SELECT DISTINCT session FROM events WHERE starts_with(session, $begin) ORDER BY session LIMIT 9"
        matching = [str(row[0]) for row in engine.ask(sql, {"begin": session}).rows]
    if len(matching) > 1 and session not in matching:
        hint = f"write more of it: {', '.join(matching)}"
        raise QuestionError("more than one session begins like this", hint, place=session)
    chosen = session if session in matching or not matching else matching[0]
    return _rows(engine, "session = $session", {"session": chosen})


def _of_user(engine: Engine, names: Sequence[str]) -> list[dict[str, Any]]:
    return _rows(engine, '"user" IN (SELECT unnest($users::VARCHAR[]))', {"users": list(names)})


def _rows(engine: Engine, who: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    sql = _OF.replace("{who}", who).replace("{columns}", _SHOWN)
    answer = engine.ask(sql, {**parameters, "most": MOST})
    return [dict(zip(COLUMNS, row, strict=True)) for row in answer.rows][::-1]


def _print(rows: Sequence[dict[str, Any]], made: Sequence[Step], *, local: bool) -> None:
    whole = _summary(rows, made)
    for name in ("sessions", "users", "clients"):
        _say(name, ", ".join(whole[name]) or "-")
    _say("from", f"{moment_text(made[0].time, local=local)} to {moment_text(made[-1].time, local=local)}")
    _say("lasted", f"{_span(whole['duration_ms'])}, {whole['events']} events")
    console.print()
    shown = [(step.time, f"+{_span(step.gap)}" if step.gap >= 1000 else None, step.kind, step.what, step.request)
             for step in made]  # fmt: skip
    names, types = ("time", "after", "what", "", "request"), ("TIMESTAMP",)
    print_table(columns_of(names, shown, types), local=local, keep_empty=False)


def _say(name: str, text: str) -> None:
    console.print(Text.assemble((f"{name:<10}", "dim"), printable(text)), soft_wrap=True)


def _as_json(rows: Sequence[dict[str, Any]], made: Sequence[Step]) -> dict[str, Any]:
    listed = [
        {
            "time": _iso(step),
            "gap_ms": step.gap,
            "kind": step.kind,
            "what": step.what,
            "events": step.count,
            "event": step.place,
            "request": step.request,
            "user": step.user,
            "client": step.client,
        }
        for step in made
    ]
    return {**_summary(rows, made), "from": _iso(made[0]), "to": _iso(made[-1]), "steps": listed}


def _summary(rows: Sequence[dict[str, Any]], made: Sequence[Step]) -> dict[str, Any]:
    def every(column: str) -> list[str]:
        return sorted({str(row[column]) for row in rows if row[column] is not None})

    lasted = round((made[-1].time - made[0].time).total_seconds() * 1000)
    return {
        "sessions": every("session"),
        "users": every("user"),
        "clients": every("client"),
        "events": len(rows),
        "duration_ms": lasted,
    }


def _iso(step: Step) -> str:
    return f"{step.time:%Y-%m-%dT%H:%M:%S}.{step.time.microsecond // 1000:03d}Z"


def _span(milliseconds: int) -> str:
    seconds = milliseconds // 1000
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
