"""The engine over a real record: sealed, live and pruned segments of several logs, and nothing besides."""

import json
import shutil
import time
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from gateway.audit import Durability, Ledger, closed, opened, script_error, stamp
from gateway.audit.directory import known
from gateway.audit.mask_keys import masks_of
from gateway.audit.questions.again import Again, Impossible, judge, recorded
from gateway.audit.questions.engine import Engine, Limits
from gateway.audit.questions.errors import QuestionError
from gateway.audit.questions.find import Finder
from gateway.audit.questions.sources import durable_end, gone, sources
from gateway.audit.reader import logs
from gateway.audit.retention import prune
from gateway.cli.audit import app
from gateway.cli.audit.pseudonyms import Pseudonyms
from gateway.model import ExchangeClosed, ExchangeOpened
from gateway.policy.decide import decide
from tests.audit.asked_record import ALICE, BOB, context, of_revision, policies
from tests.audit.logs import OPTIONS, plain, seal, write

COUNT = 1500
EVERY = "SELECT list(sequence ORDER BY sequence) FROM events"


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    """A log whose finished segments are sealed and in columns; the last one is being written."""
    directory = tmp_path_factory.mktemp("sealed") / "audit" / "main" / "w0"
    write(directory, COUNT)
    seal(directory)
    assert len(plain(directory)) == 1 and len(list(directory.glob("*.parquet"))) >= 2
    return directory


@pytest.fixture
def log(sealed, tmp_path):
    """A copy that may be changed."""
    return shutil.copytree(sealed, tmp_path / "audit" / "main" / "w0")


def ask(directories, sql=EVERY, **options):
    with Engine.of(directories, **options) as engine:
        return list(engine.ask(sql).rows)


def total(directory):
    return max(durable_end(path) for path in directory.glob("seg-*.jsonl"))


# --- what is read ---------------------------------------------------------------------------------------------


def test_each_event_is_there_once(sealed):
    """Sealed segments from their columns, the live one from its lines: every event, none twice."""
    assert ask([sealed]) == [(list(range(total(sealed))),)]
    kinds = [source.path.suffix for source in sources([sealed])]
    assert kinds[0] == ".jsonl" and set(kinds[1:]) == {".parquet"}


def test_what_is_signed_for_can_be_asked_instead(sealed):
    """Without the columns the sealed lines themselves are read, and say the same."""
    same = "SELECT * FROM events ORDER BY sequence"
    assert ask([sealed], same, derived=False) == ask([sealed], same)
    assert {source.path.suffix for source in sources([sealed], derived=False)} == {".zst", ".jsonl"}


def test_columns_that_are_gone_are_not_missed(log):
    """The columns are derived: without them a segment's sealed lines are read."""
    (first, *_) = sorted(log.glob("*.parquet"))
    first.unlink()
    assert ask([log]) == [(list(range(total(log))),)]


def test_columns_of_a_segment_that_is_not_sealed_are_not_read(log):
    """A sealing that was interrupted leaves columns without a seal: then the lines count."""
    live = known(log)[-1]
    live.columns.write_bytes(b"half of a file")
    assert ask([log]) == [(list(range(total(log))),)]


def test_lines_beside_their_seal_are_read_once(log):
    """Between the seal and the removal of the lines both are there: the events are read once."""
    (first, *_) = [each for each in known(log) if each.seal.exists()]
    first.lines.write_bytes(b"the plain lines, to be removed next\n")
    assert ask([log]) == [(list(range(total(log))),)]


def test_columns_of_an_earlier_version_are_read_with_the_others(log):
    """A file that has not every column of this version keeps no other from being read."""
    (first, *_) = sorted(log.glob("*.parquet"))
    old = first.with_suffix(".old")
    duckdb.sql(
        f"COPY (SELECT * EXCLUDE (agent, details), 7 AS gone FROM read_parquet('{first}')) TO '{old}' (FORMAT parquet)"
    )
    old.replace(first)
    assert ask([log]) == [(list(range(total(log))),)]
    assert ask([log], "SELECT count(agent) > 0 FROM events") == [(True,)]


def test_logs_of_several_processes_are_one_view(sealed, tmp_path):
    """Workers and replicas are asked together; `log` tells whose an event is."""
    other = tmp_path / "audit" / "main" / "w1"
    write(other, 10, origin="test/w1")
    found = ask([sealed, other], "SELECT log, count(*) FROM events GROUP BY log ORDER BY log")
    assert found == [("test/w0", total(sealed)), ("test/w1", total(other))]
    assert logs(tmp_path) == [other]


