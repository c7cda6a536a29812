"""The log in bad days: killed, full, hung, deleted. What was acknowledged is there; what was not is never pretended."""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.audit import Durability, Ledger, LedgerOptions, opened, stamp
from gateway.errors import AuditUnavailable, LedgerError
from tests.audit.ocsf import problems
from tests.audit.reading import codes, details, events, sequences
from tests.audit.samples import exchange
from tests.support.disks import small_disk

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"
MIB = 1024 * 1024
KILLS = int(os.environ.get("KILLS", "10"))  # `make crash-test` does a hundred


def event(request_id="req-1"):
    return opened(exchange(request_id=request_id), stamp())


def recorded(directory):
    return [each["metadata"]["correlation_uid"] for each in events(directory) if "correlation_uid" in each["metadata"]]


def wait_for(condition, timeout=10.0):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def program(name, *arguments, **environment):
    return [sys.executable, str(PROGRAMS / name), *map(str, arguments)], {
        "cwd": ROOT,
        "env": os.environ | {"PYTHONPATH": str(ROOT)} | environment,
    }


# --- kill -9 --------------------------------------------------------------------------------------------------


def test_no_acknowledged_event_is_lost_when_the_process_is_killed(tmp_path):
    """After kill -9 under load, every acknowledged event is in the record exactly once, and the log goes on."""
    acknowledged: list[str] = []
    chooser = random.Random(7)
    for run in range(KILLS):
        with (tmp_path / "acknowledged").open("w+b") as out:
            command, options = program("append.py", tmp_path / "log", run)
            process = subprocess.Popen(command, stdout=out, **options)
            try:
                wait_for(lambda out=out: os.fstat(out.fileno()).st_size > 0, 30)
                time.sleep(chooser.uniform(0.05, 0.3))
            finally:
                process.kill()
                process.wait()
            out.seek(0)
            acknowledged += [line.decode().strip() for line in out if line.endswith(b"\n") and line != b"ready\n"]
    Ledger.open(tmp_path / "log", origin="o").close()
    found = recorded(tmp_path / "log")
    assert len(acknowledged) > 1000
    assert len(found) == len(set(found))
    assert set(acknowledged) - set(found) == set()
    assert sequences(tmp_path / "log") == list(range(len(events(tmp_path / "log"))))
    torn = list((tmp_path / "log").glob("torn-*.bin"))
    assert codes(tmp_path / "log").count("audit.recovered") == len(torn)


# --- a full disk ----------------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk", 8 * MIB) as path:
        yield path


