"""`gateway audit tail`, run as a command beside a log that is being written."""

import json
import os
import subprocess
import sys
import time

import pytest

from gateway.audit import Durability, Ledger, LedgerOptions, closed, ledger_directory, lifecycle, opened, stamp
from gateway.model import Deny, Reason, Surface
from tests.audit.reading import codes
from tests.audit.samples import DENY, POLICY, STAFF, end, exchange, socket
from tests.audit.test_failures import wait_for

COMMAND = [sys.executable, "-c", "import sys; from gateway.cli import main; sys.exit(main())", "audit", "tail"]


def tail(state, *arguments):
    done = subprocess.run(
        [*COMMAND, "--state-dir", str(state), *arguments],
        capture_output=True,
        timeout=30,
        env=os.environ | {"NO_COLOR": "1"},
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture
def state(tmp_path):
    """A state directory with one log of known events."""
    refused = exchange(DENY, request_id="req-refused", path="/admin", page=None)
    allowed = exchange(request_id="req-allowed", principal=STAFF)
    stream = socket(request_id="req-stream")
    with Ledger.open(ledger_directory(tmp_path, "main"), origin="o") as ledger:
        for made in (
            opened(refused, stamp()),
            closed(end(refused, status=403), stamp()),
            opened(allowed, stamp()),
            closed(end(allowed), stamp()),
            opened(stream, stamp()),
            closed(end(stream, status=101, close_code=4403), stamp()),
        ):
            ledger.append(made, Durability.BEFORE)
    return tmp_path


def test_each_event_is_one_readable_line(state):
    """A line shows when, what became of it, who and from where, what for, and the request id to ask about."""
    code, out, _ = tail(state)
    lines = out.splitlines()
    assert code == 0
    assert len(lines) == 8
    assert "audit.start" in lines[0]
    expected = "denied http.request anonymous@10.20.30.40 /admin 403 no-rule-matched rev=0007 12ms req-refused"
    for shown in expected.split():
        assert shown in lines[2]
    assert "allowed" in lines[3] and "j.doe@example.com@10.20.30.40" in lines[3] and "rule=staff" in lines[3]
    assert "ws.close" in lines[6] and "close=4403" in lines[6]


FILTERS = [
    (["-n", "2"], ["ws.close", "audit.stop"]),
    (["-n", "0"], []),
    (["--denied"], ["http.request", "http.request"]),
    (["--event", "ws.open"], ["ws.open"]),
    (["--event", "audit.*", "--event", "ws.close"], ["audit.start", "ws.close", "audit.stop"]),
    (["--request-id", "req-stream"], ["ws.open", "ws.close"]),
    (["--request-id", "req-stream", "-n", "1"], ["ws.close"]),
    (["--event", "nothing"], []),
]


@pytest.mark.parametrize(("arguments", "expected"), FILTERS, ids=[" ".join(row[0]) for row in FILTERS])
def test_events_are_filtered_before_they_are_counted(state, arguments, expected):
    """`-n` counts the events that are asked for; `--json` prints them as they stand in the record."""
    _, out, _ = tail(state, "--json", *arguments)
    assert [json.loads(line)["metadata"]["event_code"] for line in out.splitlines()] == expected


def test_logs_of_several_processes_are_shown_in_one_order(tmp_path):
    """The events of all processes below one state directory are merged by time."""
    logs = [Ledger.open(ledger_directory(tmp_path, "main", worker), origin=f"o/{worker}") for worker in "01"]
    for number in range(6):
        made = lifecycle("gateway.start", f"number {number}", {}, stamp())
        logs[number % 2].append(made, Durability.BEFORE).wait(5)
        time.sleep(0.002)
    for log in logs:
        log.close()
    _, out, _ = tail(tmp_path, "--event", "gateway.start", "-n", "4")
    assert [line.split("number ")[1][0] for line in out.splitlines()] == ["2", "3", "4", "5"]


def test_a_state_directory_without_a_record_is_a_mistake(tmp_path):
    """A wrong directory is told, with exit code 2."""
    code, out, err = tail(tmp_path)
    assert (code, out) == (2, "")
    assert "no record there" in err and "hint: " in err


def test_the_state_directory_comes_from_the_environment(state):
    """Without --state-dir, the directory is the one that the gateway itself uses."""
    done = subprocess.run(COMMAND, capture_output=True, timeout=30, env=os.environ | {"GATEWAY_STATE_DIR": str(state)})
    assert b"audit.start" in done.stdout


def test_a_torn_end_is_not_an_event(state):
    """Half a line, as a crash or a write in progress leaves it, is not shown."""
    segment = ledger_directory(state, "main") / "seg-000000000000.jsonl"
    with segment.open("ab") as file:
        file.write(b'{"metadata":{"sequence":8,"event_code":"half"},"time":1')
    code, out, _ = tail(state)
    assert code == 0
    assert len(out.splitlines()) == 8


def test_control_characters_never_reach_the_terminal(tmp_path):
    """Whatever a client has sent, and whatever somebody has written into the file, the terminal gets printable text."""
    evil = "/\x1b]0;owned\x07\x1b[2J\r\n\x9b31m\u202e[bold red]x[/]"
    with Ledger.open(ledger_directory(tmp_path, "main"), origin="o") as ledger:
        hostile = exchange(Deny(Reason.NOT_FOUND, POLICY), path=evil, surface=Surface.PROBE, page=None)
        ledger.append(opened(hostile, stamp()), Durability.BEFORE).wait(5)
    segment = ledger_directory(tmp_path, "main") / "seg-000000000000.jsonl"
    with segment.open("ab") as file:
        file.write('{"metadata":{"sequence":9,"event_code":"a\x9b31m\u202e"},"time":99999999999999999}\n'.encode())
        file.write(b'{"metadata":{"sequence":10},"time":1,"actor":7,"unmapped":[],"http_request":"x"}\n')
    for arguments in ((), ("--json",)):
        code, out, err = tail(tmp_path, *arguments)
        assert (code, err) == (0, "")
        assert len(out.splitlines()) == 5
        assert all(line.isprintable() for line in out.splitlines())
    assert "[bold red]x[/]" in tail(tmp_path)[1]


def test_following_shows_events_as_they_come_across_segments(tmp_path):
    """`-f` goes on through the roll of a segment and prints every event once, in order, while the gateway writes."""
    options = LedgerOptions(segment_size=32 * 1024, reserve=4096)
    directory = ledger_directory(tmp_path / "state", "main")
    with (tmp_path / "out").open("wb") as out, Ledger.open(directory, origin="o", options=options) as ledger:
        command = [*COMMAND, "--state-dir", str(tmp_path / "state"), "-f", "-n", "1", "--json"]
        process = subprocess.Popen(command, stdout=out)
        try:
            wait_until(lambda: (tmp_path / "out").stat().st_size > 0)
            for number in range(100):
                ledger.append(opened(exchange(request_id=f"r{number}"), stamp()), Durability.BEFORE).wait(5)
                time.sleep(0.005)
            wait_until(lambda: b'"r99"' in (tmp_path / "out").read_bytes())
        finally:
            process.kill()
            process.wait()
    seen = [json.loads(line) for line in (tmp_path / "out").read_bytes().splitlines()]
    assert len(list(directory.glob("seg-*"))) > 3
    assert [each["metadata"]["sequence"] for each in seen] == list(range(101))


def wait_until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_silence_does_not_push_what_happened_out_of_sight(tmp_path):
    """The heartbeats of an idle record are left out of the last lines, and shown to whoever asks for them."""
    directory = tmp_path / "audit" / "main" / "w0"
    with Ledger.open(directory, origin="o", options=LedgerOptions(heartbeat=0.1)):
        wait_for(lambda: codes(directory).count("audit.heartbeat") >= 2)
    assert "audit.heartbeat" not in tail(tmp_path, "-n", "50")[1]
    assert tail(tmp_path, "--event", "audit.heartbeat")[1].count("audit.heartbeat") >= 2
