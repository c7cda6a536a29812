"""What `gateway audit ship` promises whatever the receiver is: order, no gap, no event twice, and a clear end."""

import json
import os
import re
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from typer.testing import CliRunner

import gateway.audit.verifier
from gateway.audit.retention import prune
from gateway.audit.sealing.keeper import appender
from gateway.audit.shipping.backoff import BackOff
from gateway.audit.shipping.errors import LostEvents
from gateway.audit.shipping.source import Tail
from gateway.audit.shipping.status import Status
from gateway.cli.audit import app
from tests.audit.reading import events
from tests.audit.shipping import (
    COMMAND,
    arguments,
    cursor,
    following,
    ledger,
    made,
    parsed,
    ship,
    uids,
    wait_until,
    write,
)
from tests.support.disks import small_disk
from tests.support.processes import clean_environment


def shipped(state, *more):
    """What one run writes to its standard output."""
    code, out, err = ship(state, "stdout", *more)
    assert code == 0, err
    return [event["metadata"]["uid"] for event in parsed(out.splitlines())]


def seal(directory):
    """As the gateway does: in a process of its own."""
    done = subprocess.run([COMMAND[0], "-m", "gateway.audit.sealing", directory], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_each_run_ships_what_the_last_one_has_not(tmp_path):
    """Every acknowledged event of every log is shipped once, in the order of its log; a restart goes on behind it."""
    one, two = made(tmp_path, 30), made(tmp_path, 20, "w1")
    first = shipped(tmp_path, "--batch", 7)
    assert [uid for uid in first if uid in uids(one)] == uids(one)
    assert [uid for uid in first if uid in uids(two)] == uids(two)
    assert len(first) == len(uids(one)) + len(uids(two))
    assert shipped(tmp_path) == []
    made(tmp_path, 3)
    assert shipped(tmp_path) == uids(one)[32:]


def test_lines_are_shipped_as_they_stand_in_the_record(tmp_path):
    """Standard output gets the bytes of the record: each line's hash is still that of its leaf."""
    directory = made(tmp_path, 5)
    _, out, _ = ship(tmp_path, "stdout")
    recorded = (directory / "seg-000000000000.jsonl").read_text().splitlines()
    assert out.splitlines() == [line for line in recorded if line.startswith('{"metadata"')]


def test_segments_may_be_rolled_and_sealed_meanwhile(tmp_path):
    """A cursor is right in a live segment, in one that was sealed since, and in those that were written after it."""
    directory = made(tmp_path, 100, segment_size=60_000)
    middle = events(directory)[50]["metadata"]["sequence"]
    expected = uids(directory)
    assert shipped(tmp_path, "--batch", "9") == expected
    position = cursor(directory)
    path = directory / "cursor-stdout.json"
    seal(directory)
    assert list(directory.glob("seg-*.jsonl.zst"))
    for sequence in (0, middle, 1):
        path.write_text(json.dumps(position | {"sequence": sequence}))
        assert shipped(tmp_path, "--batch", "9") == expected[sequence:]


def test_a_shipper_follows_through_rolls_and_sealing(tmp_path):
    """While it is written, rolled and sealed, the record arrives without a gap."""
    state = tmp_path / "state"
    out = tmp_path / "out"
    with ledger(state, segment_size=30_000) as log, out.open("wb") as sink:
        directory = state / "audit" / "main" / "w0"
        process = subprocess.Popen(arguments(state, "stdout"), stdout=sink, env=clean_environment())
        try:
            for number in range(7):
                write(log, 20, number * 20)
                seal(directory)
                time.sleep(0.1)
            wait_until(lambda: b'"r139"' in out.read_bytes())
        finally:
            process.terminate()
            assert process.wait(10) == 0
    assert len(list(directory.glob("seg-*.seal"))) > 3
    sequences = [event["metadata"]["sequence"] for event in parsed(out.read_bytes().splitlines())]
    assert sequences == list(range(141))


def test_what_is_not_acknowledged_is_not_shipped(tmp_path):
    """An event that a crash may take back stays here: only what the checkpoint covers goes out."""
    directory = made(tmp_path, 5)
    expected = uids(directory)
    with (directory / "seg-000000000000.jsonl").open("ab") as file:
        file.write(b'{"metadata":{"sequence":7,"uid":"never-acknowledged"},"time":1}\n{"metadata":{"sequ')
    assert shipped(tmp_path) == expected


def test_two_shippers_on_one_cursor_are_refused(tmp_path):
    """A cursor belongs to one process; a second one ends with exit code 3 and says which file it is."""
    made(tmp_path, 5)
    with following(tmp_path, "stdout"):
        code, out, err = ship(tmp_path, "stdout")
        assert (code, out) == (3, "")
        assert "another shipper uses this cursor" in err and "cursor-stdout.json" in err
        assert ship(tmp_path, "stdout", "--name", "beside")[0] == 0


def test_sigterm_ends_in_order(tmp_path):
    """SIGTERM ends it with exit code 0, the cursor where the receiver has confirmed."""
    directory = made(tmp_path, 5)
    with following(tmp_path, "stdout") as process:
        wait_until(lambda: list(directory.glob("cursor-*.json")))
        assert process.stop() == 0
    assert cursor(directory)["sequence"] == 7


def pruned(state):
    """A log whose oldest segment was removed by retention, as the gateway does it; its directory."""
    directory = made(state, 100, segment_size=60_000)
    seal(directory)
    first = json.loads(min(directory.glob("seg-*.seal")).read_bytes())
    with ledger(state, segment_size=60_000) as log:
        assert len(prune(directory, first["last_time"] + 1, "a test", appender(log))) >= 1
    return directory


BEGINNINGS = ["first", "oldest", "now"]


@pytest.mark.parametrize("begin", BEGINNINGS)
def test_a_new_receiver_may_begin_later(tmp_path, begin):
    """--begin is for a new cursor only: the first event, the oldest one where some are pruned, or what comes next."""
    directory = pruned(tmp_path)
    oldest = min(int(path.name[4:16]) for path in [*directory.glob("*.zst"), *directory.glob("*.jsonl")])
    end = 1 + max(event["metadata"]["sequence"] for event in events(directory))
    code, out, err = ship(tmp_path, "stdout", "--begin", begin)
    sequences = [event["metadata"]["sequence"] for event in parsed(out.splitlines())]
    if begin == "first":
        assert (code, sequences) == (1, []) and "--begin oldest" in err
        return
    assert sequences == list(range(oldest if begin == "oldest" else end, end)) and oldest > 0
    made(tmp_path, 3, segment_size=60_000)
    _, out, _ = ship(tmp_path, "stdout", "--begin", "now")
    assert parsed(out.splitlines())[0]["metadata"]["sequence"] == end


def _packed_removed(directory):
    seal(directory)
    min(directory.glob("seg-*.jsonl.zst")).unlink()


def _cut_back(directory):
    note = (directory / "checkpoint").read_text().splitlines()
    (directory / "checkpoint").write_text("\n".join([note[0], "3", *note[2:]]) + "\n")
    for segment in sorted(directory.glob("seg-*.jsonl"))[1:]:
        segment.unlink()
    (directory / "cursor-stdout.json").write_text(
        json.dumps({"cursor": "gateway-audit-cursor/1", "origin": "main/w0", "sink": "stdout", "sequence": 50})
    )


def _line_damaged(directory):
    path = directory / "seg-000000000000.jsonl"
    path.write_bytes(path.read_bytes().replace(b'{"metadata":{"sequence":5,', b'{"metadata":{"sequence":_,'))


def _line_removed(directory):
    path = directory / "seg-000000000000.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if not line.startswith(b'{"metadata":{"sequence":5,')))


def _segment_removed(directory):
    sorted(directory.glob("seg-*.jsonl"))[1].unlink()


def _checkpoint_removed(directory):
    (directory / "checkpoint").unlink()


def _packed_damaged(directory):
    seal(directory)
    packed = min(directory.glob("seg-*.jsonl.zst"))
    packed.chmod(0o600)
    data = bytearray(packed.read_bytes())
    data[40:60] = bytes(20)
    packed.write_bytes(bytes(data))


LOST = [
    ("a sealed segment is removed", _packed_removed, "were removed before they were shipped"),
    ("the log is shorter than what was shipped", _cut_back, "were shipped from it"),
    ("a line is damaged", _line_damaged, "is damaged"),
    ("a line is missing", _line_removed, "event 5 is missing"),
    ("a segment is missing", _segment_removed, "is missing"),
    ("the checkpoint is missing", _checkpoint_removed, "the checkpoint is missing"),
    ("a sealed segment is damaged", _packed_damaged, "seg-000000000000.jsonl.zst"),
]


@pytest.mark.parametrize(("spoil", "message"), [row[1:] for row in LOST], ids=[row[0] for row in LOST])
def test_what_is_gone_is_never_passed_over(tmp_path, spoil, message):
    """An acknowledged event that cannot be shipped ends shipping with exit code 1; nothing after it goes out."""
    directory = made(tmp_path, 60, segment_size=60_000)
    spoil(directory)
    code, out, err = ship(tmp_path, "stdout")
    assert code == 1
    assert "error: " in err and message in err and "hint: " in err
    sequences = [event["metadata"]["sequence"] for event in parsed(out.splitlines())]
    assert sequences == list(range(len(sequences)))  # from the first one, up to the gap
    assert len(sequences) < 62


def test_a_log_that_was_set_aside_as_damaged_is_told_and_not_shipped(tmp_path):
    """A damaged log beside the one that goes on stops nothing, and is not forgotten."""
    directory = made(tmp_path, 5)
    shutil.copytree(directory, directory.with_name("w0.damaged-1790000000000"))
    code, _, err = ship(tmp_path, "stdout")
    assert code == 0
    assert "set aside as damaged" in err


def test_a_cursor_is_of_one_log_and_one_receiver(tmp_path):
    """A cursor that was made for another receiver or copied from another log is refused."""
    directory = made(tmp_path, 5)
    other = made(tmp_path, 5, "w1")
    assert ship(tmp_path, "stdout", "--log", directory)[0] == 0
    shutil.copy(directory / "cursor-stdout.json", other)
    code, _, err = ship(tmp_path, "stdout", "--log", other)
    assert code == 3 and "the cursor of main/w0, not of main/w1" in err
    archive = tmp_path / "archive"
    archive.mkdir()
    code, _, err = ship(tmp_path, f"drop:{archive}", "--log", directory, "--name", "stdout")
    assert code == 3 and "the cursor of stdout" in err


def test_nobody_reads_standard_output_any_more(tmp_path):
    """A closed pipe ends shipping with exit code 1, and nothing more is confirmed."""
    directory = made(tmp_path, 5)
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*arguments(tmp_path, "stdout"), "--once"], stdout=writing, stderr=subprocess.PIPE, env=clean_environment()
    )
    os.close(writing)
    assert done.returncode == 1
    assert b"cannot be written" in done.stderr
    assert not (directory / "cursor-stdout.json").exists()