def test_a_log_without_events_is_asked_in_vain(tmp_path):
    """No segment at all is an empty view, not an error."""
    assert ask([tmp_path]) == [(None,)]


def test_what_was_pruned_is_known_to_be_gone(log):
    """Pruned events are in no answer, and it is known how many there were and up to when."""
    with Ledger.open(log, origin="test/w0", options=OPTIONS) as ledger:
        before = 1_700_000_000_000 + COUNT * 1000 - 600_000
        pruned = prune(log, before, "test", lambda event: ledger.append(event, Durability.BEFORE).wait(5))
    (found,) = gone([log])
    assert (found.log, found.events) == ("test/w0", sum(each.end - each.start for each in pruned))
    assert found.events > 0 and found.latest < before
    ((left,),) = ask([log])
    assert left == list(range(found.events, total(log)))
    for since, told in (("2020-01-01", True), ("1h", False)):
        shown = CliRunner().invoke(app, ["query", "--state-dir", str(log.parents[2]), "--unrecorded", "--since", since])
        assert (f"test/w0: {found.events} events up to" in shown.stderr) is told


# --- the live end ---------------------------------------------------------------------------------------------

ENDS = {
    "half a line": b'{"metadata":{"sequence":',
    "an event that no commit signs for": b'{"metadata":{"sequence":9999},"time":1}\n',
    "half a commit": b'{"metadata":{"sequence":9999},"time":1}\n{"cp":10000,"root":"x',
    "zeros": b"\0" * 5000,
    "more than is looked at first": b'{"metadata":{"sequence":9999},"time":1}\n' * 9000,
}


@pytest.mark.parametrize("rest", ENDS.values(), ids=ENDS)
def test_a_torn_end_is_not_read(tmp_path, rest):
    """What no complete commit signs for is no data, and fails no question."""
    directory = tmp_path / "w0"
    write(directory, 20)
    (segment,) = directory.glob("seg-*.jsonl")
    before = durable_end(segment)
    with segment.open("ab") as file:
        file.write(rest)
    assert durable_end(segment) == before == 20
    assert ask([directory]) == [(list(range(before)),)]


def test_a_log_is_asked_while_it_is_written(tmp_path):
    """Every acknowledged event is in the next answer, at once."""
    with Ledger.open(tmp_path / "w0", origin="o/w0", options=OPTIONS) as ledger:
        for number in range(5):
            ledger.append(opened(exchange_of(f"r{number}"), stamp()), Durability.BEFORE).wait(5)
            found = ask([tmp_path / "w0"], "SELECT count(*) FROM events WHERE starts_with(request, 'r')")
            assert found == [(number + 1,)]


def test_sealing_meanwhile_changes_no_answer(tmp_path):
    """An engine that was opened before segments were sealed finds every event after it, once."""
    directory = tmp_path / "w0"
    write(directory, COUNT)
    with Engine.of([directory]) as engine:
        before = list(engine.ask(EVERY).rows)
        seal(directory)
        assert list(directory.glob("*.parquet"))
        assert list(engine.ask(EVERY).rows) == before == [(list(range(total(directory))),)]


def exchange_of(request):
    from tests.audit.samples import exchange

    return exchange(request_id=request)


# --- what it may do -------------------------------------------------------------------------------------------

FORBIDDEN = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('{log}/keys/current')",
    "SELECT * FROM read_blob('{log}/LOCK')",
    "SELECT * FROM glob('{log}/*')",
    "SELECT * FROM '{log}/seg-000000000000.seal'",
    "COPY events TO '{log}/stolen.csv'",
    "COPY (SELECT 1) TO '/tmp/stolen.parquet'",
    "ATTACH '{log}/other.db'",
    "EXPORT DATABASE '{log}/stolen'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "SET allowed_directories = ['/']",
    "SET memory_limit = '100GB'",
    "RESET lock_configuration",
    "PRAGMA enable_external_access",
    "SELECT * FROM sealed",
]


@pytest.mark.parametrize("sql", FORBIDDEN)
def test_the_engine_opens_nothing_but_the_segments(sealed, sql):
    """Whatever the SQL: no other file, no network, no extension, no setting, no variable of this process."""
    with Engine.of([sealed]) as engine, pytest.raises(QuestionError):
        list(engine.ask(sql.replace("{log}", str(sealed))).rows)
    assert not list(sealed.glob("stolen*")) and not Path("/tmp/stolen.parquet").exists()


