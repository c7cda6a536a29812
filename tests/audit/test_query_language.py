"""The language in which reviewers ask, and the SQL that it becomes."""

import shlex
from datetime import UTC, datetime, timedelta

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audit.questions.columns import NOTHING_SQL
from gateway.audit.questions.conditions import condition, times
from gateway.audit.questions.errors import QuestionError
from gateway.audit.questions.language import LONGEST, parse
from gateway.audit.questions.qualifiers import NAMES, QUALIFIERS
from gateway.audit.questions.written import written, written_sql

NOW = datetime(2026, 9, 21, 13, 30, tzinfo=UTC)

# A small record of its own, with the columns that the questions have.
ROWS = [
    {"user": "alice", "client": "10.20.0.7", "path": "/admin/users", "decision": "denied", "status": 403,
     "rule": "no-admin", "reason": "denied-by-rule", "surface": "page"},
    {"user": "bob", "client": "192.0.2.1", "path": "/ledger", "decision": "allowed", "status": 200,
     "duration": 1500, "rule": "staff", "method": "GET", "bytes_out": 2_000_000},
    {"user": "hmac:k1:aa", "client": "2001:db8::7", "path": "/a*b%_c", "decision": "allowed", "status": 304,
     "duration": 20, "failed": False, "page": "/x"},
    {"code": "audit.failed", "text": "the Disk is full", "severity": 4, "failed": True},
    {"user": "o'brien \"x\", y", "client": "host.example", "path": "/admin", "decision": "denied", "status": 404},
]  # fmt: skip


@pytest.fixture(scope="module")
def record():
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE events AS {NOTHING_SQL}")
        for number, each in enumerate(ROWS):
            row = {"sequence": number} | each
            columns = ", ".join(f'"{name}"' for name in row)
            connection.execute(
                f"INSERT INTO events ({columns}) VALUES ({', '.join('?' * len(row))})", list(row.values())
            )
        yield connection


def clients(beginning):
    return [row["client"] for row in ROWS if "client" in row and row["client"].startswith(beginning)]


def found(record, text, pseudonyms=lambda column, value: ()):
    asked = condition(parse(text, NOW), clients, pseudonyms)
    sql = f"SELECT sequence FROM events WHERE {asked.sql} ORDER BY sequence"
    return [row[0] for row in record.execute(sql, asked.parameters).fetchall()]


QUERIES = [
    ("nothing asked: everything", "", [0, 1, 2, 3, 4]),
    ("a value", "user:alice", [0]),
    ("a value that is not there", "user:ali", []),
    ("two terms: both", "decision:denied status:404", [4]),
    ("a list: any", "user:alice,bob", [0, 1]),
    ("the same qualifier twice: both", "user:alice user:bob", []),
    ("turned round", "-decision:allowed", [0, 3, 4]),
    ("turned round, a list", "-user:alice,bob", [2, 3, 4]),
    ("a beginning", "path:/admin/*", [0]),
    ("anything within", "path:*dm*", [0, 4]),
    ("an end", "user:*e", [0]),
    ("a star in quotes is a star", 'path:"/a*b%_c"', [2]),
    ("what SQL takes for a pattern is not one", "path:/a*b%_c", [2]),
    ("not one either", "path:*%*", [2]),
    ("an underscore is itself", "path:/*_*", [2]),
    ("no value", 'decision:""', [3]),
    ("some value", '-decision:""', [0, 1, 2, 4]),
    ("quotes and commas in quotes", 'user:"o\'brien \\"x\\", y"', [4]),
    ("a number", "status:403", [0]),
    ("at least", "status:>=400", [0, 4]),
    ("more, and less", "status:>200 status:<403", [2]),
    ("numbers and comparisons in a list", "status:200,>=404", [1, 4]),
    ("a duration with its unit", "duration:>=1500ms", [1]),
    ("a duration in seconds", "duration:>1s", [1]),
    ("bytes with their unit", "bytes_out:>=2MB", [1]),
    ("an address", "client:192.0.2.1", [1]),
    ("an address in another spelling", "client:2001:DB8:0:0::7", [2]),
    ("a network", "client:10.20.0.0/16", [0]),
    ("a network of the other family", "client:2001:db8::/32", [2]),
    ("a network that ends within a number", "client:10.16.0.0/12", [0]),
    ("a network of one", "client:192.0.2.1/32", [1]),
    ("everything of a family", "client:0.0.0.0/0", [0, 1]),
    ("networks and addresses", "client:10.0.0.0/8,192.0.2.1", [0, 1]),
    ("not in a network", "-client:0.0.0.0/0", [2, 3, 4]),
    ("the host of a command", "client:host.example", [4]),
    ("severity by its word", "severity:high", [3]),
    ("severity compared by its word", "severity:>=medium", [3]),
    ("yes and no", "failed:yes", [3]),
    ("a method in lower case", "method:get", [1]),
    ("a name with a dash", "bytes-out:>1MB", [1]),
    ("a name in upper case", "USER:alice", [0]),
    ("a free text", "admin", [0, 4]),
    ("a free text in another case", "DISK", [3]),
    ("a free text in quotes", '"disk is full"', [3]),
    ("two free texts: both", "admin alice", [0]),
    ("a free text turned round", "-admin", [1, 2, 3]),
    ("a free text that begins with a dash", '"-"', [0]),
    ("a dash by itself is a text", "-", [0]),
    ("blanks of every kind", "  user:alice\t\n decision:denied ", [0]),
    ("a qualifier in quotes is a text", '"user:alice"', []),
]