def test_who_ships_the_record_is_in_the_record(tmp_path):
    """Shipping is recorded as `audit.ship`, with the receiver and the cursor; --unrecorded is for copies."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (state / "instance").write_text("0123456789abcdef\n")
    (state / "instance").chmod(0o600)
    made(state, 2)
    command = [each for each in arguments(state, "stdout") if each != "--unrecorded"]
    done = subprocess.run([*command, "--once"], capture_output=True, env=clean_environment())
    assert done.returncode == 0, done.stderr
    (told,) = [e for e in parsed(done.stdout.splitlines()) if e["metadata"]["event_code"] == "audit.ship"]
    assert told["class_uid"] == 6003
    assert told["unmapped"]["gateway"]["details"] == {"sink": "stdout", "cursor": "stdout"}


def test_shipping_that_cannot_be_recorded_is_refused(tmp_path):
    """Where the command's own log cannot be written, nothing is shipped, and --unrecorded is named."""
    made(tmp_path, 2)  # no state directory of a gateway: a copy
    command = [each for each in arguments(tmp_path, "stdout") if each != "--unrecorded"]
    done = subprocess.run([*command, "--once"], capture_output=True, env=clean_environment())
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"--unrecorded" in done.stderr


def test_metrics_are_in_the_text_format(tmp_path):
    """--metrics keeps a file with counters and the lag, each with its type, for node_exporter."""
    directory = made(tmp_path / "state", 5)
    path = tmp_path / "ship.prom"
    assert ship(tmp_path / "state", "stdout", "--metrics", path)[0] == 0
    text = path.read_text()
    values = dict(re.findall(r'^(gateway_ship_\w+)\{sink="stdout"\} ([0-9.]+)$', text, re.MULTILINE))
    assert values["gateway_ship_sent_total"] == str(len(uids(directory)))
    assert values["gateway_ship_behind_events"] == "0"
    assert len(re.findall("^# TYPE ", text, re.MULTILINE)) == len(values) == 7
    assert list(tmp_path.glob(".ship.prom*")) == []


