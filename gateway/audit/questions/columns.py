"""The columns that questions are asked of, taken from the lines of a segment: one projection, one schema.

Sealing writes it as Parquet; the engine reads the live end of a log with it. A header, a commit, half a line and what
is no JSON give no row. A field that does not hold what it should gives no value, and the rest of its line is read.

Not among the columns is `metadata.uid`: 80 random bits in every line would be a third of a file. A uid begins with the
milliseconds of its event, so it is found by its time (`gateway audit explain`). The Parquet file is derived and can be
made again at any time: what counts is the line.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

MEMORY: Final = "128MB"
_LINE: Final = 1024 * 1024  # bytes: the longest line that is looked at; one of ours has 8 KB at most
_ROWS: Final = 122_880  # rows of a group: a segment of 64 MiB, 36 000 to 130 000 events, is one or two
_YEARS: Final = (-62_135_596_800_000, 253_402_300_799_999)  # milliseconds of the years 1 to 9999

# What is read of a line; everything else in it is passed over. A name that SQL uses itself stands in quotes.
_SHAPE: Final = {
    "metadata": "STRUCT(sequence BIGINT, log_name VARCHAR, event_code VARCHAR, correlation_uid VARCHAR)",
    "time": "BIGINT",
    "severity_id": "TINYINT",
    "status_id": "TINYINT",
    "status_detail": "VARCHAR",
    "action_id": "TINYINT",
    "message": "VARCHAR",
    "count": "BIGINT",
    "duration": "BIGINT",
    "actor": 'STRUCT("user" STRUCT(uid VARCHAR), "session" STRUCT(uid VARCHAR))',
    "src_endpoint": "STRUCT(ip VARCHAR, uid VARCHAR, hostname VARCHAR)",
    "dst_endpoint": "STRUCT(hostname VARCHAR)",
    "http_request": "STRUCT(http_method VARCHAR, user_agent VARCHAR, url STRUCT(path VARCHAR), body_length BIGINT)",
    "http_response": "STRUCT(code SMALLINT, body_length BIGINT)",
    "url": "STRUCT(path VARCHAR)",
    "traffic": "STRUCT(bytes_in BIGINT, bytes_out BIGINT)",
    "policy": "STRUCT(version VARCHAR)",
    "entity_result": "STRUCT(version VARCHAR)",
    "firewall_rule": "STRUCT(uid VARCHAR)",
    "file": 'STRUCT("name" VARCHAR, "size" BIGINT, mime_type VARCHAR, hashes STRUCT("value" VARCHAR)[])',
    "unmapped": (
        "STRUCT(gateway STRUCT(phase VARCHAR, policy_digest VARCHAR, surface VARCHAR, page VARCHAR, status SMALLINT,"
        ' close_code INTEGER, user_agent VARCHAR, details JSON, inputs STRUCT("method" VARCHAR, message VARCHAR)))'
    ),
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, its type in SQL, where a line has it, and what it means to who asks."""

    name: str
    type: str
    expression: str
    meaning: str


_TIME: Final = f"CASE WHEN time BETWEEN {_YEARS[0]} AND {_YEARS[1]} THEN make_timestamp_ms(time) END"
_DECISION: Final = (
    "CASE action_id WHEN 1 THEN 'allowed' WHEN 2 THEN 'denied' WHEN 3 THEN 'observed' WHEN 4 THEN 'modified' END"
)


def _fact(name: str) -> str:
    """A number among an event's own facts."""
    return f"TRY_CAST(json_extract_string(unmapped.gateway.details, '$.{name}') AS BIGINT)"


COLUMNS: Final = (
    Column("time", "TIMESTAMP", _TIME, "when it was recorded, UTC"),
    Column("log", "VARCHAR", "metadata.log_name", "which log has it"),
    Column("sequence", "BIGINT", "metadata.sequence", "its place there"),
    Column("code", "VARCHAR", "metadata.event_code", "what kind of event"),
    Column("phase", "VARCHAR", "unmapped.gateway.phase", "decision, outcome, file, activity, …"),
    Column("request", "VARCHAR", "metadata.correlation_uid", "the request id, the same in all events of an exchange"),
    Column("user", "VARCHAR", 'actor."user".uid', "the principal"),
    Column("session", "VARCHAR", 'actor."session".uid', "fingerprint of the gateway's session"),
    Column(
        "client",
        "VARCHAR",
        "coalesce(src_endpoint.ip, src_endpoint.uid, src_endpoint.hostname)",
        "the client's address, or its pseudonym; of a command, the host",
    ),
    Column("host", "VARCHAR", "dst_endpoint.hostname", "the Host that was asked for"),
    Column(
        "method", "VARCHAR", 'coalesce(http_request.http_method, unmapped.gateway.inputs."method")', "the HTTP method"
    ),
    Column("path", "VARCHAR", "coalesce(http_request.url.path, url.path)", "the target, without the query string"),
    Column("page", "VARCHAR", "unmapped.gateway.page", "the page of the tool"),
    Column("surface", "VARCHAR", "unmapped.gateway.surface", "which part of the product"),
    Column("message", "VARCHAR", "unmapped.gateway.inputs.message", "of a judged message in a socket: its kind"),
    Column("decision", "VARCHAR", _DECISION, "allowed, denied, modified (sent to https), observed"),
    Column("reason", "VARCHAR", "status_detail", "the reason code"),
    Column("rule", "VARCHAR", "firewall_rule.uid", "the rule that decided"),
    Column("revision", "VARCHAR", "coalesce(policy.version, entity_result.version)", "the policy revision"),
    Column("digest", "VARCHAR", "unmapped.gateway.policy_digest", "SHA-256 of that revision"),
    Column("status", "SMALLINT", "coalesce(http_response.code, unmapped.gateway.status)", "the HTTP status"),
    Column("close_code", "INTEGER", "unmapped.gateway.close_code", "the close code of a socket"),
    Column("duration", "BIGINT", "duration", "how long the exchange took, in ms"),
    Column("bytes_in", "BIGINT", "coalesce(traffic.bytes_in, http_request.body_length)", "bytes that came in"),
    Column("bytes_out", "BIGINT", "coalesce(traffic.bytes_out, http_response.body_length)", "bytes that went out"),
    Column("severity", "TINYINT", "severity_id", "1 informational, 2 low, 3 medium, 4 high"),
    Column("failed", "BOOLEAN", "status_id = 2", "whether it did not succeed"),
    Column("file", "VARCHAR", 'file."name"', "a file's name"),
    Column("file_size", "BIGINT", 'file."size"', "its bytes"),
    Column("file_type", "VARCHAR", "file.mime_type", "its declared type"),
    Column("sha256", "VARCHAR", 'file.hashes[1]."value"', "its content"),
    Column("reports", "BIGINT", '"count"', "of a finding: how many reports it stands for"),
    Column("runs", "BIGINT", _fact("runs"), "of what happened in a socket: runs of the script"),
    Column("run_ms", "BIGINT", _fact("run_ms"), "how long they took together, in ms"),
    Column("longest_run_ms", "BIGINT", _fact("longest_run_ms"), "how long the longest of them took, in ms"),
    Column("agent", "VARCHAR", "coalesce(http_request.user_agent, unmapped.gateway.user_agent)", "the user agent"),
    Column("text", "VARCHAR", "message", "a sentence, in events that are not about an exchange"),
    Column("details", "VARCHAR", "CAST(unmapped.gateway.details AS VARCHAR)", "the event's own facts, as JSON"),
)