@pytest.mark.parametrize(("name", "text", "expected"), QUERIES, ids=[row[0] for row in QUERIES])
def test_a_query_finds_what_it_says(record, name, text, expected):
    """Terms must all hold, values of a list any; see the table in the manual."""
    assert found(record, text) == expected


def test_a_name_finds_its_pseudonyms_too(record):
    """`user:carol` finds what stands in the record as carol, and as her pseudonym under any key."""
    known = {("user", "carol"): ["hmac:k0:bb", "hmac:k1:aa"]}
    assert found(record, "user:carol", lambda column, value: known.get((column, value), [])) == [2]
    assert found(record, "-user:carol", lambda column, value: known.get((column, value), [])) == [0, 1, 3, 4]
    assert found(record, "user:hmac:k1:aa") == [2]


MOMENTS = [
    ("since:2026-09-20", datetime(2026, 9, 20, tzinfo=UTC), None),
    ("until:2026-09-20", None, datetime(2026, 9, 21, tzinfo=UTC)),
    ("since:yesterday until:yesterday", datetime(2026, 9, 20, tzinfo=UTC), datetime(2026, 9, 21, tzinfo=UTC)),
    ("since:today", datetime(2026, 9, 21, tzinfo=UTC), None),
    ("since:24h until:now", NOW - timedelta(hours=24), NOW),
    ("since:7d", NOW - timedelta(days=7), None),
    ("since:2w until:90s", NOW - timedelta(weeks=2), NOW - timedelta(seconds=90)),
    ("since:2026-09-21T12:00", datetime(2026, 9, 21, 12, tzinfo=UTC), None),
    ("since:2026-09-21T12:00:30Z", datetime(2026, 9, 21, 12, 0, 30, tzinfo=UTC), None),
    ("since:2026-09-21T12:00+02:00", datetime(2026, 9, 21, 10, tzinfo=UTC), None),
    ('since:"2026-09-21t12:00"', datetime(2026, 9, 21, 12, tzinfo=UTC), None),
]


@pytest.mark.parametrize(("text", "since", "until"), MOMENTS, ids=[row[0] for row in MOMENTS])
def test_time_is_written_as_people_say_it(text, since, until):
    """A day begins at midnight UTC and is included as a whole; a moment is UTC too; `24h` is counted back."""
    query = parse(text, NOW)
    assert (query.since, query.until) == (since, until)
    assert all(value.tzinfo is None for value in times(query).values())


