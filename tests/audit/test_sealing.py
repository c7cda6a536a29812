"""A finished segment becomes a compressed one with a seal: the same bytes, whatever happens on the way."""

import hashlib
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import time
from base64 import b64decode
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest

from gateway.audit import Ledger, LedgerOptions
from gateway.audit.sealing import steps
from gateway.audit.sealing.frames import PackedFile, seek_table
from gateway.audit.sealing.keeper import Keeper
from gateway.audit.sealing.process import SealingProcess
from gateway.audit.statements import DamagedLogError
from tests.audit import forge
from tests.audit.logs import OPTIONS, plain, seal, write
from tests.audit.reading import details
from tests.support.disks import small_disk

RECORD = "seg-*.jsonl.zst", "seg-*.tree"


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A log of about five segments, all but the last of them finished. Copied by whoever changes it."""
    directory = tmp_path_factory.mktemp("original") / "w0"
    write(directory, 2000)
    assert len(plain(directory)) > 3
    return directory


@pytest.fixture
def log(original, tmp_path):
    return shutil.copytree(original, tmp_path / "w0")


def files(directory, *patterns):
    return {path.name: path.read_bytes() for pattern in patterns for path in sorted(directory.glob(pattern))}


def seals(directory):
    return [json.loads(path.read_bytes()) for path in sorted(directory.glob("seg-*.seal"))]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def root(leaves):
    """RFC 6962 §2.1, as it is written there."""
    if len(leaves) < 2:
        return hashlib.sha256(b"\0" + leaves[0] if leaves else b"").digest()
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(b"\1" + root(leaves[:k]) + root(leaves[k:])).digest()


def kept(data):
    """Of the commits the first and the last: that one signs for every event of the segment."""
    return b"".join(forge.kept(data.splitlines(keepends=True)))


def leaves(lines):
    return [line for data in lines for line in data.splitlines() if line.startswith(b'{"metadata"')]


# --- what comes out ---


def test_the_zstd_program_gives_the_segment_back(log):
    """Every segment but the one being written is sealed; `zstd -d` gives back header, events, first and last commit."""
    before = plain(log)
    seal(log)
    *finished, live = before
    assert list(plain(log)) == [live]
    for name in finished:
        done = subprocess.run(["zstd", "-dc", log / f"{name}.zst"], capture_output=True, check=True)
        assert done.stdout == kept(before[name])
        assert (log / f"{name}.zst").stat().st_mode & 0o777 == 0o400
    assert not list(log.glob("*.tmp"))


def test_the_seal_says_what_the_segment_was(log):
    """Where it begins and ends, when, its first and its last signed line, and the digests of both of its forms."""
    before = plain(log)
    seal(log)
    for name, each in zip(before, seals(log), strict=False):
        data = before[name]
        events = [json.loads(line) for line in leaves([data])]
        assert (each["seal"], each["origin"]) == ("gateway-audit-seal/1", "test/w0")
        assert each["start"] == events[0]["metadata"]["sequence"]
        assert each["end"] == events[-1]["metadata"]["sequence"] + 1
        assert (each["first_time"], each["last_time"]) == (events[0]["time"], events[-1]["time"])
        assert each["header"].encode() == data.splitlines()[0]
        assert each["commit"].encode() == data.splitlines()[-1]
        assert each["jsonl"] == {"bytes": len(kept(data)), "sha256": sha256(kept(data))}
        packed = (log / f"{name}.zst").read_bytes()
        assert each["zst"] == {"bytes": len(packed), "sha256": sha256(packed)}
        assert each["pruned"] is None


def test_frames_end_at_every_256th_event(log):
    """The seek table of the zstd seekable format names the frames; each but the first begins with a multiple of 256."""
    seal(log)
    for path in log.glob("*.zst"):
        data = path.read_bytes()
        count, descriptor, magic = struct.unpack("<IBI", data[-9:])
        assert (magic, descriptor) == (0x8F92EAB1, 0)
        table = data[-(17 + 8 * count) :]
        assert struct.unpack("<II", table[:8]) == (0x184D2A5E, 8 * count + 9)
        at, firsts = 0, []
        for number in range(count):
            size, plain_size = struct.unpack_from("<II", table, 8 + 8 * number)
            frame = subprocess.run(["zstd", "-dc"], input=data[at : at + size], capture_output=True, check=True).stdout
            assert len(frame) == plain_size
            firsts.append(json.loads(leaves([frame])[0])["metadata"]["sequence"])
            at += size
        assert at + len(table) == len(data)
        assert all(first % 256 == 0 for first in firsts[1:])
        assert firsts == sorted({firsts[0], *range(firsts[0] // 256 * 256 + 256, firsts[-1] + 1, 256)})


def test_the_tree_file_has_the_complete_subtrees(log):
    """32 bytes for each complete subtree of 256 events that ends in the segment, as RFC 6962 computes it."""
    every = leaves(plain(log).values())
    seal(log)
    found = b""
    for each in seals(log):
        hashes = (log / f"seg-{each['start']:012d}.tree").read_bytes()
        assert hashes == b"".join(
            root(every[256 * k : 256 * k + 256]) for k in range(each["start"] >> 8, each["end"] >> 8)
        )
        assert b64decode(json.loads(each["commit"])["root"]) == root(every[: each["end"]])
        found += hashes
    assert len(found) >= 3 * 32


def test_the_columns_hold_the_same_events(log):
    """Beside it lies a Parquet file with a row for each event; without one, it is made again."""
    seal(log)
    columns = sorted(log.glob("*.parquet"))
    connection = duckdb.connect()
    rows = [connection.execute(f"SELECT count(*), min(sequence) FROM '{path}'").fetchone() for path in columns]
    assert rows == [(each["end"] - each["start"], each["start"]) for each in seals(log)]
    columns[1].unlink()
    seal(log)
    assert columns[1].exists()


def test_a_sealed_log_is_continued(log):
    """The gateway starts on sealed segments and goes on writing where it was."""
    seal(log)
    with Ledger.open(log, origin="test/w0", options=OPTIONS) as ledger:
        assert ledger.health.sequence == 1999


# --- what is refused ---


def changed(path):
    path.write_bytes(path.read_bytes().replace(b'"/ledger"', b'"/Ledger"', 1))


def without_the_last_commit(path):
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def with_another_signature(path):
    *lines, last = path.read_bytes().splitlines(keepends=True)
    commit = json.loads(last)
    commit["sig"] = json.loads(lines[1])["sig"]
    path.write_bytes(b"".join(lines) + json.dumps(commit, separators=(",", ":")).encode() + b"\n")


def without_an_event(path):
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:5] + lines[6:]))


def with_half_a_line(path):
    path.write_bytes(path.read_bytes() + b'{"metadata":{"seq')


def with_a_foreign_line(path):
    path.write_bytes(path.read_bytes() + b'{"note":"nothing to see here"}\n')


def empty(path):
    path.write_bytes(b"")


REFUSED = [
    (changed, "not those that its last commit signs for"),
    (without_the_last_commit, "does not end with a commit"),
    (with_another_signature, "does not bear the signature"),
    (without_an_event, "expected the event"),
    (with_half_a_line, "is not complete"),
    (with_a_foreign_line, "expected an event, or the commit"),
    (empty, "not a header"),
]


@pytest.mark.parametrize(("damage", "problem"), REFUSED, ids=[row[0].__name__ for row in REFUSED])
def test_what_its_last_commit_does_not_sign_for_is_not_sealed(log, damage, problem):
    """A segment that is not what was signed stays as it is, and the error says where and why."""
    first = log / "seg-000000000000.jsonl"
    damage(first)
    before = first.read_bytes()
    done = seal(log, check=False)
    assert done.returncode == 1
    assert str(first) in done.stderr and problem in done.stderr
    assert first.read_bytes() == before
    assert files(log, "*.zst", "*.seal", "*.tmp") == {}


def test_a_segment_that_differs_from_its_seal_is_kept(log):
    """After a crash, lines are only removed when they are those that were sealed."""
    first = log / "seg-000000000000.jsonl"
    data = first.read_bytes()
    seal(log)
    first.write_bytes(data + b"\n")
    with pytest.raises(DamagedLogError, match="not sealed: expected an event, or the commit of"):
        steps.seal(steps.SegmentFiles(log, 0), 0)
    first.write_bytes(data)
    packed = log / "seg-000000000000.jsonl.zst"
    packed.chmod(0o600)
    packed.write_bytes(packed.read_bytes()[:-1])
    with pytest.raises(DamagedLogError, match="is not the file that its seal states"):
        steps.seal(steps.SegmentFiles(log, 0), 0)
    assert first.read_bytes() == data


TABLES = [
    ("empty", b"", "too short"),
    ("no table", b"x" * 100, "does not end with a seek table"),
    ("more frames than bytes", seek_table([])[:-9] + struct.pack("<IBI", 2**31, 0, 0x8F92EAB1), "claims"),
    ("a greater file", b"x" + seek_table([]), "does not fit"),
    ("a monstrous frame", b"x" + seek_table([(1, 2**31)]), "claims to hold"),
    ("a wrong head", b"\0" * 8 + seek_table([])[8:], "wrong head"),
]


@pytest.mark.parametrize(("data", "problem"), [row[1:] for row in TABLES], ids=[row[0] for row in TABLES])
def test_a_seek_table_is_not_believed(tmp_path, data, problem):
    """A file that does not hold what its seek table says is refused, before anything is allocated for it."""
    path = tmp_path / "seg-000000000000.jsonl.zst"
    path.write_bytes(data)
    with pytest.raises(DamagedLogError, match=problem):
        PackedFile(path)


def test_a_frame_that_was_changed_is_noticed(log):
    """Each frame carries a checksum: what comes out of it is what went in, or an error."""
    seal(log)
    path = log / "seg-000000000000.jsonl.zst"
    data = bytearray(path.read_bytes())
    path.chmod(0o600)
    for at in random.Random(1).sample(range(8, len(data) // 2), 30):
        broken = bytearray(data)
        broken[at] ^= 1
        path.write_bytes(broken)
        packed = PackedFile(path)
        with pytest.raises(DamagedLogError):
            list(packed.blocks())
        packed.close()


# --- crashes ---


def test_killed_at_any_moment_it_ends_in_the_same_bytes(original, tmp_path):
    """`kill -9` again and again, anywhere: in the end every segment is sealed as if nothing had happened."""
    whole = shutil.copytree(original, tmp_path / "whole")
    seal(whole)
    choose, logs, killed = random.Random(7), [], 0
    while killed < 20:
        if not logs or len(plain(logs[-1])) == 1:
            logs.append(shutil.copytree(original, tmp_path / f"w{len(logs)}"))
        killed += kill_while_it_seals(logs[-1], choose.uniform(0, 0.15))
        assert len(leaves([_any_form(logs[-1], name) for name in plain(original)])) == 2000
    for log in logs:
        seal(log)
        assert files(log, *RECORD) == files(whole, *RECORD)
        assert [each | {"sealed": 0} for each in seals(log)] == [each | {"sealed": 0} for each in seals(whole)]
        assert sorted(files(log, "seg-*")) == sorted(files(whole, "seg-*"))


def kill_while_it_seals(log, after):
    """Whether it was killed while it had something to do: `after` seconds after the first sign of it."""
    before = unfinished(log)
    process = subprocess.Popen([sys.executable, "-m", "gateway.audit.sealing", str(log)], stdout=subprocess.DEVNULL)
    while process.poll() is None and before.items() >= unfinished(log).items():
        time.sleep(0.001)
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def unfinished(log):
    found = {}
    for path in log.glob("seg-*.tmp"):
        with suppress(FileNotFoundError):
            found[path.name] = path.stat().st_mtime_ns
    return found


def _any_form(log, name):
    path = log / name
    if path.exists():
        return path.read_bytes()
    return subprocess.run(["zstd", "-dc", log / f"{name}.zst"], capture_output=True, check=True).stdout


def before_the_names(log, first, data):
    (log / f"{first}.zst").rename(log / f"{first}.zst.tmp")
    (log / "seg-000000000000.seal").unlink()


def half_a_compressed_file(log, first, data):
    before_the_names(log, first, data)
    (log / f"{first}.zst.tmp").write_bytes(b"half")


def before_the_seal(log, first, data):
    (log / "seg-000000000000.seal").unlink()


def half_a_seal(log, first, data):
    (log / "seg-000000000000.seal").rename(log / "seg-000000000000.seal.tmp")


def before_the_columns(log, first, data):
    (log / "seg-000000000000.seal").unlink()
    (log / "seg-000000000000.parquet").unlink()
    (log / ".seg-000000000000.parquet.new").write_bytes(b"half")


def before_the_lines_are_removed(log, first, data):
    pass


STATES = [
    before_the_names,
    half_a_compressed_file,
    before_the_seal,
    half_a_seal,
    before_the_columns,
    before_the_lines_are_removed,
]


@pytest.mark.parametrize("state", STATES, ids=[each.__name__ for each in STATES])
def test_each_state_that_a_crash_can_leave_is_completed(log, state):
    """Wherever it stopped, the log is readable as it is, the gateway starts on it, and sealing goes on from there."""
    data = plain(log)
    first = next(iter(data))
    seal(log)
    expected = files(log, *RECORD)
    names = sorted(files(log, "seg-*"))
    (log / first).write_bytes(data[first])
    state(log, first, data[first])
    Ledger.open(log, origin="test/w0", options=OPTIONS).close()
    seal(log)
    assert files(log, *RECORD) == expected
    assert sorted(files(log, "seg-*")) == names
    assert [path.name for path in log.glob("*.tmp")] == []


def fill(path):
    """Take every byte that is left."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 65536)


