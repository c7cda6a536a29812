"""What the built-in questions cost over a large record: `python -m benchmarks.questions --events 5000000`.

A few sealed segments of realistic traffic are made, and copied with other times, users, sessions and requests until
there are enough events. Then each question of the list is asked over all of it, in turns, each time by a fresh engine
as a command does it: its opening is part of the time, the start of the process is not. The files are in the page cache.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from random import Random
from typing import Annotated, Any

import duckdb
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.traffic import BEGIN, traffic
from gateway.audit import Event, Stamp, lifecycle, policy_change, script_error
from gateway.audit.activity import Happening, happened
from gateway.audit.directory import SegmentFiles
from gateway.audit.events import Violation, csp_violation
from gateway.audit.exchanges import message
from gateway.audit.files import Transfer, transferred
from gateway.audit.questions.asked import SHOWN, Asked, built_in, counts, events, histogram
from gateway.audit.questions.builtin import QUESTIONS
from gateway.audit.questions.columns import write_parquet, writer
from gateway.audit.questions.conditions import condition
from gateway.audit.questions.engine import Engine, Limits
from gateway.audit.questions.language import parse
from gateway.audit.stamp import ulid
from gateway.model import (
    Allow,
    Client,
    Deny,
    ExchangeOpened,
    Method,
    PolicyRef,
    Principal,
    Provenance,
    Reason,
    RequestContext,
    Surface,
)

AIM = 250.0  # milliseconds
PER_SEGMENT = 45_000  # what 64 MiB hold
SPAN = 6 * 3_600_000  # milliseconds of one segment
KINDS = 3  # segments that differ, before they are copied
_POLICY = PolicyRef("0007", f"sha256:{'9b1d0c3e' * 8}")
_LOG = b'"cdc98f98a35fa360/w0"'
_USER = "user007@corp.example"

# A copy: later, by other people, with requests of its own. Its share of people is new, the others come again.
_COPY = """
    COPY (SELECT * REPLACE (
            time + INTERVAL ({later}) MILLISECOND AS time, sequence + {first} AS sequence,
            md5(request || '{number}') AS request, substr(md5(session || '{number}'), 1, 16) AS session,
            CASE WHEN starts_with("user", 'user') THEN
                format('user{{:03d}}@corp.example', (CAST(substr("user", 5, 3) AS INTEGER) + {number} * 7) % 600)
            ELSE "user" END AS "user",
            CASE WHEN starts_with(client, '10.') THEN '10.' || ({number} % 50) || substr(client, 5)
            ELSE client END AS client)
        FROM read_parquet('{source}') ORDER BY sequence)
    TO '{target}' (FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2, ROW_GROUP_SIZE 122880)
