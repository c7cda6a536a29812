"""The columns of the record: what a line says, and what is no event."""

import stat
from datetime import UTC, datetime

import duckdb
import pytest

from gateway.audit import Stamp, closed, lifecycle, opened, policy_change, script_error
from gateway.audit.activity import Happening, happened
from gateway.audit.events import Violation, csp_violation
from gateway.audit.files import Transfer, transferred
from gateway.audit.questions.columns import COLUMNS, NAMES, lines_sql, parquet_sql, write_parquet, writer
from gateway.model import PolicyRef, Principal, Surface
from tests.audit.samples import DENY, POLICY, STAFF, STAMP, end, exchange, line, socket

HEADER = b'{"log":"gateway-audit/2","origin":"o","start":0,"created":1,"stack":[],"vkey":"v","roll":null}\n'
COMMIT = b'{"cp":1,"root":"nrL9ImJ8e0i0r1KBN5Iu2mJO7FUovJVc7meItLBprZ8=","sig":"GNTl"}\n'

ACTIVITY = happened(Happening(socket(), "socket.activity", "/x", {"runs": 4, "run_ms": 900}), STAMP)
VIOLATION = Violation("/x", "img-src", "https://evil.example")


def segment(tmp_path, *events, end=b""):
    path = tmp_path / "seg-000000000000.jsonl"
    body = b"".join(line(event, number) + b"\n" for number, event in enumerate(events))
    path.write_bytes(HEADER + COMMIT + body + COMMIT + end)
    return path


def rows(sql):
    with writer() as connection:
        return [dict(zip(NAMES, row, strict=True)) for row in connection.execute(sql).fetchall()]


def of(tmp_path, event):
    return rows(lines_sql(segment(tmp_path, event)))[0]


def test_a_refusal_says_who_where_what_and_why(tmp_path):
    """A decision has its time in UTC, the client, the user, the target, the reason, the rule and the revision."""
    found = of(tmp_path, opened(exchange(DENY, principal=STAFF), STAMP))
    assert found["time"] == datetime.fromtimestamp(STAMP.time / 1000, UTC).replace(tzinfo=None)
    expected = {
        "log": "gw.example/audit/a1/0",
        "sequence": 0,
        "code": "http.request",
        "phase": "decision",
        "request": "req-7f3a9c2e51d04b6a",
        "user": "j.doe@example.com",
        "session": "5b0e77a1c2d94f30",
        "client": "10.20.30.40",
        "host": "tools.example.internal",
        "method": "GET",
        "path": "/ledger",
        "page": "/ledger",
        "surface": "page",
        "decision": "denied",
        "reason": "no-rule-matched",
        "rule": None,
        "revision": "0007",
        "digest": POLICY.digest,
        "severity": 2,
        "failed": True,
        "status": None,
    }
    assert {name: found[name] for name in expected} == expected


EVENTS = [
    ("an answer", closed(end(exchange(), status=304, latency=9, bytes_in=7, bytes_out=11), STAMP),
     {"phase": "outcome", "status": 304, "duration": 9, "bytes_in": 7, "bytes_out": 11, "rule": "staff"}),
    ("a socket's end", closed(end(socket(), status=101, close_code=4403, bytes_in=3, bytes_out=5), STAMP),
     {"code": "ws.close", "status": 101, "close_code": 4403, "bytes_in": 3, "bytes_out": 5, "path": "/_stcore/stream"}),
    ("a message", opened(socket(DENY, surface=Surface.MESSAGE, message="clear_cache"), STAMP),
     {"message": "clear_cache", "surface": "message", "method": "GET"}),
    ("what happened in a socket", ACTIVITY,
     {"code": "socket.activity", "page": "/x", "runs": 4, "run_ms": 900, "longest_run_ms": None}),
    ("a method that OCSF does not know", opened(exchange(DENY, method="BREW"), STAMP), {"method": "BREW"}),
    ("a file", transferred(Transfer("upload", "a.csv", 12, "ab" * 32, "text/csv"), exchange(), STAMP),
     {"code": "file.upload", "file": "a.csv", "file_size": 12, "file_type": "text/csv", "sha256": "ab" * 32}),
    ("another policy", policy_change(POLICY, PolicyRef("0008", "sha256:1"), Principal(), {}, STAMP),
     {"revision": "0008", "text": "policy revision 0008 is active", "decision": None}),
    ("a script that raised", script_error("ValueError", "ab12", STAFF, STAMP, page="/x", request_id="r"),
     {"user": "j.doe@example.com", "page": "/x", "request": "r", "failed": True,
      "details": '{"exception":"ValueError","frames":"ab12"}'}),
    ("a finding", csp_violation(VIOLATION, Principal(), "s1", POLICY, STAMP, count=4, since=1),
     {"reports": 4, "page": "/x", "text": "img-src blocked https://evil.example", "session": "s1"}),
    ("the record's own life", lifecycle("audit.suppressed", "lost", {"count": 3}, STAMP),
     {"severity": 4, "failed": True, "user": None, "text": "lost", "details": '{"count":3}'}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "event", "expected"), EVENTS, ids=[row[0] for row in EVENTS])
