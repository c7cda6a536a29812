"""The log in good days: order, acknowledgement, segments, limits."""

import asyncio
import json
import os
import threading
import time

import pytest

from gateway.audit import Durability, Ledger, LedgerOptions, Stamp, ledger_directory, lifecycle, opened, stamp
from gateway.audit.event import Unbuilt
from gateway.errors import AuditUnavailable, LedgerError
from tests.audit.ocsf import problems
from tests.audit.reading import codes, details, events, sequences
from tests.audit.samples import exchange

SMALL = LedgerOptions(segment_size=64 * 1024, reserve=4096)


def event(request_id="req-1"):
    return opened(exchange(request_id=request_id), stamp())


def test_an_acknowledged_event_is_in_the_file(tmp_path):
    """When `durable` returns, the event is in the file, with its sequence, the log's name and its durability class."""

    async def run(ledger):
        await ledger.append(event("req-42"), Durability.HOLD).durable()
        return events(tmp_path)

    with Ledger.open(tmp_path, origin="host/audit/main/0") as ledger:
        found = asyncio.run(run(ledger))
        assert ledger.health.sequence == 1
    assert found[1]["metadata"]["correlation_uid"] == "req-42"
    assert found[1]["metadata"]["sequence"] == 1
    assert found[1]["metadata"]["log_name"] == "host/audit/main/0"
    assert found[1]["unmapped"]["gateway"]["durability"] == "hold"


def test_an_event_is_built_by_the_writer(tmp_path):
    """An event may come as the values it is made of; what is written is what it would have been."""
    value, at = exchange(request_id="req-43"), stamp()
    with Ledger.open(tmp_path, origin="o") as ledger:
        ledger.append(Unbuilt(opened, value, at), Durability.BEFORE).wait(5)
        ledger.append(opened(value, at), Durability.BEFORE).wait(5)
    one, other = (each for each in events(tmp_path) if each["metadata"].get("correlation_uid") == "req-43")
    assert {**one, "metadata": {**one["metadata"], "sequence": 0}} == {
        **other,
        "metadata": {**other["metadata"], "sequence": 0},
    }


def test_an_event_that_cannot_be_built_is_refused_alone(tmp_path):
    """A bug in making one event refuses that one, and the events beside it in the batch are written."""

    def broken(_value, _stamp):
        raise ZeroDivisionError

    async def run(ledger):
        receipts = [
            ledger.append(each, Durability.BEFORE) for each in (event("a"), Unbuilt(broken, 0, stamp()), event("b"))
        ]
        return await asyncio.gather(*(receipt.durable() for receipt in receipts), return_exceptions=True)

    with Ledger.open(tmp_path, origin="o") as ledger:
        fine, refused, also_fine = asyncio.run(run(ledger))
        ledger.append(event("c"), Durability.BEFORE).wait(5)
    assert (fine, also_fine) == (None, None)
    assert isinstance(refused, AuditUnavailable)
    assert refused.cause == "event-error"
    requests = [each["metadata"].get("correlation_uid") for each in events(tmp_path)]
    assert [request for request in requests if request] == ["a", "b", "c"]
    assert sum(each["count"] for each in details(tmp_path, "audit.suppressed")) == 1


def test_events_that_nobody_waits_for_are_written_soon(tmp_path):
    """An `async` event is on the disk within moments, although nobody waits and nothing else comes."""
    with Ledger.open(tmp_path, origin="o") as ledger:
        ledger.append(event("alone"), Durability.ASYNC)
        deadline = time.monotonic() + 1
        while "alone" not in {each["metadata"].get("correlation_uid") for each in events(tmp_path)}:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_log_tells_its_own_life(tmp_path):
    """A log begins with `audit.start` and ends with `audit.stop`; a start says whether the last end was orderly."""
    for _ in range(2):
        Ledger.open(tmp_path, origin="o").close()
    assert codes(tmp_path) == ["audit.start", "audit.stop"] * 2
    assert [each["orderly_stop_before"] for each in details(tmp_path, "audit.start")] == [True, True]
    assert [problems(each) for each in events(tmp_path)] == [[]] * 4
    assert sequences(tmp_path) == [0, 1, 2, 3]