"""


def main(
    *,
    events_: Annotated[int, typer.Option("--events", help="How many events the record has.")] = 5_000_000,
    rounds: Annotated[int, typer.Option(help="How often each question is asked.")] = 5,
    directory: Annotated[Path | None, typer.Option(help="Where the record is made, and kept.")] = None,
    measure: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Measure every built-in question over a record of this size."""
    if measure and directory is not None:
        print(json.dumps(measured(directory, rounds)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        record = directory or Path(temporary)
        begun = time.monotonic()
        made = generate(record, events_)
        size = sum(path.stat().st_size for path in record.glob("*.parquet"))
        console = Console()
        sealed = made - PER_SEGMENT // 2
        console.print(
            f"{sealed} sealed events, {size / sealed:.1f} bytes each in columns, and {made - sealed} live ones"
        )
        console.print(f"made in {time.monotonic() - begun:.0f} s")
        command = [sys.executable, "-m", "benchmarks.questions", "--measure", "--directory", str(record)]
        done = subprocess.run([*command, "--rounds", str(rounds)], check=True, capture_output=True, text=True)
        _show(console, json.loads(done.stdout))


# --- the record -----------------------------------------------------------------------------------------------


def generate(directory: Path, count: int) -> int:
    """A log with at least `count` events in sealed segments; what is there already is kept."""
    directory.mkdir(parents=True, exist_ok=True)
    copies = -(-count // PER_SEGMENT)
    originals = [_original(directory, number) for number in range(KINDS)]
    with duckdb.connect(config={"threads": 2, "memory_limit": "1GB"}) as connection:
        for number in range(copies):
            segment = SegmentFiles(directory, number * PER_SEGMENT)
            if not segment.seal.exists():
                source = originals[number % KINDS]
                sql = _COPY.format(
                    later=number * SPAN, first=segment.start, number=number, source=source, target=segment.columns
                )
                connection.execute(sql)
                segment.seal.write_text("{}")
    return copies * PER_SEGMENT + _live(directory, copies)


def _live(directory: Path, copies: int) -> int:
    """The segment that is being written: half full, plain lines, later than all others."""
    live = SegmentFiles(directory, copies * PER_SEGMENT)
    count = PER_SEGMENT // 2
    if not live.lines.exists():
        begin = BEGIN + copies * SPAN
        with live.lines.open("wb") as file:
            for number, event in enumerate(islice(_mixed(KINDS, begin), count)):
                file.write(event.line(live.start + number, _LOG, b'"before"') + b"\n")
            file.write(b'{"cp":%d,"root":"","sig":""}\n' % (live.start + count))
    return count


def _original(directory: Path, number: int) -> Path:
    target = directory / f"original-{number}"
    if not target.exists():
        lines = directory / "original.jsonl"
        with lines.open("wb") as file:
            for sequence, event in enumerate(_mixed(number)):
                file.write(event.line(sequence, _LOG, b'"before"') + b"\n")
        with writer() as connection:
            write_parquet(connection, lines, target)
        lines.unlink()
    return target


def _mixed(seed: int, begin: int = BEGIN) -> Iterator[Event]:
    """Traffic, and among it what happens in sockets, files, refusals, errors, and the record's own life."""
    random = Random(seed)
    made = 0
    for event in traffic(PER_SEGMENT, seed=seed, begin=begin, span=SPAN):
        if made >= PER_SEGMENT:
            return
        yield event
        made += 1
        if made < PER_SEGMENT and random.random() < 0.12:
            yield _rarer(event.time, random)
            made += 1


def _rarer(at: int, random: Random) -> Event:
    stamp = Stamp(at, ulid(at, random.getrandbits(80)))
    who = Principal(f"user{random.randrange(200):03d}@corp.example", Method.OIDC)
    page = f"/{random.choice(('ledger', 'risk', 'desk'))}/{random.choice('abcdefghij')}"
    begun = _socket(who, at, random)
    chance = random.random()
    if chance < 0.8:
        facts = {"reruns": random.randrange(9), "runs": random.randrange(1, 9), "run_ms": random.randrange(4000)}
        facts |= {"longest_run_ms": random.randrange(2000), "bytes_out": random.randrange(99_999)}
        return happened(Happening(begun, "socket.activity", page, facts | {"actions": ["button pay x3"]}), stamp)
    if chance < 0.88:
        name, kind = random.choice((("report.xlsx", "application/x"), ("figures.csv", "text/csv")))
        file = Transfer(
            random.choice(("upload", "download")), name, random.randrange(10**7), random.randbytes(32).hex(), kind
        )
        return transferred(file, begun, stamp)
    if chance < 0.92:
        return script_error("ValueError", f"{random.randrange(50):016x}", who, stamp, page=page)
    if chance < 0.96:
        refused = replace(begun.context, surface=Surface.MESSAGE, message="clear_cache", page=page)
        decision = Deny(Reason.MESSAGE_NOT_ALLOWED, _POLICY)
        return message(replace(begun, context=refused, decision=decision), stamp)
    if chance < 0.99:
        violation = Violation(page, "img-src", f"https://cdn{random.randrange(9)}.example")
        return csp_violation(violation, who, begun.context.session, _POLICY, stamp, count=random.randrange(1, 9))
    if chance < 0.995:
        return lifecycle("audit.suppressed", "events were lost", {"count": 3}, stamp)
    return policy_change(_POLICY, PolicyRef("0008", _POLICY.digest), who, {}, stamp)


def _socket(who: Principal, at: int, random: Random) -> ExchangeOpened:
    context = RequestContext(
        received_at=datetime.fromtimestamp(at / 1000, UTC),
        kind="websocket",
        peer="10.9.9.9",
        client=Client(f"10.{random.randrange(40)}.1.{random.randrange(200)}", Provenance.FORWARDED),
        scheme="https",
        method="GET",
        path="/_stcore/stream",
        surface=Surface.STREAM,
        host="tools.corp.example",
        origin="https://tools.corp.example",
        principal=who,
        session=random.randbytes(8).hex(),
    )
    decision = Allow(Reason.ALLOWED_BY_RULE, _POLICY, "staff")
    return ExchangeOpened(random.randbytes(16).hex(), context, decision, "1.1", 50_000)


# --- the questions --------------------------------------------------------------------------------------------


def _asked() -> dict[str, str]:
    """Each question by its name: what is written behind `gateway audit query`."""
    user = f"user:{_USER}"
    listed = {each.name: user if each.needs else "" for each in QUESTIONS}
    return listed | {
        "newest 100, all columns": "",
        "newest 100 of a user": user,
        "newest 100 of a network": "client:10.7.0.0/16",
        "one request": "",
        "by rule": "",
        "histogram by day": "",
        "a free text": "clear_cache",
    }


def measured(directory: Path, rounds: int) -> dict[str, Any]:
    """How many milliseconds each question took in each round, and the most memory of this process."""
    took: dict[str, list[float]] = {name: [] for name in _asked()}
    for _ in range(rounds):
        for name, text in _asked().items():
            took[name].append(_ask(directory, name, text))
    return {"took": took, "peak": _peak()}


def _peak() -> float:
    """The most memory of this process, in MB. `getrusage` would count its parent's, too: it survives `exec`."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def _ask(directory: Path, name: str, text: str) -> float:
    begun = time.perf_counter()
    with Engine.of([directory], Limits()) as engine:
        asked = prepared(engine, name, text)
        list(engine.ask(asked.sql, asked.parameters).rows)
    return (time.perf_counter() - begun) * 1000


def prepared(engine: Engine, name: str, text: str) -> Asked:
    """The question of this name over everything that there is."""
    begin = datetime.fromtimestamp(BEGIN / 1000, UTC)
    query = parse("request:0123456789abcdef0123456789abcdef" if name == "one request" else text, begin)
    query = replace(query, since=begin - timedelta(days=1))
    where = condition(query, engine.clients)
    for question in QUESTIONS:
        if question.name == name:
            return built_in(question, query, where, 100)
    if name == "by rule":
        return counts(query, where, "rule", 100)
    if name == "histogram by day":
        return histogram(query, where, "day", 100)
    return events(query, where, SHOWN, 100)


def _show(console: Console, found: dict[str, Any]) -> None:
    table = Table("question", "median ms", "worst ms", box=None)
    for name, took in found["took"].items():
        median = statistics.median(took)
        style = "red" if median > AIM else ""
        table.add_row(name, f"{median:.0f}", f"{max(took):.0f}", style=style)
    console.print(table)
    console.print(f"peak memory {found['peak']:.0f} MB; aim: median at most {AIM:.0f} ms within 256 MB of the engine")


if __name__ == "__main__":
    typer.run(main)