NAMES: Final = tuple(column.name for column in COLUMNS)
_ALL: Final = ", ".join(f'"{name}"' for name in NAMES)
_EMPTY: Final = ", ".join(f'CAST(NULL AS {column.type}) AS "{column.name}"' for column in COLUMNS)
NOTHING_SQL: Final = f"SELECT {_EMPTY} WHERE false"
"""The columns, and no event."""


def writer() -> duckdb.DuckDBPyConnection:
    """A connection for `write_parquet`: in memory, one thread, bounded, without spilling to a disk that may be full."""
    return duckdb.connect(":memory:", config={"threads": 1, "memory_limit": MEMORY, "temp_directory": ""})


def lines_sql(source: Path, *, before: int | None = None) -> str:
    """The SELECT that reads the events of a `.jsonl` or `.jsonl.zst` in columns.

    `before`: only events with a smaller sequence, such as those that a commit has made durable.
    """
    shape = ", ".join(f'"{name}": {quoted(kind)}' for name, kind in _SHAPE.items())
    selected = ", ".join(f'CAST({column.expression} AS {column.type}) AS "{column.name}"' for column in COLUMNS)
    wanted = (
        "metadata.sequence >= 0" if before is None else f"metadata.sequence >= 0 AND metadata.sequence < {before:d}"
    )
    read = f"""read_json({quoted(str(source))}, format = 'newline_delimited', ignore_errors = true,
        maximum_object_size = {_LINE}, columns = {{{shape}}})"""
    return f"SELECT {selected} FROM {read} WHERE {wanted} AND time IS NOT NULL"  # noqa: S608 - names of our own


def parquet_sql(sources: Sequence[Path], *, tolerant: bool = False) -> str:
    """The SELECT that reads the events of Parquet files in the same columns.

    `tolerant`: also of files that an earlier version has made. A column that one lacks is empty there.
    """
    files = ", ".join(quoted(str(source)) for source in sources)
    if not tolerant:
        return f"SELECT {_ALL} FROM read_parquet([{files}])"  # noqa: S608 - names of our own
    every = f"SELECT * FROM read_parquet([{files}], union_by_name = true)"  # noqa: S608 - names of our own
    return f"SELECT {_ALL} FROM ({NOTHING_SQL} UNION ALL BY NAME {every})"  # noqa: S608 - the same


def write_parquet(connection: duckdb.DuckDBPyConnection, source: Path, target: Path) -> int:
    """Write the events of a segment (`.jsonl` or `.jsonl.zst`) as Parquet, and say how many they are.

    The file is there complete or not at all, on the disk when this returns, mode 0400: ZSTD, sorted by sequence.
    Measured: 23 bytes an event; 0.4 s and 160 MB of memory for 64 MiB of lines.

    Raises:
        duckdb.Error: the source cannot be read, or the target not be written.
        OSError: the target cannot be put in its place.
    """
    unfinished = target.with_name(f".{target.name}.new")
    unfinished.unlink(missing_ok=True)
    try:
        found = connection.execute(
            f"COPY ({lines_sql(source)} ORDER BY sequence) TO {quoted(str(unfinished))}"
            f" (FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2, ROW_GROUP_SIZE {_ROWS})"
        ).fetchone()
        _put_in_place(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)
    return int(found[0]) if found else 0


def quoted(text: str) -> str:
    """The text as a literal of SQL. Only for names of our own making: what somebody asks for is a parameter."""
    return "'" + text.replace("'", "''") + "'"


def _put_in_place(unfinished: Path, target: Path) -> None:
    descriptor = os.open(unfinished, os.O_RDONLY)
    try:
        os.fchmod(descriptor, 0o400)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    unfinished.replace(target)