def test_a_full_disk_leaves_the_segment_as_it_is(original, tmp_path):
    """Without space for the compressed file nothing changes, and when there is space it is sealed."""
    with small_disk(tmp_path / "disk", 8 * 1024**2) as disk:
        log = shutil.copytree(original, disk / "w0")
        before = plain(log)
        filler = disk / "filler"
        fill(filler)
        done = seal(log, check=False)
        assert done.returncode == 1
        assert "No space left" in done.stderr
        assert plain(log) == before
        assert files(log, "*.seal", "*.zst", "*.tmp") == {}
        filler.unlink()
        seal(log)
        assert len(seals(log)) == len(before) - 1


# --- the process ---


def test_the_process_knows_no_streamlit():
    """What seals is a small process of its own."""
    code = "import sys, gateway.audit.sealing.child; print('streamlit' in sys.modules, 'duckdb' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_the_process_comes_after_everything_else():
    """It runs at low priority, its memory is bounded, and where memory is short it is the first that goes."""
    code = (
        "import os, resource; from gateway.audit.sealing.child import _be_modest; _be_modest(None); "
        "print(os.nice(0), open('/proc/self/oom_score_adj').read(), resource.getrlimit(resource.RLIMIT_AS)[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    nice, oom, memory = (int(each) for each in done.stdout.split())
    assert (nice >= 10, oom, memory) == (True, 1000, 2 * 1024**3)


def test_only_one_process_seals_a_log(log):
    """While one seals, another one goes away with a code of its own, and touches nothing."""
    from gateway.audit.sealing.child import EXIT_BUSY, locked

    with locked(log) as ours:
        assert ours
        assert seal(log, check=False).returncode == EXIT_BUSY
    assert seals(log) == []


def test_a_process_whose_parent_is_gone_does_not_begin(log):
    """Whoever asked for it has ended in between: nothing is done."""
    command = [sys.executable, "-m", "gateway.audit.sealing", str(log), "1"]
    assert subprocess.run(command, capture_output=True, timeout=30).returncode == 1
    assert seals(log) == []


def test_the_process_goes_with_its_parent(log):
    """A gateway that is killed leaves no process behind that changes its files."""
    code = "import sys; from pathlib import Path; from gateway.audit.sealing.process import SealingProcess\n"
    code += "SealingProcess().run(Path(sys.argv[1]), 60, print)"
    parent = subprocess.Popen([sys.executable, "-c", code, str(log)])
    try:
        wait_until((log / "sealing.lock").exists)
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGSTOP)  # it cannot end by itself
    finally:
        parent.kill()
        parent.wait()
    wait_until(lambda: not Path(f"/proc/{children[0]}/exe").exists())