def test_the_status_is_json_where_no_terminal_is(tmp_path):
    """On stderr each line is one JSON object; the last one has the final numbers."""
    made(tmp_path, 5)
    _, _, err = ship(tmp_path, "stdout")
    last = json.loads(err.splitlines()[-1])["ship"]
    assert (last["sent"], last["behind_events"], last["error"]) == (7, 0, None)


# --- sealed segments into a directory ---


def sealed_log(state):
    directory = made(state, 100, segment_size=60_000)
    seal(directory)
    return directory


def test_sealed_segments_are_dropped_with_seal_tree_and_checkpoint(tmp_path):
    """Each sealed segment arrives byte for byte, with its seal, its hashes and a checkpoint; twice changes nothing."""
    directory = sealed_log(tmp_path / "state")
    archive = tmp_path / "archive"
    archive.mkdir()
    assert ship(tmp_path / "state", f"drop:{archive}")[0] == 0
    target = archive / "main" / "w0"
    names = {path.name for path in directory.glob("seg-*") if path.suffix in {".zst", ".seal", ".tree"}}
    assert names and names == {path.name for path in target.glob("seg-*")}
    assert all((target / name).read_bytes() == (directory / name).read_bytes() for name in names)
    (checkpoint,) = target.glob("checkpoint-*")
    assert checkpoint.read_bytes() == (directory / "checkpoint").read_bytes()
    assert list(target.glob(".*")) == []
    (directory / "cursor-drop-archive.json").unlink()
    before = {path: path.stat().st_mtime_ns for path in target.iterdir()}
    assert ship(tmp_path / "state", f"drop:{archive}")[0] == 0
    assert before == {path: path.stat().st_mtime_ns for path in target.iterdir()}