def test_every_kind_of_event_has_its_columns(tmp_path, name, event, expected):
    """What an event says about itself stands in the same column whatever its class."""
    found = of(tmp_path, event)
    assert {column: found[column] for column in expected} == expected


def test_parquet_holds_what_the_lines_say(tmp_path):
    """The derived file has the same rows in the same columns, in the order of the log, and is closed to others."""
    source, target = segment(tmp_path, *(event for _, event, _ in EVENTS)), tmp_path / "seg-000000000000.parquet"
    with writer() as connection:
        assert write_parquet(connection, source, target) == len(EVENTS)
        columns = connection.execute(f"DESCRIBE {lines_sql(source)}").fetchall()
        assert connection.execute(f"DESCRIBE {parquet_sql([target])}").fetchall() == columns
    assert rows(parquet_sql([target])) == rows(lines_sql(source)) != []
    assert stat.S_IMODE(target.stat().st_mode) == 0o400
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


NO_EVENTS = {
    "half a line": b'{"metadata":{"sequence":9},"time":17900000',
    "a whole line without its end": b'{"cp":9,"root":"x","sig":"y"}',
    "zeros of a lost block": b"\0" * 4096,
    "no JSON": b"what is this\n",
    "no object": b'[1]\nnull\n"x"\n',
    "an event without a sequence": b'{"metadata":{},"time":1}\n',
    "an event without a time": b'{"metadata":{"sequence":9}}\n',
    "metadata of another kind": b'{"metadata":7,"time":1}\n',
}


@pytest.mark.parametrize("rest", NO_EVENTS.values(), ids=NO_EVENTS)
def test_what_is_no_event_is_no_row(tmp_path, rest):
    """Headers, commits, a torn end and foreign lines give no row, and keep no other from being read."""
    source = segment(tmp_path, opened(exchange(), STAMP), end=rest)
    assert [row["sequence"] for row in rows(lines_sql(source))] == [0]


def test_a_field_of_another_kind_hides_nothing_else(tmp_path):
    """A value that is not what it should be is empty; the rest of its line is read."""
    damaged = line(opened(exchange(DENY), STAMP), 1).replace(b'"action_id":2', b'"action_id":"two"')
    late = line(opened(exchange(DENY), Stamp(10**17, STAMP.uid)), 2)
    source = segment(tmp_path, opened(exchange(), STAMP), end=damaged + b"\n" + late + b"\n")
    found = rows(lines_sql(source))
    assert [(row["sequence"], row["decision"], row["time"] is None) for row in found] == [
        (0, "allowed", False),
        (1, None, False),
        (2, "denied", True),
    ]


def test_events_behind_a_commit_can_be_left_out(tmp_path):
    """`before` stops where the log has promised nothing yet."""
    source = segment(tmp_path, *(opened(exchange(), STAMP) for _ in range(3)))
    assert [row["sequence"] for row in rows(lines_sql(source, before=2))] == [0, 1]


def test_files_of_an_earlier_version_are_read_with_what_they_have(tmp_path):
    """A column that an old file lacks is empty there; one that we no longer know is passed over."""
    new, old = tmp_path / "new.parquet", tmp_path / "old.parquet"
    with writer() as connection:
        write_parquet(connection, segment(tmp_path, opened(exchange(principal=STAFF), STAMP)), new)
        connection.execute(f"COPY (SELECT TIMESTAMP '2026-01-01' AS time, 'old' AS code, 1 AS gone) TO '{old}'")
    assert [(row["code"], row["user"]) for row in rows(parquet_sql([old, new], tolerant=True))] == [
        ("old", None),
        ("http.request", "j.doe@example.com"),
    ]
    with pytest.raises(duckdb.Error):
        rows(parquet_sql([old], tolerant=False))


def test_a_segment_that_cannot_be_read_leaves_no_file(tmp_path):
    """Without a source there is no target, and nothing half done beside it."""
    with writer() as connection, pytest.raises(duckdb.Error):
        write_parquet(connection, tmp_path / "missing.jsonl", tmp_path / "out.parquet")
    assert list(tmp_path.iterdir()) == []


def test_parquet_is_small(tmp_path):
    """An event takes less than 35 bytes in columns, so the sealed record stays below 100 bytes an event."""
    events = []
    for number in range(4000):
        at = Stamp(STAMP.time + number * 7, STAMP.uid)
        made = exchange(
            request_id=f"{number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}", session=f"{number % 97:016x}"
        )
        events += [opened(made, at), closed(end(made, latency=number % 50, bytes_out=number % 9000), at)]
    target = tmp_path / "out.parquet"
    with writer() as connection:
        write_parquet(connection, segment(tmp_path, *events), target)
    assert target.stat().st_size / len(events) < 35


def test_every_column_says_what_it_means():
    """Names are words of lower case, each once, each explained."""
    assert len(set(NAMES)) == len(NAMES)
    assert all(name.replace("_", "").isalnum() and name == name.lower() for name in NAMES)
    assert all(column.meaning for column in COLUMNS)