# --- the keeper ---


def wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_the_gateway_seals_what_it_has_finished_and_says_so(log):
    """After a roll the segment is sealed in the background, and `audit.sealed` tells its bounds and its digest."""
    finished = len(plain(log)) - 1
    with Ledger.open(log, origin="test/w0", options=OPTIONS) as ledger:
        keeper = Keeper(ledger, log, poll=0.05)
        keeper.start()
        try:
            wait_until(lambda: len(details(log, "audit.sealed")) == finished)
        finally:
            keeper.close()
        told = details(log, "audit.sealed")
    assert told == [
        {
            "segment": each["start"],
            "end": each["end"],
            "events": each["end"] - each["start"],
            "bytes": each["jsonl"]["bytes"],
            "zst_bytes": each["zst"]["bytes"],
            "sha256": each["zst"]["sha256"],
        }
        for each in seals(log)
    ]


def test_a_failure_is_told_and_tried_again_later(log, caplog):
    """`audit.seal_failed` says which segment and why, the process log warns, and the next try is a minute away."""
    with Ledger.open(log, origin="test/w0", options=OPTIONS) as ledger:
        changed(log / "seg-000000000000.jsonl")
        keeper = Keeper(ledger, log, poll=0.02)
        keeper.start()
        wait_until(lambda: details(log, "audit.seal_failed"))
        time.sleep(0.5)
        keeper.close()
        (told,) = details(log, "audit.seal_failed")
    assert told["segment"] == 0
    assert "not those that its last commit signs for" in told["problem"]
    assert "next try in 60 s" in caplog.text


