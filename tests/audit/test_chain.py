"""The log's keys and checkpoints: rolled with each segment, erased after it, found again after any crash."""

import json
import shutil
import subprocess
import sys
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.audit import Durability, Ledger, LedgerOptions, opened, stamp
from gateway.audit.command_log import record
from gateway.audit.verifier import verify_log
from gateway.errors import LedgerError
from gateway.state.directory import StateDirectory
from tests.audit.ocsf import problems
from tests.audit.reading import codes, details, events, lines
from tests.audit.samples import exchange
from tests.audit.test_failures import wait_for

SMALL = LedgerOptions(segment_size=64 * 1024, reserve=4096)


def event():
    return opened(exchange(), stamp())


def filled(directory, count=100, options=SMALL):
    with Ledger.open(directory, origin="o", options=options) as ledger:
        for _ in range(count):
            ledger.append(event(), Durability.ASYNC)
    return directory


def headers(directory):
    return [json.loads(line) for line in lines(directory) if line.startswith(b'{"log":')]


def test_each_segment_has_a_key_of_its_own_and_the_old_ones_are_gone(tmp_path):
    """A segment's key signs for the next one and is erased: one private key is left, and it is of the last segment."""
    with Ledger.open(tmp_path, origin="o", options=SMALL) as ledger:
        seen = {(tmp_path / "keys" / "current").read_bytes().strip()}
        for _ in range(120):
            ledger.append(event(), Durability.BEFORE).wait(5)
            seen.add((tmp_path / "keys" / "current").read_bytes().strip())
    keys = [header["vkey"] for header in headers(tmp_path)]
    assert len(keys) == len(set(keys)) == len(seen) > 3
    assert [header["roll"] is None for header in headers(tmp_path)] == [True] + [False] * (len(keys) - 1)
    current = (tmp_path / "keys" / "current").read_bytes().strip()
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert [key for key in seen if key in everything] == [current]
    assert len(b64decode(current)) == 32
    assert verify_log(tmp_path).findings == ()


def crash_before_the_key_is_promoted(directory, before):
    """The new segment has its name; the files of the keys are as they were before."""
    new = json.loads(max(directory.glob("seg-*.jsonl")).read_bytes().splitlines()[0])
    assert new["vkey"].encode() in (directory / "keys" / "vkeys.log").read_bytes()
    shutil.move(directory / "keys" / "current", directory / "keys" / "next")
    shutil.copy(before / "keys" / "current", directory / "keys" / "current")


def crash_before_the_segment_has_its_name(directory, _before):
    (directory / "keys" / "next").write_bytes(b"QUJD")
    (directory / "seg-000000000999.tmp").write_bytes(b'{"log":"gateway-audit/2"')


@pytest.mark.parametrize("crash", [crash_before_the_key_is_promoted, crash_before_the_segment_has_its_name])
def test_a_crash_in_the_middle_of_a_roll_is_completed_or_undone(tmp_path, crash):
    """Wherever a roll was cut off, the next start has exactly the key that the last segment names."""
    log = tmp_path / "log"
    with Ledger.open(log, origin="o", options=SMALL) as ledger:
        before = 0
        while before < 2:
            shutil.rmtree(tmp_path / "before", ignore_errors=True)
            shutil.copytree(log, tmp_path / "before")
            ledger.append(event(), Durability.BEFORE).wait(5)
            before = len(list(log.glob("seg-*.jsonl")))
    crash(log, tmp_path / "before")
    filled(log, 1)
    assert not (log / "keys" / "next").exists()
    assert verify_log(log).findings == ()


def test_the_checkpoint_is_that_of_what_is_durable(tmp_path):
    """The checkpoint states the size of the log within a second or two, and its end when it is closed."""
    with Ledger.open(tmp_path, origin="o") as ledger:
        ledger.append(event(), Durability.BEFORE).wait(5)
        wait_for(lambda: (tmp_path / "checkpoint").read_text().split("\n")[:2] == ["o", "2"])
    origin, size, root, empty, signature, _ = (tmp_path / "checkpoint").read_text().split("\n")
    commit = json.loads(lines(tmp_path)[-1])
    assert (origin, int(size), root, empty) == ("o", commit["cp"], commit["root"], "")
    assert signature == f"\u2014 o {commit['sig']}"


def test_silence_is_recorded(tmp_path):
    """A log without events says so itself, so that a missing hour is not mistaken for a quiet one."""
    with Ledger.open(tmp_path, origin="o", options=LedgerOptions(heartbeat=0.5)):
        wait_for(lambda: "audit.heartbeat" in codes(tmp_path))
    [beat, *_] = [each for each in events(tmp_path) if each["metadata"]["event_code"] == "audit.heartbeat"]
    assert problems(beat) == []


def test_a_damaged_log_is_set_aside_when_the_operator_says_so(tmp_path):
    """With `on_damage = set-aside` a new log begins and says why; the damaged one is kept as it was found."""
    log = filled(tmp_path / "w0")
    path = max(log.glob("seg-*.jsonl"))
    path.write_bytes(path.read_bytes().replace(b'"GET"', b'"PUT"'))
    damaged = {each.name: each.read_bytes() for each in log.glob("seg-*")}
    with pytest.raises(LedgerError, match="acknowledged"):
        Ledger.open(log, origin="o", options=SMALL)
    Ledger.open(log, origin="o", options=LedgerOptions(on_damage="set-aside")).close()
    [told] = details(log, "audit.set_aside")
    assert str(path) in told["problem"]
    assert {each.name: each.read_bytes() for each in (tmp_path / told["directory"]).glob("seg-*")} == damaged
    assert codes(log) == ["audit.start", "audit.set_aside", "audit.stop"]
    assert verify_log(log).findings == ()
    assert verify_log(tmp_path / told["directory"]).findings != ()


# --- the commands' own log ------------------------------------------------------------------------------------


def test_what_a_command_does_is_recorded_with_who_did_it(tmp_path):
    """A command leaves one event in a log of its own: its code, its facts, the user and the host."""
    state = StateDirectory.prepare(tmp_path / "state")
    record(state.path, "audit.query", {"query": "user:alice"})
    record(state.path, "audit.export", {"format": "cef"}, succeeded=False)
    log = state.audit_directory("cli")
    first, second = events(log)
    assert [codes(log), first["status_id"], second["status_id"]] == [["audit.query", "audit.export"], 1, 2]
    assert first["class_uid"] == 6003
    assert first["actor"]["user"]["uid"]
    assert first["src_endpoint"]["hostname"]
    assert problems(first) == problems(second) == []
    assert verify_log(log).findings == ()


def test_commands_wait_for_each_other(tmp_path):
    """Commands that run at the same time take turns: each leaves its event, once."""
    state = StateDirectory.prepare(tmp_path / "state")
    program = "import sys; from pathlib import Path; from gateway.audit.command_log import record; "
    program += "record(Path(sys.argv[1]), 'audit.query', {'number': int(sys.argv[2])})"

    def run(number):
        return subprocess.run([sys.executable, "-c", program, state.path, str(number)], timeout=60).returncode

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(run, range(6))) == [0] * 6
    assert sorted(each["number"] for each in details(state.audit_directory("cli"), "audit.query")) == list(range(6))


def test_what_cannot_be_recorded_is_refused(tmp_path):
    """Where there is no state directory of a gateway, a command is told so: it must not go on unrecorded."""
    with pytest.raises(LedgerError, match="not the state directory of a gateway") as refused:
        record(Path(tmp_path), "audit.query", {})
    assert "--unrecorded" in refused.value.hint