def test_limits_are_kept(sealed):
    """A question ends in its time and within its memory, and the engine answers the next one."""
    with Engine.of([sealed], Limits(seconds=0.2)) as engine:
        begun = time.monotonic()
        with pytest.raises(QuestionError, match="no answer within"):
            list(engine.ask("SELECT sum(sin(range)) FROM range(1000000000000)").rows)
        assert time.monotonic() - begun < 5
    with Engine.of([sealed], Limits(megabytes=64)) as engine:
        with pytest.raises(QuestionError, match="more than 64 MB of memory"):
            list(engine.ask("SELECT list(i) FROM range(100000000) t(i)").rows)
        assert list(engine.ask("SELECT 1").rows) == [(1,)]


def test_an_answer_has_as_many_rows_as_were_asked_for(sealed):
    """`most` ends an answer; its columns have names and types."""
    with Engine.of([sealed]) as engine:
        answer = engine.ask("SELECT sequence, time FROM events", most=7)
        assert [(column.name, column.type) for column in answer.columns] == [
            ("sequence", "BIGINT"),
            ("time", "TIMESTAMP"),
        ]
        assert len(list(answer.rows)) == 7


# --- what is masked -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    """A record in which users and clients stand as pseudonyms."""
    state = tmp_path_factory.mktemp("masked")
    state.chmod(0o700)
    policy = of_revision(policies(state / "policies"), "0001")
    masks = masks_of(state, ("user", "client", "session"), 90)
    with Ledger.open(state / "audit" / "main" / "w0", origin="main/w0") as ledger:
        for request, principal in (("req-alice", ALICE), ("req-bob", BOB)):
            asked = context(principal=principal)
            begun = ExchangeOpened(request, asked, decide(policy, asked), "1.1", 1)
            ledger.append(opened(begun, stamp(), masks), Durability.BEFORE)
            end = ExchangeClosed(begun, begun.decision.reason, 200, 1, 2, 3)
            ledger.append(closed(end, stamp(), masks), Durability.BEFORE)
        ledger.append(script_error("E", "f", BOB, stamp(), masks=masks), Durability.BEFORE).wait(5)
    return state, policy


def test_a_known_name_finds_its_pseudonyms(masked):
    """Who knows a name, and may read the keys, finds the events in which it stands masked; nobody else does."""
    state, _ = masked
    names = Pseudonyms([state])
    (directory,) = logs(state)
    with Engine.of([directory]) as engine:
        stored = [row[0] for row in engine.ask('SELECT DISTINCT "user" FROM events WHERE "user" IS NOT NULL').rows]
        assert all(name.startswith("hmac:") for name in stored) and len(stored) == 2
        for column, value, count in (
            ("user", BOB.id, 3),
            ("client", "203.0.113.7", 4),
            ("session", context().session, 4),
        ):
            found = names(column, value)
            sql = f'SELECT count(*) FROM events WHERE "{column}" IN (SELECT unnest($names::VARCHAR[]))'
            assert list(engine.ask(sql, {"names": found}).rows) == [(count,)], column
    assert names("client", "a-host-of-a-command") == []
    assert Pseudonyms([state / "nothing"])("user", BOB.id) == []


def test_a_masked_decision_is_made_again_only_when_that_is_exact(masked):
    """A masked client matters where rules ask for networks: then the decision cannot be made again, and it says why."""
    state, policy = masked
    (line, _) = Finder(logs(state)).named("req-alice")
    found = recorded(line.event)
    made = judge(found, policy, Pseudonyms([state]).keys)
    assert isinstance(made, Impossible)
    assert "the client's address is masked, and rules ask for networks" in made.because
    assert json.dumps(line.event).count("203.0.113.7") == 0


def test_an_unmasked_decision_is_exact(tmp_path):
    """The same without masks: the same decision, by the same rule."""
    policy = of_revision(policies(tmp_path / "policies"), "0001")
    begun = ExchangeOpened("req-1", context(), decide(policy, context()), "1.1", 1)
    with Ledger.open(tmp_path / "audit" / "main" / "w0", origin="main/w0") as ledger:
        ledger.append(opened(begun, stamp()), Durability.BEFORE).wait(5)
    (line,) = Finder(logs(tmp_path)).named("req-1")
    made = judge(recorded(line.event), policy)
    assert isinstance(made, Again)
    assert (made.decision.rule, made.inexact) == ("staff", ())