def test_many_threads_and_loops_share_one_log(tmp_path):
    """Events from any number of threads and event loops get one gapless sequence, each exactly once."""

    async def on_a_loop(ledger, name):
        receipts = [ledger.append(event(f"{name}-{n}"), Durability.BEFORE) for n in range(200)]
        await asyncio.gather(*(receipt.durable() for receipt in receipts))

    def in_a_thread(ledger, name):
        for n in range(200):
            ledger.append(event(f"{name}-{n}"), Durability.BEFORE).wait(5)

    with Ledger.open(tmp_path, origin="o") as ledger:
        loops = [threading.Thread(target=lambda n=n: asyncio.run(on_a_loop(ledger, f"loop{n}"))) for n in range(3)]
        threads = [threading.Thread(target=in_a_thread, args=(ledger, f"thread{n}")) for n in range(3)]
        for thread in loops + threads:
            thread.start()
        for thread in loops + threads:
            thread.join()
    assert sequences(tmp_path) == list(range(1202))
    ids = [each["metadata"].get("correlation_uid") for each in events(tmp_path)]
    assert len({each for each in ids if each}) == 1200


def test_what_waits_is_committed_together(tmp_path):
    """Many events in flight take far fewer syncs than events: the writer takes everything that waits at once."""
    sizes = []

    async def run(ledger):
        async def visitor():
            for _ in range(50):
                await ledger.append(event(), Durability.BEFORE).durable()
                sizes.append(ledger.health.sequence)

        await asyncio.gather(*(visitor() for _ in range(64)))

    with Ledger.open(tmp_path, origin="o") as ledger:
        asyncio.run(run(ledger))
    assert len(sizes) == 3200
    assert len(set(sizes)) < 3200 / 4


def test_segments_roll_by_size_and_stay_continuous(tmp_path):
    """A segment ends before its size limit; the next one's name, header and first event say where it goes on."""
    with Ledger.open(tmp_path, origin="o", options=SMALL) as ledger:
        for _ in range(200):
            ledger.append(event(), Durability.ASYNC)
    paths = sorted(tmp_path.glob("seg-*.jsonl"))
    assert len(paths) > 3
    for path in paths:
        header, commit, first, *_ = map(json.loads, path.read_bytes().splitlines())
        assert path.stat().st_size <= SMALL.segment_size
        assert header["log"] == "gateway-audit/2"
        assert header["start"] == commit["cp"] == first["metadata"]["sequence"] == int(path.stem.removeprefix("seg-"))
    assert sequences(tmp_path) == list(range(202))
    Ledger.open(tmp_path, origin="o", options=SMALL).close()
    assert sequences(tmp_path) == list(range(204))


def test_segments_roll_by_age(tmp_path):
    """A segment that is older than its limit ends, if it holds an event."""
    with Ledger.open(tmp_path, origin="o", options=LedgerOptions(segment_age=0.0)) as ledger:
        ledger.append(event(), Durability.BEFORE).wait(5)
    assert len(list(tmp_path.glob("seg-*.jsonl"))) >= 2
    assert sequences(tmp_path) == list(range(len(sequences(tmp_path))))


def test_a_log_keeps_its_name(tmp_path):
    """A log that was begun under one origin is not continued under another one: its signatures name it."""
    Ledger.open(tmp_path, origin="old").close()
    with pytest.raises(LedgerError, match="the log of old, not of new"):
        Ledger.open(tmp_path, origin="new")


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "a\nb", "streamlit-gateway.key-roll/1", "x" * 256])
def test_an_origin_that_would_make_a_checkpoint_ambiguous_is_refused(tmp_path, origin):
    """C2SP signed notes allow no spaces, no plus and no line breaks in a key's name; the words of a roll are ours."""
    with pytest.raises(LedgerError, match="cannot be the origin"):
        Ledger.open(tmp_path, origin=origin)


def test_two_processes_never_write_one_log(tmp_path):
    """A directory that is in use is refused, with what to do."""
    with Ledger.open(tmp_path, origin="o"), pytest.raises(LedgerError, match="in use by another process") as refused:
        Ledger.open(tmp_path, origin="o")
    assert "another instance name" in refused.value.hint


