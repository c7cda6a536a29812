"""One way to read a log, whatever form its segments are in, while it is written, sealed and pruned."""

import json
import random
import subprocess
import sys
import time

import pytest

from gateway.audit import Durability, Ledger, opened, stamp
from gateway.audit.directory import SegmentFiles
from gateway.audit.reader import Cursor, last
from gateway.audit.sealing.steps import seal as seal_segment
from gateway.audit.sealing.steps import waiting
from gateway.audit.statements import DamagedLogError
from gateway.audit.store import PrunedError, Store
from tests.audit.logs import OPTIONS, plain, seal, write
from tests.audit.samples import exchange

COUNT = 1500


@pytest.fixture
def log(tmp_path):
    directory = tmp_path / "w0"
    write(directory, COUNT)
    return directory


def lines(directory):
    """The events as they stand in the plain files."""
    return [line for data in plain(directory).values() for line in data.splitlines() if b'"metadata"' in line[:12]]


def test_every_event_is_found_by_its_sequence_in_every_form(log):
    """Live, finished or sealed: the line of a sequence number is the line that was written."""
    expected = lines(log)
    with Store(log) as store:
        assert store.end == COUNT
        assert [store.event(sequence) for sequence in range(COUNT)] == expected
    seal(log)
    with Store(log) as store:
        order = random.Random(3).sample(range(COUNT), COUNT)
        assert {sequence: store.event(sequence) for sequence in order} == dict(enumerate(expected))


RANGES = [(0, None), (0, 1), (255, 257), (300, 800), (COUNT - 1, None), (COUNT, None), (5, 5), (0, 10**9)]


@pytest.mark.parametrize(("first", "end"), RANGES)
def test_a_range_goes_across_segments(log, first, end):
    """A range of sequences is read in order, newest first as well, across sealed segments and the live one."""
    expected = list(enumerate(lines(log)))[first:end]
    seal(log)
    with Store(log) as store:
        assert list(store.events(first, end)) == expected
        assert list(store.newest_first(end))[: len(expected)] == expected[::-1]


def test_one_event_of_a_sealed_segment_costs_less_than_a_millisecond(log):
    """Only the frame that holds it is decompressed."""
    seal(log)
    with Store(log) as store:
        store.event(0)
        took = []
        for sequence in (300, 5, 900, 260, 1100, 10, 700, 200) * 5:
            begun = time.perf_counter()
            store.event(sequence)
            took.append(time.perf_counter() - begun)
    assert min(took) < 0.001


def test_it_sees_what_is_written_meanwhile(tmp_path):
    """An event that is durable is found, also when the store was opened before."""
    with Ledger.open(tmp_path / "w0", origin="test/w0", options=OPTIONS) as ledger, Store(tmp_path / "w0") as store:
        assert store.end == 0
        for number in range(3):
            ledger.append(opened(exchange(request_id=f"r{number}"), stamp()), Durability.BEFORE).wait(5)
            assert f'"r{number}"'.encode() in store.event(number)
        with pytest.raises(LookupError):
            store.event(3)
        with pytest.raises(LookupError):
            store.event(-1)


def test_it_goes_on_when_segments_are_sealed_under_it(log):
    """A segment that is sealed while a range is read gives its events once, and the same ones."""
    expected = list(enumerate(lines(log)))
    with Store(log) as store:
        found = []
        for each in store.events():
            if each[0] in (10, 500):
                seal(log)
            found.append(each)
        assert found == expected
        assert store.event(3) == expected[3][1]


def test_only_what_is_signed_for_is_given(log):
    """An event behind the last commit may be taken back, and is not given."""
    live = max(log.glob("*.jsonl"))
    with live.open("ab") as file:
        file.write(b'{"metadata":{"sequence":%d,"uid":"x"},"time":1}\n' % COUNT)
    with Store(log) as store:
        assert store.end == COUNT
        with pytest.raises(LookupError):
            store.event(COUNT)


def test_a_pruned_event_is_told_from_one_that_never_was(log):
    """The error names the seal that says why; ranges pass over it."""
    seal(log)
    first = SegmentFiles(log, 0)
    document = json.loads(first.seal.read_bytes())
    first.seal.chmod(0o600)
    document["pruned"] = {"time": 1, "because": "old", "sequence": COUNT}
    first.seal.write_text(json.dumps(document))
    first.packed.unlink()
    with Store(log) as store:
        with pytest.raises(PrunedError) as raised:
            store.event(3)
        assert (raised.value.path, raised.value.start, raised.value.end) == (first.seal, 0, document["end"])
        assert [sequence for sequence, _ in store.events()] == list(range(document["end"], COUNT))
        assert [sequence for sequence, _ in store.newest_first()][-1] == document["end"]


def test_a_sealed_segment_that_is_missing_is_damage(log):
    """Gone without a seal that says so is not pruned: it is an error."""
    seal(log)
    SegmentFiles(log, 0).packed.unlink()
    with Store(log) as store, pytest.raises(DamagedLogError, match="is missing"):
        store.event(3)


def test_the_last_events_go_back_into_sealed_segments(log):
    """`gateway audit tail -n` goes back as far as there are events."""
    expected = [json.loads(line)["metadata"]["sequence"] for line in lines(log)]
    seal(log)
    assert [line.event["metadata"]["sequence"] for line in last(log)] == expected[::-1]
    command = [sys.executable, "-c", "from gateway.cli import main; main()", "audit", "tail", "--json", "-n", "1200"]
    state = log.parent / "state"
    (state / "audit" / "i").mkdir(parents=True)
    log.rename(state / "audit" / "i" / "w0")
    done = subprocess.run([*command, "--state-dir", str(state)], capture_output=True, check=True, timeout=30)
    assert [json.loads(line)["metadata"]["sequence"] for line in done.stdout.splitlines()] == expected[-1200:]


def test_a_cursor_goes_on_in_a_segment_that_was_sealed(log):
    """A reader that stopped inside a segment goes on at the same event, although the file is another one now."""
    cursor = Cursor(log)
    reading = cursor.read()
    found = [next(reading).event["metadata"]["sequence"] for _ in range(100)]
    reading.close()
    seal(log)
    assert (cursor.start, cursor.at > 0) == (0, True)
    found += [line.event["metadata"]["sequence"] for line in cursor.read()]
    assert found == list(range(COUNT))
    assert list(cursor.read()) == []


def test_a_cursor_at_the_end_sees_only_what_comes(log):
    """After a roll and the sealing of what it stood in, it goes on with the next segment."""
    cursor = Cursor.at_end(log)
    write(log, 600, begin=1_800_000_000_000)
    for files in waiting(log):
        seal_segment(files, 1)
    assert [line.event["metadata"]["sequence"] for line in cursor.read()] == list(range(COUNT, COUNT + 600))