WRONG = [
    ("an unknown qualifier", "user:alice usr:bob", 12, "unknown qualifier 'usr'", "did you mean user:"),
    ("what others call it", "ip:10.0.0.1", 1, "unknown qualifier 'ip'", "did you mean client:?"),
    ("a colon in a text", "http://x", 1, "unknown qualifier 'http'", 'write it in quotes: "http:…"'),
    ("no value", "user:", 6, "user: has no value", 'user:""'),
    ("no value behind a comma", "user:a,", 8, "user: has no value", 'user:""'),
    ("a quote that does not end", 'user:"alice', 6, "a quote that does not end", 'write "'),
    ("something behind a quote", 'user:"a"b', 9, "a value in quotes has ended here", "commas"),
    ("an empty text", '""', 1, "nothing to look for", "a word"),
    ("no such decision", "decision:deny", 10, "'deny' is no decision", "denied"),
    ("no such reason", "reason:no-rule-match", 8, "'no-rule-match' is no reason", "no-rule-matched"),
    ("no such surface", "surface:pages", 9, "'pages' is no surface", "page"),
    ("no number", "status:ok", 8, "'ok' is not a number", "write 500"),
    ("no unit of that", "status:4MB", 8, "'4MB' is not a number", "write 500"),
    ("a comparison of words", "user:>alice", 6, "user: is not about numbers", "status"),
    ("a comparison with nothing", "status:>", 8, "status: has no value", "status"),
    ("host bits", "client:10.0.0.1/24", 8, "10.0.0.1/24 has host bits set; write 10.0.0.0/24", "a network"),
    ("no prefix length", "client:10.0.0.0/99", 8, "/99 is not a prefix length", "a network"),
    ("a path without its slash", "path:admin", 6, "'admin' is no path", "write /admin, or *admin*"),
    ("no point in time", "since:last-week", 7, "'last-week' is no point in time", "yesterday"),
    ("a day that no calendar has", "since:2026-02-30", 7, "'2026-02-30' is no point in time", "yesterday"),
    ("longer ago than time", "since:999999w", 7, "'999999w' is no point in time", "yesterday"),
    ("time twice", "since:1d since:2d", 10, "since: stands here twice", "leave one"),
    ("time turned round", "-since:1d", 1, "since: takes one point in time", "write since:24h"),
    ("two points in time", "since:1d,2d", 1, "since: takes one point in time", "write since:24h"),
    ("neither yes nor no", "failed:maybe", 8, "'maybe' is neither yes nor no", "yes or no"),
    ("no severity", "severity:9", 10, "'9' is no severity", "informational"),
    ("too many terms", " ".join(["a"] * 101), 201, "more than 100 terms", "shorter"),
    ("too many values", f"user:{','.join(['a'] * 101)}", 207, "more than 100 values", "shorter"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "at", "message", "hint"), WRONG, ids=[row[0] for row in WRONG])
def test_what_is_wrong_is_said_with_its_place_and_its_cure(name, text, at, message, hint):
    """An error names the character, what is wrong there, and what to write instead."""
    with pytest.raises(QuestionError) as raised:
        parse(text, NOW)
    (problem,) = raised.value.problems
    assert problem.place == f"query, character {at}"
    assert message in problem.message
    assert hint in problem.hint


def test_a_query_has_an_end():
    """A text longer than a query may be is refused unread."""
    with pytest.raises(QuestionError, match="longer than"):
        parse("a" * (LONGEST + 1), NOW)


# --- what is written down -------------------------------------------------------------------------------------

WRITTEN = [
    ("user:alice -decision:allowed", "user:hmac(user,alice) -decision:allowed"),
    ("client:192.0.2.7 client:192.0.2.0/24", "client:hmac(client,192.0.2.7) client:192.0.2.0/24"),
    ("client:192.0.2.7/32", "client:hmac(client,192.0.2.7)"),
    ("-failed:yes", "-failed:yes"),
    ("-session:5b0e* path:/a*,/b", "-session:hmac(session,5b0e)* path:/a*,/b"),
    ('alice "the disk"', "hmac(user,alice) hmac(user,the disk)"),
    ('rule:"" path:"/x y\\"z" status:>=400,200', 'rule:"" path:"/x y\\"z" status:>=400,200'),
    ("since:2026-09-20 until:2026-09-20", "since:2026-09-20T00:00:00Z until:2026-09-21T00:00:00Z"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), WRITTEN, ids=[row[0] for row in WRITTEN])