def test_everything_is_private_to_the_user(tmp_path):
    """Directories have the mode 0700 and files 0600, whatever the umask is."""
    directory = ledger_directory(tmp_path / "state", "main")
    before = os.umask(0)
    try:
        Ledger.open(directory, origin="o").close()
    finally:
        os.umask(before)
    assert directory == tmp_path / "state" / "audit" / "main" / "0"
    assert {path.stat().st_mode & 0o777 for path in (directory, directory.parent, directory / "keys")} == {0o700}
    files = [path for path in directory.rglob("*") if path.is_file()]
    assert {path.name: path.stat().st_mode & 0o777 for path in files} == {path.name: 0o600 for path in files}


@pytest.mark.parametrize(
    "options", [LedgerOptions(queue_events=10), LedgerOptions(queue_bytes=20_000)], ids=["count", "bytes"]
)
def test_the_queue_is_bounded(tmp_path, options):
    """More events than the queue holds are refused at once, and counted in the record afterwards."""
    refused = 0
    with Ledger.open(tmp_path, origin="o", options=options) as ledger:
        for _ in range(2000):
            try:
                ledger.append(event(), Durability.ASYNC)
            except AuditUnavailable as error:
                assert error.cause == "queue-full"
                refused += 1
    assert refused > 0
    assert sum(each["count"] for each in details(tmp_path, "audit.suppressed")) == refused
    assert len(events(tmp_path)) - 2 - codes(tmp_path).count("audit.suppressed") == 2000 - refused


def test_close_writes_what_waits_and_refuses_what_comes(tmp_path):
    """Closing loses nothing that was taken, and takes nothing more."""
    ledger = Ledger.open(tmp_path, origin="o")
    receipts = [ledger.append(event(), Durability.ASYNC) for _ in range(500)]
    ledger.close()
    ledger.close()
    for receipt in receipts:
        receipt.wait(0)
    with pytest.raises(AuditUnavailable, match="closed"):
        ledger.append(event(), Durability.ASYNC)
    assert ledger.health.state == "closed"
    assert codes(tmp_path)[-1] == "audit.stop"
    assert len(events(tmp_path)) == 502


def test_a_visitor_who_leaves_does_not_disturb_the_others(tmp_path):
    """A cancelled wait is forgotten; the event is still written and the others are told."""

    async def run(ledger):
        impatient = asyncio.ensure_future(ledger.append(event("gone"), Durability.BEFORE).durable())
        await asyncio.sleep(0)
        impatient.cancel()
        await ledger.append(event("stays"), Durability.BEFORE).durable()

    with Ledger.open(tmp_path, origin="o") as ledger:
        asyncio.run(run(ledger))
    assert {"gone", "stays"} <= {each["metadata"].get("correlation_uid") for each in events(tmp_path)}


def test_the_order_is_the_sequence_also_when_the_clock_is_set_back(tmp_path):
    """A clock that steps back is recorded; times stand as they were read, and the sequence is the order."""
    with Ledger.open(tmp_path, origin="o") as ledger:
        now = stamp().time
        for time, uid in ((now, "A" * 26), (now - 60_000, "B" * 26), (now - 59_000, "C" * 26)):
            ledger.append(lifecycle("gateway.start", "…", {}, Stamp(time, uid)), Durability.BEFORE).wait(5)
    assert codes(tmp_path)[1:5] == ["gateway.start", "audit.clock_step", "gateway.start", "gateway.start"]
    steps = details(tmp_path, "audit.clock_step")
    assert steps[0]["from"] - steps[0]["to"] >= 59_000


def test_uids_sort_by_time_and_never_repeat():
    """Within a process, uids grow; ULIDs hold the time in their first ten characters."""
    from gateway.audit.stamp import Stamps, ulid

    clock = iter([5_000_000, 5_000_000, 4_000_000, 6_000_000])
    make = Stamps(lambda: next(clock))
    stepped = [make() for _ in range(4)]
    assert [each.time for each in stepped] == [5, 5, 4, 6]
    assert [each.uid for each in stepped] == sorted({each.uid for each in stepped})
    uids = [stamp().uid for _ in range(10_000)]
    assert uids == sorted(set(uids))
    assert all(len(uid) == 26 for uid in uids)
    assert ulid(1469918176385, 0)[:10] == "01ARYZ6S41"  # the example of https://github.com/ulid/spec
