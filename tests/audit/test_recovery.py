"""What a start does with a log that a crash, a disk or a person has changed."""

import json
import os
import random
import re
import subprocess
from contextlib import contextmanager
from hashlib import sha256

import pytest

from gateway.audit import Durability, Ledger, LedgerOptions, opened, stamp
from gateway.errors import LedgerError
from tests.audit.ocsf import problems
from tests.audit.reading import codes, details, events, sequences
from tests.audit.samples import exchange
from tests.support.disks import small_disk

SMALL = LedgerOptions(segment_size=64 * 1024, reserve=4096)


def event():
    return opened(exchange(), stamp())


@pytest.fixture
def log(tmp_path):
    """A log of several segments that was stopped in order."""
    with Ledger.open(tmp_path, origin="o", options=SMALL) as ledger:
        for _ in range(100):
            ledger.append(event(), Durability.ASYNC)
    return tmp_path


def last_segment(directory):
    return max(directory.glob("seg-*.jsonl"))


TAILS = {  # what may follow the last good line after a crash
    "half a line": b'{"metadata":{"sequence":102,"log_name":"o","uid":"01',
    "half a character": b'{"metadata":{"sequence":102,"x":"\xe2\x80',
    "zeros, as ext4 leaves unwritten blocks": b"\0" * 5000,
    "garbage": bytes(range(256)) * 20,
    "garbage with line feeds": b"\n\n}{\n\xff\n",
    "a line without its end, with zeros": b'{"metadata":{"sequence":102}}' + b"\0" * 100,
    "a hole, then lines that were never acknowledged": b"\0" * 4096 + b'{"metadata":{"sequence":105,"a":1}}\n',
    "a complete line of no JSON": b'{"metadata":{"sequence":102\n',
}


@pytest.mark.parametrize("tail", TAILS.values(), ids=TAILS.keys())
def test_a_torn_end_is_moved_aside_and_reported(log, tail):
    """What a crash left behind the last complete line is kept in a file of its own, cut off, and reported."""
    before = sequences(log)
    with last_segment(log).open("ab") as file:
        file.write(tail)
    with Ledger.open(log, origin="o", options=SMALL) as ledger:
        ledger.append(event(), Durability.BEFORE).wait(5)
    [found] = details(log, "audit.recovered")
    kept = (log / found["file"]).read_bytes()
    assert kept == tail
    assert found["torn_bytes"] == len(tail)
    assert found["sha256"] == sha256(tail).hexdigest()
    assert sequences(log) == [*before, *range(102, 106)]
    assert codes(log)[102:] == ["audit.start", "audit.recovered", "http.request", "audit.stop"]
    assert [problems(each) for each in events(log)[102:]] == [[]] * 4


def test_complete_lines_without_a_commit_were_never_acknowledged(log):
    """An event that no commit signs for was acknowledged to nobody: it is moved aside like half a line."""
    before = sequences(log)
    line = json.dumps({"metadata": {"sequence": 102, "event_code": "x.y"}}, separators=(",", ":")).encode() + b"\n"
    with last_segment(log).open("ab") as file:
        file.write(line)
    Ledger.open(log, origin="o", options=SMALL).close()
    [found] = details(log, "audit.recovered")
    assert (log / found["file"]).read_bytes() == line
    assert sequences(log) == [*before, 102, 103, 104]


def test_a_cut_end_is_noticed_by_the_checkpoint(log):
    """Whoever cuts the end of the log off has cut off what the checkpoint says was on the disk: refused."""
    path = last_segment(log)
    whole = path.read_bytes()
    for cut in random.Random(1).sample(range(whole.index(b"\n") + 1, len(whole) - 1), 20):
        path.write_bytes(whole[:cut])
        with pytest.raises(LedgerError, match=r"no commit in it is good|were acknowledged, are missing"):
            Ledger.open(log, origin="o", options=SMALL)
        assert path.read_bytes() == whole[:cut]