def test_what_was_dropped_verifies_by_itself_and_is_an_anchor(tmp_path):
    """The archive is a log that verifies alone, and its checkpoints hold the original to what it was."""
    directory = sealed_log(tmp_path / "state")
    archive = tmp_path / "archive"
    archive.mkdir()
    assert ship(tmp_path / "state", f"drop:{archive}")[0] == 0
    verifier = [COMMAND[0], Path(gateway.audit.verifier.__file__), "log"]
    for given in ([archive / "main" / "w0"], [directory, "--anchor", archive]):
        done = subprocess.run([*verifier, *given], capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    rolled_back = tmp_path / "rolled-back"
    shutil.copytree(directory, rolled_back)
    (rolled_back / "checkpoint").unlink()
    max(rolled_back.glob("seg-*.jsonl")).unlink()  # the newest segment: an older state of the log
    done = subprocess.run([*verifier, rolled_back, "--anchor", archive], capture_output=True, check=False)
    assert done.returncode == 1, done.stdout


def test_a_cursor_that_cannot_be_written_is_no_confirmation(tmp_path):
    """On a full disk the batch is sent again later, and the reason is told; nothing is taken for shipped."""
    with small_disk(tmp_path / "state", 2 * 1024**2) as state:
        directory = made(state, 50, segment_size=200_000)
        filler = state / "filler"
        with suppress(OSError), filler.open("wb") as file:
            while file.write(bytes(4096)):
                file.flush()
        with following(state, "stdout", "--batch", "10", "--max-wait", "1") as process:
            wait_until(lambda: "the cursor cannot be written: no space left on device" in process.output())
            filler.unlink()
            wait_until(lambda: list(directory.glob("cursor-*.json")) and cursor(directory)["sequence"] == 52)


def test_an_archive_may_begin_with_the_segment_that_is_being_written(tmp_path):
    """--begin now: what is sealed already stays out, the segment of this moment comes in when it is sealed."""
    directory = sealed_log(tmp_path / "state")
    (tmp_path / "archive").mkdir()
    (live,) = directory.glob("seg-*.jsonl")
    assert ship(tmp_path / "state", f"drop:{tmp_path / 'archive'}", "--begin", "now")[0] == 0
    made(tmp_path / "state", 60, segment_size=60_000)
    seal(directory)
    code, _, err = ship(tmp_path / "state", f"drop:{tmp_path / 'archive'}")
    assert code == 0, err
    dropped = sorted(path.name for path in (tmp_path / "archive").rglob("*.zst"))
    assert dropped[0] == live.name + ".zst" and len(dropped) > 1


def test_a_dropped_file_is_never_replaced(tmp_path):
    """A file of the same name with other contents ends shipping with exit code 1, and stays."""
    sealed_log(tmp_path / "state")
    target = tmp_path / "archive" / "main" / "w0"
    target.mkdir(parents=True)
    (target / "seg-000000000000.jsonl.zst").write_bytes(b"somebody else's")
    code, _, err = ship(tmp_path / "state", f"drop:{tmp_path / 'archive'}")
    assert code == 1 and "another file of that name" in err
    assert (target / "seg-000000000000.jsonl.zst").read_bytes() == b"somebody else's"


def test_a_segment_that_is_not_what_its_seal_says_is_not_dropped(tmp_path):
    """The SHA-256 of the seal is checked on the way."""
    directory = sealed_log(tmp_path / "state")
    packed = directory / "seg-000000000000.jsonl.zst"
    packed.chmod(0o600)
    with packed.open("ab") as file:
        file.write(b"x")
    (tmp_path / "archive").mkdir()
    code, _, err = ship(tmp_path / "state", f"drop:{tmp_path / 'archive'}")
    assert code == 1 and "not what its seal says" in err
    assert [path.name for path in (tmp_path / "archive").rglob("*") if path.is_file()] == []


def test_a_directory_that_is_not_mounted_is_waited_for(tmp_path):
    """The directory itself is never made: a mount that is missing is not written beside."""
    directory = sealed_log(tmp_path / "state")
    archive = tmp_path / "archive"
    with following(tmp_path / "state", f"drop:{archive}", "--max-wait", "1") as process:
        wait_until(lambda: "is not there" in process.output())
        assert not archive.exists()
        archive.mkdir()
        wait_until(lambda: list(directory.glob("cursor-*.json")))
    assert list((archive / "main" / "w0").glob("*.zst"))


def test_a_segment_pruned_before_it_was_dropped_is_told(tmp_path):
    """A segment whose events are gone is not in the archive: exit code 1."""
    directory = sealed_log(tmp_path / "state")
    (directory / "seg-000000000000.jsonl.zst").unlink()
    (tmp_path / "archive").mkdir()
    code, _, err = ship(tmp_path / "state", f"drop:{tmp_path / 'archive'}")
    assert code == 1 and "removed before they were shipped" in err


# --- what is refused before anything is sent ---

WRONG = [
    ("no scheme", ["collector.example"], "not an address of a receiver"),
    ("another scheme", ["kafka://x"], "not an address of a receiver"),
    ("no host", ["otlp+https:///v1/logs"], "not an address of a receiver"),
    ("no path", ["otlp+https://collector.example"], "the path is missing"),
    ("a path for syslog", ["syslog+tls://h/x"], "syslog has no paths"),
    ("a port that is none", ["syslog+tls://h:99999"], "not an address"),
    ("a password in the address", ["otlp+https://u:p@h/v1/logs"], "is seen by every user"),
    ("a token in the address", ["otlp+https://h/v1/logs?token=x"], "an address with ? or #"),
    ("a relative directory", ["drop:archive"], "not an absolute path"),
    ("TLS for standard output", ["stdout", "--ca", "FILE"], "nothing to do with stdout"),
    ("TLS without TLS", ["otlp+http://127.0.0.1/v1/logs", "--ca", "FILE"], "the address has no TLS"),
    ("an authority that is missing", ["syslog+tls://h", "--ca", "/nowhere.pem"], "cannot be read"),
    ("an authority that is none", ["syslog+tls://h", "--ca", "FILE"], "not usable for TLS"),
    ("a certificate without key", ["syslog+tls://h", "--client-certificate", "FILE"], "come together"),
    ("headers for syslog", ["syslog+tls://h", "--header-file", "FILE"], "syslog has no headers"),
    ("headers that others can read", ["otlp+https://h/v1/logs", "--header-file", "OPEN"], "is open to other users"),
    ("a header that is none", ["otlp+https://h/v1/logs", "--header-file", "FILE"], "line 1 is not a header"),
    ("a token in the clear", ["otlp+http://h/v1/logs", "--header-file", "TOKEN"], "would be sent in the clear"),
    ("a header that is ours", ["otlp+https://h/v1/logs", "--header-file", "HOST"], "Host is set by us"),
    ("a name that is a path", ["stdout", "--name", "../x"], "not a name"),
]


@pytest.mark.parametrize(("given", "message"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_a_wrong_address_or_file_is_told_before_anything_is_sent(tmp_path, given, message):
    """Exit code 2, with the option that is wrong; what stands in a file is never shown."""
    files = {
        "FILE": "geheim",
        "OPEN": "Authorization: geheim",
        "TOKEN": "Authorization: geheim",
        "HOST": "Host: geheim",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o644 if name == "OPEN" else 0o600)
    given = [str(tmp_path / each) if each in files else each for each in given]
    done = CliRunner().invoke(app, ["ship", "--state-dir", str(tmp_path), "--to", *given], env={"COLUMNS": "200"})
    assert (done.exit_code, done.stdout) == (2, "")
    assert "error: --" in done.stderr and message in done.stderr
    assert "geheim" not in done.stderr


def test_a_state_directory_without_a_record_is_a_mistake(tmp_path):
    """A wrong directory is told, with exit code 2."""
    code, _, err = ship(tmp_path, "stdout")
    assert code == 2 and "no record there" in err


def test_pauses_grow_and_differ_between_replicas():
    """1, 2, 4 … seconds up to the longest, each shortened by up to a half at random; Retry-After is kept to."""
    full, half = BackOff(60, lambda: 1.0), BackOff(60, lambda: 0.0)
    assert [full.failed() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert [half.failed() for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    full.succeeded()
    assert full.failed() == 1
    assert 120 <= half.failed(120) <= 121


def test_a_batch_is_bounded_in_events_and_bytes(tmp_path):
    """--batch and --batch-bytes bound what is held in memory; one event is always taken."""
    directory = made(tmp_path, 50)
    assert len(Tail(directory, 0).take(52, 10, 10**9)) == 10
    assert len(Tail(directory, 0).take(52, 10, 1)) == 1
    assert 2 <= len(Tail(directory, 0).take(52, 100, 8000)) <= 10
    with pytest.raises(LostEvents):
        Tail(directory, 0).take(53, 100, 10**9)  # more was acknowledged than there is


def test_a_person_reads_one_sentence():
    """On a terminal: how many, how far behind, what is wrong."""
    status = Status("s", "n", sent=5, behind=3, lag=12.4, error="h:1: connection refused", waiting=4.2)
    assert status.sentence == "5 sent, 3 behind, oldest 12 s old, h:1: connection refused; again in 4 s"