def fill(path):
    """Take every byte that is left."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 65536)
        except OSError:
            return


def test_a_full_disk_refuses_cleanly_and_loses_nothing(disk):
    """On a full disk every event is refused; what was acknowledged stays; with space the log resumes by itself."""
    options = LedgerOptions(segment_size=MIB, reserve=MIB // 4, probe_interval=0.1)
    acknowledged, refused = [], []
    with Ledger.open(disk / "log", origin="o", options=options) as ledger:
        fill(disk / "filler")
        for number in range(1500):
            try:
                ledger.append(event(f"a{number}"), Durability.BEFORE).wait(5)
                acknowledged.append(f"a{number}")
            except AuditUnavailable as error:
                refused.append(error.cause)
        assert ledger.health.state == "failed"
        assert ledger.health.cause == "disk-full"
        assert set(refused) == {"disk-full"}
        assert acknowledged[-1] == f"a{len(acknowledged) - 1}"
        assert recorded(disk / "log") == acknowledged
        assert "audit.failed" in codes(disk / "log")
        (disk / "filler").unlink()
        wait_for(lambda: ledger.health.state == "writing")
        ledger.append(event("again"), Durability.BEFORE).wait(5)
    assert recorded(disk / "log") == [*acknowledged, "again"]
    assert sum(each["count"] for each in details(disk / "log", "audit.suppressed")) == len(refused)
    [resumed] = details(disk / "log", "audit.resumed")
    assert resumed["cause"] == "disk-full"
    assert [problems(each) for each in events(disk / "log")[-5:]] == [[]] * 5
    Ledger.open(disk / "log", origin="o", options=options).close()
    assert sequences(disk / "log") == list(range(len(events(disk / "log"))))


def test_reserved_blocks_take_events_after_the_disk_is_full(disk):
    """A segment's space is reserved when it begins: a disk that fills up does not stop the log in its middle."""
    with Ledger.open(disk / "log", origin="o", options=LedgerOptions(segment_size=MIB, reserve=MIB // 4)) as ledger:
        fill(disk / "filler")
        for number in range(400):
            ledger.append(event(f"a{number}"), Durability.BEFORE).wait(5)
    assert len(recorded(disk / "log")) == 400


def test_a_log_on_a_full_disk_does_not_start(disk):
    """Without space for its first segment the gateway does not start."""
    with pytest.raises(LedgerError, match="No space left on device"):
        Ledger.open(disk / "log", origin="o", options=LedgerOptions(segment_size=64 * MIB))
    assert not list((disk / "log").glob("seg-*"))


# --- a disk that does not answer ------------------------------------------------------------------------------


@pytest.fixture
def slow_disk(tmp_path):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("a hung disk is imitated by a library that a C compiler makes: install gcc")
    library = tmp_path / "slow_disk.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, PROGRAMS / "slow_disk.c", "-ldl"], check=True)
    return library


def hang(tmp_path, library, *arguments):
    trigger = tmp_path / "hang"
    command, options = program(
        "hang.py", tmp_path / "log", trigger, *arguments, LD_PRELOAD=str(library), SLOW_DISK=str(trigger)
    )
    done = subprocess.run(command, capture_output=True, timeout=60, **options)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def test_a_hung_disk_counts_as_failed(tmp_path, slow_disk):
    """A disk that does not answer within `ack_timeout` refuses who waits, and who comes, at once; the loop runs on."""
    found = hang(tmp_path, slow_disk)
    assert found["before"][0] is None
    assert {cause for cause, _ in found["during"]} == {"timeout"}
    assert all(0.4 < took < 1.5 for _, took in found["during"])
    assert found["after the first"][0] == "timeout"
    assert found["after the first"][1] < 0.05
    assert found["state"] == ["failed", "timeout"]
    assert found["again"][0] is None
    assert found["longest gap"] < 0.25
    assert recorded(tmp_path / "log") == ["before", "again"]
    assert [each["cause"] for each in details(tmp_path / "log", "audit.failed")] == ["timeout"]
    assert details(tmp_path / "log", "audit.suppressed")[0]["count"] == 21
    assert sequences(tmp_path / "log") == list(range(len(events(tmp_path / "log"))))


def test_a_hung_disk_does_not_hold_up_the_end(tmp_path, slow_disk):
    """Closing on a hung disk gives up after a few times `ack_timeout`; the next start finds a good log."""
    found = hang(tmp_path, slow_disk, "close-hung")
    assert found["close"] < 4
    Ledger.open(tmp_path / "log", origin="o").close()


# --- somebody at the files ------------------------------------------------------------------------------------


def delete(path):
    path.unlink()


def replace_with_another(path):
    path.rename(path.with_suffix(".moved"))
    path.write_text("{}\n")


def append_to(path):
    with path.open("ab") as file:
        file.write(b'{"metadata":{"sequence":999,"event_code":"forged"}}\n')


@pytest.mark.parametrize("attack", [delete, replace_with_another, append_to])
@pytest.mark.parametrize("idle", [True, False], ids=["noticed while idle", "noticed by the next event"])
def test_a_file_that_is_deleted_or_replaced_is_noticed_and_restored(tmp_path, attack, idle):
    """The log notices within a second that its file is gone or not its own, says so, and puts it back."""
    with Ledger.open(tmp_path, origin="o", options=LedgerOptions(probe_interval=0.1)) as ledger:
        for number in range(10):
            ledger.append(event(f"a{number}"), Durability.BEFORE).wait(5)
        attack(tmp_path / "seg-000000000000.jsonl")
        if not idle:
            time.sleep(0.11)  # the path is looked at every tenth of a second
            with pytest.raises(AuditUnavailable, match="log-replaced"):
                ledger.append(event("lost"), Durability.BEFORE).wait(5)
        wait_for(lambda: "audit.resumed" in codes(tmp_path))
        wait_for(lambda: ledger.health.state == "writing")
        ledger.append(event("again"), Durability.BEFORE).wait(5)
    assert recorded(tmp_path) == [*(f"a{number}" for number in range(10)), "again"]
    assert details(tmp_path, "audit.failed")[0]["cause"] == "log-replaced"
    assert details(tmp_path, "audit.resumed")[0]["segment_restored"] is True
    assert "forged" not in codes(tmp_path)
    assert len(list(tmp_path.glob("foreign-*"))) == (0 if attack is delete else 1)
    assert sequences(tmp_path) == list(range(len(events(tmp_path))))


def test_a_file_that_was_cut_by_somebody_stays_refused(tmp_path):
    """When acknowledged bytes are gone, nothing is written over the gap: the log stays failed until somebody looks."""
    with Ledger.open(tmp_path, origin="o", options=LedgerOptions(probe_interval=0.05)) as ledger:
        ledger.append(event(), Durability.BEFORE).wait(5)
        os.truncate(tmp_path / "seg-000000000000.jsonl", 100)
        with pytest.raises(AuditUnavailable, match="log-replaced"):
            ledger.append(event(), Durability.BEFORE).wait(5)
        time.sleep(0.5)
        assert ledger.health.state == "failed"
        assert ledger.health.suppressed == 1
