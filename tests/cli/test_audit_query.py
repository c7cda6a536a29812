"""`gateway audit query`, as a reviewer types it, over a record that a real ledger has written."""

import csv
import io
import json
import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from gateway.audit import Durability, Ledger, opened, stamp
from gateway.audit.mask_keys import masks_of
from gateway.audit.questions.builtin import QUESTIONS
from gateway.audit.reader import last
from gateway.cli.audit import app
from gateway.model import Deny, ExchangeOpened, Reason, Surface
from tests.audit.asked_record import BOB, Record, context, of_revision, write

GATEWAY = Path(sys.executable).with_name("gateway")


@pytest.fixture(scope="module")
def record(tmp_path_factory) -> Record:
    return write(tmp_path_factory.mktemp("asked"))


def ask(record, *arguments, verb="query"):
    """Run the command within this process; what it prints on both streams, and its exit code."""
    done = CliRunner().invoke(app, [verb, "--state-dir", str(record.state), *arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def rows(record, *arguments):
    done = ask(record, "--format", "json", *arguments)
    assert done.exit_code == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def asked_events(record):
    logs = sorted((record.state / "audit").glob("*/cli"))
    return [each.event for log in logs for each in last(log) if each.event["metadata"]["event_code"] == "audit.query"]


# --- what it answers ------------------------------------------------------------------------------------------


def test_events_come_newest_first_and_every_one_of_them(record):
    """Without qualifiers: the newest events of every log, each once, in the order of time."""
    found = [
        row for row in rows(record, "--columns", "time,log,sequence,code", "-n", "1000") if row["log"] == record.log
    ]
    written = [json.loads(line) for line in segment_lines(record)]
    assert [row["sequence"] for row in found] == [event["metadata"]["sequence"] for event in reversed(written)]
    assert [row["time"] for row in found] == sorted((row["time"] for row in found), reverse=True)


def segment_lines(record):
    for path in sorted(record.directory.glob("seg-*.jsonl")):
        yield from (line for line in path.read_bytes().splitlines() if line.startswith(b'{"metadata"'))


ASKED = [
    (["decision:denied phase:decision"], ["req-socket", "req-limited", "req-probe", "req-outside", "req-ledger"]),
    (["decision:denied", "phase:decision", "client:198.51.100.0/24"], ["req-outside"]),
    (["user:bob@corp.example code:http.request phase:decision"], ["req-ledger"]),
    (["user:*@corp.example rule:no-ledger phase:decision"], ["req-ledger"]),
    (["reason:rate-limited,not-found phase:decision"], ["req-limited", "req-probe"]),
    (["status:>=400 -status:404"], ["req-outside", "req-ledger"]),
    (["--since", "1h", "ledger phase:decision"], ["req-ledger"]),
    (["--until", "yesterday"], []),
    (["--", "-phase:outcome,activity,lifecycle,file,error,admin", "-decision:denied"], ["req-socket", "req-allowed"]),
]


@pytest.mark.parametrize(("arguments", "expected"), ASKED, ids=[" ".join(row[0]) for row in ASKED])
def test_qualifiers_find_what_they_say(record, arguments, expected):
    """The same language in one argument or in several; a query that begins with a dash stands behind `--`."""
    options = [] if arguments[0] == "--" else ["--columns", "request"]
    assert [row["request"] for row in rows(record, *options, *arguments)] == expected


def test_counts_and_histogram(record):
    """`--by` counts the values of a column, `--histogram` the events of each hour."""
    (first, *_) = rows(record, "--by", "decision", f"log:{record.log}")
    assert (first["decision"], first["events"]) == ("allowed", 8)
    hours = rows(record, "--histogram", "hour", f"log:{record.log}")
    assert sum(row["events"] for row in hours) == len(list(segment_lines(record)))
    assert hours[0]["hour"].endswith(":00:00.000Z")


BUILT_IN = {
    "denied-by-client": lambda found: found[0]["client"] == "203.0.113.7" and found[0]["refused"] == 4,
    "user-activity": lambda found: {row["request"] for row in found} == {"req-ledger", "req-socket"},
    "top-paths": lambda found: found[0]["path"] == "/_stcore/stream" or found[0]["requests"] >= 1,
    "hours": lambda found: sum(row["refused"] for row in found) == 5,
    "new-clients": lambda found: {row["client"] for row in found} >= {"203.0.113.7", "198.51.100.9"},
    "off-hours": lambda found: all(row["requests"] >= 1 for row in found),
    "large-downloads": lambda found: [(row["file"], row["file_size"]) for row in found] == [("report.xlsx", 5_000_000)],
    "script-errors": lambda found: [(row["exception"], row["place"]) for row in found] == [("ValueError", "0badc0de")],
    "record-trouble": lambda found: [row["code"] for row in found] == ["audit.suppressed"],
    "changes": lambda found: all(row["code"] == "audit.query" for row in found),
    "csp-findings": lambda found: found == [],
    "refused-messages": lambda found: [(row["message"], row["refused"]) for row in found] == [("clear_cache", 1)],
    "slowest-pages": lambda found: [(row["page"], row["mean_ms"]) for row in found] == [("/", 225)],
}


@pytest.mark.parametrize("question", QUESTIONS, ids=[question.name for question in QUESTIONS])
def test_every_question_of_the_list_answers(record, question):
    """Each built-in question runs as it stands, takes qualifiers, and says what its sentence says."""
    needed = {"user-activity": ["user:bob@corp.example"]}.get(question.name, [])
    found = rows(record, "--question", question.name, *needed)
    assert BUILT_IN[question.name](found), found
    assert rows(record, "--question", question.name, *needed, "user:nobody") == [] or question.name == "top-paths"


def test_the_list_names_every_question(record):
    """`--questions` lists each with its sentence."""
    listed = " ".join(CliRunner().invoke(app, ["query", "--questions"]).stdout.split())
    assert all(question.name in listed and question.sentence in listed for question in QUESTIONS)
    assert set(BUILT_IN) == {question.name for question in QUESTIONS}


def test_a_live_log_is_read_up_to_its_last_commit(tmp_path):
    """Half a line, and an event that nobody has signed for, are no events; every acknowledged one is, at once."""
    record = write(tmp_path)
    segment = max(record.directory.glob("seg-*.jsonl"))
    written = len(list(segment_lines(record)))
    late = next(segment_lines(record)).replace(b'"sequence":0', b'"sequence":%d' % written)
    with segment.open("ab") as file:
        file.write(late + b"\n" + late[:100])
    assert len(rows(record, "--columns", "sequence", f"log:{record.log}", "-n", "500")) == written


def test_several_replicas_are_asked_at_once(record, tmp_path):
    """`--state-dir` may be repeated; each record learns that it was asked."""
    other = write(tmp_path)
    found = rows(record, "--state-dir", str(other.state), "--columns", "log", "code:audit.suppressed")
    assert {row["log"] for row in found} == {record.log, other.log}
    assert asked_events(other)[0]["unmapped"]["gateway"]["details"]["query"] == "code:audit.suppressed"


# --- how it is shown ------------------------------------------------------------------------------------------


def test_csv_is_read_by_any_reader_and_runs_in_no_spreadsheet(record, tmp_path):
    """RFC 4180 with a line of names; a text that a spreadsheet would take for a formula gets an apostrophe."""
    evil = write(tmp_path)
    policy = of_revision(evil.policies, "0001")
    with Ledger.open(evil.directory, origin=evil.log) as ledger:
        for path in ('=cmd|"/c calc"!A1', "/\x1b]0;owned\x07\u202e,\n"):
            asked = context(path=path, page=None, surface=Surface.PROBE)
            refused = ExchangeOpened("req-evil", asked, Deny(Reason.NOT_FOUND, policy.ref), "1.1", 1)
            ledger.append(opened(refused, stamp()), Durability.BEFORE).wait(5)
    query = ("request:req-evil", "--columns", "path,time,status")
    done = ask(evil, "--format", "csv", *query)
    header, newest, oldest = csv.reader(io.StringIO(done.stdout))
    assert header == ["path", "time", "status"]
    assert oldest[0] == '\'=cmd|"/c calc"!A1'
    assert "\x1b" not in done.stdout and newest[0].startswith("/\\x1b]0;owned")
    for format_ in ("table", "json"):
        shown = ask(evil, "--format", format_, *query).stdout
        assert all(line.isprintable() for line in shown.splitlines())
        assert len(shown.splitlines()) == (3 if format_ == "table" else 2)


def test_times_are_utc_unless_local_ones_are_asked_for(record, monkeypatch):
    """Times are UTC, and the heading says so; `--local` shows this machine's."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        query = ("request:req-allowed phase:decision", "--columns", "time")
        utc, local = ask(record, *query).stdout, ask(record, *query, "--local").stdout
    finally:
        monkeypatch.undo()
        time.tzset()
    assert "time (UTC)" in utc and "time (JST)" in local
    hour = int(utc.splitlines()[1][11:13])
    assert int(local.splitlines()[1][11:13]) == (hour + 9) % 24


def on_a_terminal(record, width, *arguments):
    """What the command shows on a terminal of this width."""
    ours, theirs = os.openpty()
    environment = os.environ | {"COLUMNS": str(width), "TERM": "xterm", "NO_COLOR": "1"}
    command = [GATEWAY, "audit", "query", "--state-dir", str(record.state), *arguments]
    with subprocess.Popen(command, env=environment, stdout=theirs, stderr=subprocess.DEVNULL) as process:
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # the end of a terminal is an error
            while block := os.read(ours, 4096):
                shown += block
        assert process.wait(30) == 0
    os.close(ours)
    return [line for line in re.sub(r"\x1b\[\d*m", "", shown.decode()).splitlines() if line]


def test_a_narrow_terminal_shows_values_behind_their_names(record):
    """A table that is too wide for the terminal becomes one line a row: nothing is cut off or broken in two."""
    query = ("request:req-ledger", "--columns", "time,decision,user,path,status,request")
    wide, narrow = on_a_terminal(record, 200, *query), on_a_terminal(record, 60, *query)
    assert wide[0].split()[:2] == ["time", "(UTC)"] and len(wide) == 3
    assert len(narrow) == 2
    assert narrow[0].endswith("UTC  denied  user=bob@corp.example  path=/ledger  status=403  request=req-ledger")


def test_an_export_is_complete_and_nobody_elses(record, tmp_path):
    """`--output` writes all rows, not a hundred, to a new file of mode 0600; what is there is never replaced."""
    for format_ in ("json", "csv", "parquet"):
        target = tmp_path / f"out.{format_}"
        done = ask(record, "--format", format_, "--output", str(target), f"log:{record.log}", "--columns", "sequence")
        assert done.exit_code == 0, done.stderr
        assert target.stat().st_mode & 0o777 == 0o600
        count = len(list(segment_lines(record)))
        assert f"{count} rows" in done.stdout
        before = target.read_bytes()
        again = ask(record, "--format", format_, "--output", str(target))
        assert (again.exit_code, "is there already" in again.stderr) == (2, True)
        assert target.read_bytes() == before
    assert duckdb.sql(f"SELECT count(*) FROM read_parquet('{tmp_path}/out.parquet')").fetchall() == [(count,)]
    assert [path.name for path in tmp_path.iterdir() if "tmp" in path.name] == []


def test_an_export_is_no_longer_than_was_asked_for(record, tmp_path):
    """`--limit` holds for every question and every format."""
    for number, question in enumerate((["code:http.request"], ["--by", "code"], ["--sql", "SELECT * FROM events"])):
        for format_ in ("json", "csv"):
            target = tmp_path / f"{number}.{format_}"
            done = ask(record, *question, "--limit", "2", "--format", format_, "--output", str(target))
            assert done.stdout == f"{target}: 2 rows\n", done.stderr


def test_an_export_that_fails_leaves_nothing(record, tmp_path):
    """A question that cannot be answered leaves no half of a file."""
    target = tmp_path / "out.json"
    sql = "SELECT CAST(code AS INTEGER) FROM events"
    done = ask(record, "--sql", sql, "--format", "json", "--output", str(target))
    assert (done.exit_code, target.exists()) == (2, False)


COMPLETIONS = [
    ("gateway audit query dec", "decision:"),
    ("gateway audit query decision:de", "decision:denied"),
    ("gateway audit query -- -surf", "-surface:"),
    ("gateway audit query --question den", "denied-by-client"),
    ("gateway audit query --by revi", "revision"),
]


@pytest.mark.parametrize(("words", "expected"), COMPLETIONS, ids=[row[0] for row in COMPLETIONS])
def test_tab_completes(words, expected):
    """Tab completes qualifiers, the values of those that have few, questions and columns."""
    at = str(len(words.split()) - 1)
    environment = os.environ | {"_GATEWAY_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": at}
    done = subprocess.run([GATEWAY], env=environment, capture_output=True, text=True, timeout=30)
    assert expected in done.stdout.split()


# --- SQL ------------------------------------------------------------------------------------------------------


def test_sql_asks_the_view(record):
    """One SELECT over `events`, with WITH, joins, windows, functions: what DuckDB has."""
    sql = (
        f"WITH d AS (SELECT * FROM events WHERE log = '{record.log}') SELECT decision, count(*) AS n FROM d GROUP BY 1"
    )
    assert {row["decision"]: row["n"] for row in rows(record, "--sql", sql)}["allowed"] == 8
    assert rows(record, "--sql", "select i from range(3) t(i) order by i; -- three") == [{"i": 0}, {"i": 1}, {"i": 2}]


def test_sql_is_exported_whatever_stands_around_it(record, tmp_path):
    """Comments and semicolons around a SELECT are no part of it."""
    for number, sql in enumerate(("SELECT 7 AS n; -- seven", "/* a */ SELECT 7 AS n ;;", "SELECT 7 AS n --)")):
        target = tmp_path / f"{number}.parquet"
        done = ask(record, "--sql", sql, "--format", "parquet", "--output", str(target))
        assert done.exit_code == 0, done.stderr
        assert duckdb.sql(f"SELECT n FROM read_parquet('{target}')").fetchall() == [(7,)]


REFUSED = [
    "COPY events TO '/tmp/stolen.csv'",
    "COPY (SELECT 1) TO '/tmp/stolen.csv'",
    "ATTACH '/tmp/other.db'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "PRAGMA database_list",
    "SET memory_limit = '10GB'",
    "CREATE TABLE x AS SELECT 1",
    "DROP VIEW events",
    "CALL pragma_version()",
    "EXPORT DATABASE '/tmp/stolen'",
    "SELECT 1; SELECT 2",
    "SELECT 1; COPY events TO '/tmp/stolen.csv'",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT (SELECT content FROM read_text('/etc/passwd'))",
    "SELECT * FROM events WHERE EXISTS (FROM read_blob('/etc/passwd'))",
    "WITH x AS (SELECT * FROM read_json('/etc/passwd')) SELECT * FROM x",
    "SELECT 1 UNION ALL SELECT 1 FROM read_csv('/etc/passwd')",
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM sqlite_master",
    "DESCRIBE events",
    "EXPLAIN SELECT 1",
    "",
    "SELECT",
]


@pytest.mark.parametrize("sql", REFUSED)
def test_sql_does_nothing_else(record, sql):
    """Whatever is not one SELECT over the view is refused, with the place and what is let through."""
    done = ask(record, "--sql", sql)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "error: --sql:" in done.stderr and "hint: one SELECT" in done.stderr


def test_who_tries_more_than_asking_is_recorded(record):
    """An attempt to read something else leaves an event that says it was refused."""
    ask(record, "--sql", "SELECT * FROM read_text('/etc/shadow')")
    newest = asked_events(record)[0]
    assert newest["unmapped"]["gateway"]["details"]["sql"] == "SELECT * FROM read_text('/etc/shadow')"
    assert newest["status_id"] == 2


# --- what is recorded, and what is refused --------------------------------------------------------------------


def test_asking_is_recorded_before_anything_is_shown(record):
    """Each question leaves `audit.query` with what was asked and by whom; its own answer does not have it."""
    found = rows(record, "user:bob@corp.example", "--limit", "7", "--columns", "code")
    newest = asked_events(record)[0]
    assert newest["unmapped"]["gateway"]["details"] == {
        "query": "user:bob@corp.example",
        "columns": "code",
        "limit": 7,
        "format": "json",
    }
    assert newest["class_uid"] == 6003 and newest["actor"]["user"]["uid"]
    assert len(found) == 7


def test_a_record_that_masks_people_is_not_told_their_names(tmp_path):
    """Where people stand as pseudonyms, the event about a question has their pseudonyms, too."""
    record = write(tmp_path)
    (newest, *_) = [masks_of(record.state, ("user",), 90).of("user", name) for name in (BOB.id,)]
    ask(record, f"user:{BOB.id} bob")
    ask(record, "--sql", f"SELECT 1 FROM events WHERE \"user\" = '{BOB.id}'")
    ask(record, "--user", BOB.id, verb="timeline")
    told = asked_events(record)
    assert len(told) == 3 and BOB.id not in json.dumps(told)
    assert told[0]["unmapped"]["gateway"]["details"]["user"] == newest
    assert told[2]["unmapped"]["gateway"]["details"]["query"].startswith(f'user:{newest} "hmac:')


def test_what_cannot_be_recorded_is_not_answered(record, tmp_path):
    """A record that cannot be written to is not read, unless it is said to be a copy."""
    copy = Record(tmp_path / "copy", record.policies, record.log, record.directory)
    (copy.state / "audit" / "one").mkdir(parents=True)
    (copy.state / "audit" / "one" / "w0").symlink_to(record.directory)
    refused = ask(copy, "code:audit.suppressed")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "--unrecorded" in refused.stderr
    answered = ask(copy, "code:audit.suppressed", "--unrecorded", "--format", "json", "--columns", "code")
    assert answered.stdout == '{"code": "audit.suppressed"}\n'
    assert "warning: this is not recorded" in answered.stderr


MISTAKES = [
    (["usr:alice"], "unknown qualifier 'usr'", "did you mean user:?"),
    (["--by", "usr"], "no column is named 'usr'", "user"),
    (["--columns", "time,usr"], "no column is named 'usr'", "user"),
    (["--question", "denied"], "no question is named 'denied'", "denied-by-client"),
    (["--question", "user-activity"], "needs user:", "user:*"),
    (["--question", "hours", "--by", "user"], "are different questions", "one after the other"),
    (["--by", "user", "--columns", "time"], "does not go with --columns", "columns of its own"),
    (["--sql", "SELECT 1", "user:x"], "does not go with qualifiers", "WHERE"),
    (["--sql", "SELECT 1", "--limit", "3", "--format", "parquet", "--output", "x"], "--limit and parquet", "LIMIT"),
    (["--histogram", "week"], "'week' is no unit", "hour or day"),
    (["--format", "xml"], "'xml' is no format", "json"),
    (["--format", "parquet"], "does not go with this --output", "--output FILE"),
    (["--since", "lately"], "'lately' is no point in time", "24h"),
    (["--sql", "SELECT nothing FROM events"], "nothing", None),
]


@pytest.mark.parametrize(("arguments", "message", "hint"), MISTAKES, ids=[" ".join(row[0]) for row in MISTAKES])
def test_mistakes_are_told_with_what_to_write_instead(record, arguments, message, hint):
    """Exit code 2, nothing on stdout, the mistake and its cure on stderr."""
    done = ask(record, *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
    assert hint is None or hint in done.stderr


def test_a_question_has_an_end(record):
    """A question that takes longer than it may is stopped."""
    begun = time.monotonic()
    sql = "SELECT sum(sin(range)) FROM range(1000000000000)"
    done = ask(record, "--timeout", "0.3", "--sql", sql)
    assert (done.exit_code, "no answer within 0.3 seconds" in done.stderr) == (2, True)
    assert time.monotonic() - begun < 5


def test_a_question_keeps_to_its_memory(record):
    """A question that needs more memory than it may take is refused; nothing is written to a disk instead."""
    sql = "SELECT list(i) FROM range(100000000) t(i)"
    done = ask(record, "--memory", "64", "--sql", sql)
    assert (done.exit_code, "more than 64 MB of memory" in done.stderr) == (2, True)


def test_a_directory_without_a_record_is_a_mistake(tmp_path):
    """A wrong directory is told, with exit code 2."""
    done = CliRunner().invoke(app, ["query", "--state-dir", str(tmp_path)])
    assert (done.exit_code, "no record there" in done.stderr) == (2, True)


def test_the_command_itself(record):
    """As a shell sees it: the answer on stdout, notes on stderr, exit code 0."""
    environment = os.environ | {"GATEWAY_STATE_DIR": str(record.state)}
    command = [GATEWAY, "audit", "query", f"user:{BOB.id}", "--limit", "2"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 3)
    assert done.stderr == "note: the first 2; --limit shows more\n"