def test_every_cut_of_the_last_segment_recovers(log):
    """Wherever a power cut ends the file, what the last whole commit covers stays, and writing goes on."""
    (log / "checkpoint").unlink()  # of the time before the cut: this one has seen more than the file has now
    path = last_segment(log)
    whole = path.read_bytes()
    first_commit = next(re.finditer(rb'\{"cp":[^\n]*\n', whole)).end()
    for cut in random.Random(1).sample(range(first_commit, len(whole)), 40):
        path.write_bytes(whole[:cut])
        commits = [json.loads(each[0]) for each in re.finditer(rb'\{"cp":[^\n]*\n', whole[:cut])]
        torn = not whole[:cut].endswith(b"\n") or not whole[:cut].splitlines()[-1].startswith(b'{"cp":')
        Ledger.open(log, origin="o", options=SMALL).close()
        assert sequences(log) == list(range(commits[-1]["cp"] + (3 if torn else 2)))
        (log / "checkpoint").unlink()
        for later in sorted(log.glob("seg-*.jsonl")):
            assert later.name <= path.name


def cut_a_middle_line(directory):
    path = last_segment(directory)
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join(lines[:3] + lines[4:]))


def damage_a_middle_line(directory):
    path = last_segment(directory)
    data = bytearray(path.read_bytes())
    at = data.index(b"\n", 2000) + 1
    data[at : at + 5] = b"XXXXX"
    path.write_bytes(data)


def repeat_a_line(directory):
    path = last_segment(directory)
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([*lines[:3], lines[2], *lines[3:]]))


def remove_the_first_segment(directory):
    min(directory.glob("seg-*.jsonl")).unlink()


def change_a_letter(directory):
    path = last_segment(directory)
    path.write_bytes(path.read_bytes().replace(b"10.20.30.40", b"10.20.30.41", 1).replace(b'"GET"', b'"PUT"', 1))


def change_a_letter_of_an_earlier_segment(directory):
    path = sorted(directory.glob("seg-*.jsonl"))[1]
    data = path.read_bytes()
    at = data.index(b'"GET"')
    path.write_bytes(data[:at] + b'"PUT"' + data[at + 5 :])


def give_an_earlier_segment_another_header(directory):
    first, second, *_ = sorted(directory.glob("seg-*.jsonl"))
    header = json.loads(first.read_bytes().split(b"\n", 1)[0])
    data = second.read_bytes().split(b"\n", 1)
    changed = json.loads(data[0]) | {"vkey": header["vkey"]}
    second.write_bytes(json.dumps(changed, separators=(",", ":")).encode() + b"\n" + data[1])


def remove_the_last_segment(directory):
    last_segment(directory).unlink()


def remove_every_segment(directory):
    for path in directory.glob("seg-*"):
        path.unlink()


def remove_every_segment_and_the_checkpoint(directory):
    remove_every_segment(directory)
    (directory / "checkpoint").unlink()


def lose_the_key(directory):
    (directory / "keys" / "current").unlink()


def damage_the_key(directory):
    (directory / "keys" / "current").write_text("no key\n")


def remove_a_middle_segment(directory):
    sorted(directory.glob("seg-*.jsonl"))[1].unlink()


def shorten_an_earlier_segment(directory):
    path = sorted(directory.glob("seg-*.jsonl"))[1]
    path.write_bytes(path.read_bytes()[:-10])


def shorten_an_earlier_segment_by_a_line(directory):
    path = sorted(directory.glob("seg-*.jsonl"))[1]
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def replace_the_header(directory):
    path = last_segment(directory)
    path.write_bytes(b"{}\n" + path.read_bytes().split(b"\n", 1)[1])


def use_a_newer_format(directory):
    path = last_segment(directory)
    path.write_bytes(path.read_bytes().replace(b"gateway-audit/2", b"gateway-audit/9", 1))


def empty_the_segment(directory):
    last_segment(directory).write_bytes(b"")