def test_a_query_is_written_down_without_names(text, expected):
    """In a record that masks people, asking for one does not write the name; what is written is the same language."""
    shown = written(parse(text, NOW), lambda column, value: f"hmac({column},{value})")
    assert shown.replace('"hmac', "hmac").replace(')"', ")") == expected
    assert "alice" not in written(parse(text, NOW), lambda column, value: "hmac:k1:aa")
    parse(written(parse(text, NOW), lambda column, value: "hmac:k1:aa"), NOW)


def test_without_masks_a_written_query_asks_the_same():
    """Written with nothing to hide, a query is read back as itself."""
    for _, text, _ in QUERIES:
        query = parse(text, NOW)
        if not any(hasattr(test, "network") for term in query.terms for test in getattr(term.what, "tests", ())):
            assert parse(written(query, lambda column, value: value), NOW) == query, text


def test_sql_is_written_down_without_its_texts():
    """The shape of the SQL stays, the texts in it go."""
    sql = """SELECT count(*) FROM events WHERE "user" = 'o''brien' AND path LIKE '/x%'"""
    assert written_sql(sql) == """SELECT count(*) FROM events WHERE "user" = '…' AND path LIKE '…'"""


# --- properties -----------------------------------------------------------------------------------------------

HOSTILE = st.text(
    st.one_of(st.sampled_from("'\";-:,*%_\\ $(){}|/<>=\n\0abcZ019"), st.characters(exclude_categories=["Cs"])),
    max_size=60,
)


@given(st.one_of(HOSTILE, st.builds(lambda name, rest: f"{name}:{rest}", st.sampled_from(NAMES), HOSTILE)))
@settings(max_examples=400, deadline=None)
def test_no_text_does_anything_but_ask(record, text):
    """Whatever is written, it is refused with a place, or it is one condition that finds some of the events."""
    try:
        rows = found(record, text)
    except QuestionError as error:
        assert error.problems[0].place.startswith("query")
        return
    assert set(rows) <= set(range(len(ROWS)))
    assert record.execute("SELECT count(*) FROM events").fetchone() == (len(ROWS),)


@given(st.sampled_from(["user", "path", "client", "rule", "text", "file", "agent"]), st.text(min_size=1, max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_value_can_be_asked_for_in_quotes(name, value):
    r"""In quotes, with \" and \\ inside, every text stands for itself."""
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    (term,) = parse(f'{name}:"{quoted}"', NOW).terms
    assert [test.text for test in term.what.tests] == [value]


@given(
    st.lists(st.sampled_from(["user:alice", "-decision:allowed", "disk", 'path:"/x y"', "status:>=400"]), max_size=8)
)
@settings(max_examples=50, deadline=None)
def test_blanks_do_not_matter(terms):
    """However many blanks part the terms, they are the same terms."""
    assert parse(" ".join(terms), NOW) == parse("  \t".join(["", *terms, ""]), NOW)


def test_values_are_never_part_of_the_sql():
    """The SQL of a condition consists of our own words: every value is a parameter of the prepared statement."""
    hostile = "x'); DROP TABLE events; --"
    for name in ("user", "path", "client", "rule"):
        asked = condition(parse(f'{name}:"{hostile}" "{hostile}" -{name}:"{hostile}"', NOW), clients)
        assert "DROP" not in asked.sql
        assert list(asked.parameters.values()) == [hostile] * 3


def test_every_column_can_be_asked_for():
    """Each column has a qualifier of its name, but for time, which has since: and until:."""
    for name, qualifier in QUALIFIERS.items():
        value = "1" if qualifier.compares else qualifier.choices[0] if qualifier.choices else "/x"
        value = "10.0.0.1" if name == "client" else value
        assert parse(f"{name}:{shlex.quote(value)}", NOW).terms[0].what.column == name
    assert "time" not in NAMES and {"since", "until"} <= set(NAMES)