def test_the_commands_own_log_is_sealed_as_well(tmp_path):
    """It is opened for it when no command writes, and what was done is told in it."""
    directories = tmp_path / "i" / "w0", tmp_path / "i" / "cli"
    for directory in directories:
        write(directory, 1000, origin=f"i/{directory.name}")
    finished = len(plain(directories[1])) - 1
    with Ledger.open(directories[0], origin="i/w0", options=OPTIONS) as ledger:
        keeper = Keeper(ledger, directories[0], poll=0.05)
        keeper.start()
        try:
            wait_until(lambda: len(details(directories[1], "audit.sealed")) == finished)
        finally:
            keeper.close()
    assert [each["segment"] for each in details(directories[1], "audit.sealed")] == [
        each["start"] for each in seals(directories[1])
    ]


def test_a_process_that_takes_too_long_is_ended(log):
    """After its time it is killed, and the reason is told; what it had sealed until then stays sealed."""
    told = []
    outcome = SealingProcess().run(log, 0.05, told.append)
    assert outcome.problem == "not done after 0 seconds"
    assert steps.waiting(log)
    assert SealingProcess().run(log, 30, told.append).problem is None
    assert [each.segment for each in told] == [each["start"] for each in seals(log)]
    assert not steps.waiting(log)


def test_closing_ends_the_process_at_once(log):
    """The gateway does not wait for a segment to be sealed when it ends; the next start does it."""
    with Ledger.open(log, origin="test/w0", options=OPTIONS) as ledger:
        keeper = Keeper(ledger, log, poll=0.01)
        keeper.start()
        wait_until(lambda: keeper._process._process is not None)
        keeper._process._process.send_signal(signal.SIGSTOP)  # one that would never end by itself
        begun = time.monotonic()
        keeper.close()
        assert time.monotonic() - begun < 3
        assert keeper._process._process is None
        assert details(log, "audit.seal_failed") == []
    finished = len(plain(log)) - 1 + len(seals(log))
    seal(log)
    assert len(seals(log)) == finished


def test_the_process_gets_none_of_our_secrets(log, monkeypatch):
    """The environment of the process holds what an interpreter needs, and no setting of the gateway."""
    from gateway.audit.sealing.process import _environment

    monkeypatch.setenv("GATEWAY_SESSION__KEYS", "secret")
    assert "secret" not in _environment().values()
    assert set(_environment()) <= {"PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "TZ", "PYTHONPATH"}


def test_a_segment_ends_when_it_is_old(tmp_path):
    """After `segment_age` the segment ends, so that a quiet log is sealed, too."""
    options = LedgerOptions(segment_size=256 * 1024, reserve=4096, announce=False, segment_age=0.2)
    write(tmp_path / "w0", 3, options=options)
    with Ledger.open(tmp_path / "w0", origin="test/w0", options=options) as ledger:
        wait_until(lambda: ledger.health.segments == 2)
        seal(tmp_path / "w0")
        assert (tmp_path / "w0" / "seg-000000000000.seal").exists()