def zero_far_from_the_end(directory):
    path = last_segment(directory)
    data = bytearray(path.read_bytes())
    at = data.index(b"\n", 2000) + 1
    data[at : at + 10] = b"\0" * 10
    filler = b'{"filler":"' + b"x" * 1000 + b'"}\n'
    path.write_bytes(bytes(data) + filler * (9 * 1024))


ACKNOWLEDGED = "which were acknowledged, are missing or changed"

DAMAGE = [
    (cut_a_middle_line, ACKNOWLEDGED),
    (damage_a_middle_line, ACKNOWLEDGED),
    (change_a_letter, ACKNOWLEDGED),
    (repeat_a_line, ACKNOWLEDGED),
    (remove_the_first_segment, "missing"),
    (remove_a_middle_segment, "what was between them is missing"),
    (remove_the_last_segment, ACKNOWLEDGED),
    (remove_every_segment, "checkpoint is of a log, and there is no segment of it"),
    (remove_every_segment_and_the_checkpoint, "vkeys.log is of a log, and there is no segment of it"),
    (shorten_an_earlier_segment, "does not end with a commit"),
    (shorten_an_earlier_segment_by_a_line, "does not end with a commit"),
    (change_a_letter_of_an_earlier_segment, "not those that its last commit signs for"),
    (give_an_earlier_segment_another_header, "does not end with a commit that its key has signed"),
    (replace_the_header, "not a header"),
    (use_a_newer_format, "format 'gateway-audit/9'"),
    (empty_the_segment, "not a header"),
    (zero_far_from_the_end, "damaged at byte"),
    (lose_the_key, "the private key of the log is missing"),
    (damage_the_key, "private key"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGE, ids=[row[0].__name__ for row in DAMAGE])
def test_a_damaged_log_is_refused_and_left_alone(log, damage, message):
    """When something acknowledged is missing or changed, the gateway does not start, says where, touches nothing."""
    damage(log)
    before = {path.name: path.read_bytes() for path in log.glob("seg-*")}
    with pytest.raises(LedgerError, match=message):
        Ledger.open(log, origin="o", options=SMALL)
    assert {path.name: path.read_bytes() for path in log.glob("seg-*")} == before
    assert not list(log.glob("torn-*"))


def test_a_segment_that_was_never_finished_is_forgotten(log):
    """A crash while a segment is created leaves nothing that disturbs the next start."""
    (log / "seg-000000000102.tmp").write_bytes(b'{"log":')
    Ledger.open(log, origin="o", options=SMALL).close()
    assert sequences(log) == list(range(104))
    assert not list(log.glob("*.tmp"))


def test_a_directory_that_cannot_be_written_is_refused(tmp_path):
    """Without a place for the record the gateway does not start."""
    with unwritable(tmp_path / "disk") as disk, pytest.raises(LedgerError, match="cannot be written"):
        Ledger.open(disk / "audit", origin="o")


@contextmanager
def unwritable(path):
    """A directory that this user cannot write: root needs a read-only file system for that."""
    if os.geteuid() != 0:
        path.mkdir(mode=0o500)
        yield path
        return
    with small_disk(path, 1024**2) as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        yield disk


def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path):
    """A path that is no directory is refused with a message, not with a traceback."""
    (tmp_path / "audit").write_text("")
    with pytest.raises(LedgerError, match="cannot be written"):
        Ledger.open(tmp_path / "audit" / "main" / "0", origin="o")


def test_a_first_start_that_was_cut_off_is_begun_again(tmp_path):
    """A crash after the first key and before the first segment leaves a log that has not begun: it begins now."""
    Ledger.open(tmp_path / "log", origin="o").close()
    (tmp_path / "cut" / "keys").mkdir(parents=True)
    (tmp_path / "cut" / "keys" / "current").write_bytes((tmp_path / "log" / "keys" / "current").read_bytes())
    (tmp_path / "cut" / "seg-000000000000.tmp").write_bytes(b'{"log":')
    Ledger.open(tmp_path / "cut", origin="o").close()
    assert sequences(tmp_path / "cut") == [0, 1]
