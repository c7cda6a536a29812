"""The record to receivers of OTLP/HTTP that are slow, busy, rude, dishonest, or dead.

The receiver is made of the official protobuf definitions, and served by the standard library.
"""

import json
import random
import signal
import threading
import time
from email.utils import formatdate

import pytest
from cryptography.x509.oid import NameOID

from gateway.audit.shipping.otlp import LONGEST_WAIT, retry_after
from tests.audit.otlp_receiver import Receiver
from tests.audit.reading import events
from tests.audit.shipping import (
    arguments,
    cursor,
    following,
    last_places,
    ledger,
    made,
    parsed,
    ship,
    uids,
    wait_until,
    write,
)
from tests.support.certificates import Authority
from tests.support.processes import PYTHON, free_port, running


@pytest.fixture
def receiver(tmp_path):
    with Receiver(tmp_path / "received") as started:
        yield started


def address(receiver):
    return f"otlp+http://127.0.0.1:{receiver.port}/v1/logs"


def arrived(receiver):
    return [event["metadata"]["uid"] for event in parsed(receiver.lines())]


def test_every_event_is_one_log_record_in_the_order_of_the_log(tmp_path, receiver):
    """Each log is a resource, each event a record with name, time, severity, attributes, and its line as the body."""
    directory = made(tmp_path / "state", 25)
    code, _, err = ship(tmp_path / "state", address(receiver), "--batch", 10)
    assert code == 0, err
    assert arrived(receiver) == uids(directory)
    assert [len(each.resource_logs[0].scope_logs[0].log_records) for each in receiver.requests] == [10, 10, 7]
    (resource,) = receiver.requests[0].resource_logs
    facts = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert facts["service.name"] == "streamlit-gateway" and facts["service.instance.id"] == "main/w0"
    record, event = resource.scope_logs[0].log_records[1], events(directory)[1]
    assert record.event_name == "gateway.http.request"
    assert record.time_unix_nano == event["time"] * 1_000_000
    assert record.severity_number == 9  # INFO
    attributes = {each.key: each.value for each in record.attributes}
    assert attributes["log.record.uid"].string_value == event["metadata"]["uid"]
    assert attributes["gateway.log.seq"].int_value == 1
    (sent,) = {headers["Content-Encoding"] for headers in receiver.headers}
    assert sent == "gzip"


def test_headers_come_from_a_private_file(tmp_path, receiver):
    """A token stands in a file, on no command line, and in no output."""
    made(tmp_path / "state", 2)
    path = tmp_path / "headers"
    path.write_text("# of the collector\nAuthorization: Bearer geheim\nX-Scope-OrgID: audit\n")
    path.chmod(0o600)
    code, out, err = ship(tmp_path / "state", address(receiver), "--header-file", path)
    assert code == 0
    assert receiver.headers[0]["Authorization"] == "Bearer geheim"
    assert receiver.headers[0]["X-Scope-OrgID"] == "audit"
    assert "geheim" not in out + err


def test_no_proxy_of_the_environment_is_asked(tmp_path, receiver, monkeypatch):
    """The record goes to the receiver and to nobody else, whatever the environment says."""
    made(tmp_path / "state", 2)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    assert ship(tmp_path / "state", address(receiver))[0] == 0


# After these answers the receiver is as it should be. What it had kept before it failed comes once more.
TRY_AGAIN = [
    ("busy", [{"status": 429}, {"status": 502}, {"status": 503}, {"status": 504}]),
    ("an answer that is cut off", [{"body": b"\x0a\x02\x08\x01", "cut": 10}]),
    ("an answer that is no message", [{"body": b"\xff\xff\xff"}]),
    ("a page of a proxy with status 200", [{"type": "text/html", "body": b"<h1>Sign in</h1>"}]),
    ("an empty page of a proxy with status 200", [{"type": "text/html", "body": b""}]),
    ("an answer in JSON", [{"type": "application/json", "body": b"{}"}]),
]


@pytest.mark.parametrize("moods", [row[1] for row in TRY_AGAIN], ids=[row[0] for row in TRY_AGAIN])
def test_what_is_not_confirmed_is_sent_again(tmp_path, receiver, moods):
    """The batch comes again until it is confirmed; no other one overtakes it."""
    directory = made(tmp_path / "state", 18)
    receiver.moods = [{}, *moods]
    code, _, err = ship(tmp_path / "state", address(receiver), "--batch", 10, "--max-wait", 1)
    assert code == 0, err
    assert set(arrived(receiver)) == set(uids(directory))
    places = last_places([event["metadata"]["sequence"] for event in parsed(receiver.lines())])
    assert places == list(range(20))
    assert f'"failures":{len(moods)},' in err


def test_an_empty_answer_confirms(tmp_path, receiver):
    """200 with nothing in it is a valid response message; some receivers send it."""
    made(tmp_path / "state", 2)
    receiver.moods = [{"body": b"", "type": ""}]
    code, _, err = ship(tmp_path / "state", address(receiver))
    assert code == 0 and '"failures":0' in err


def test_retry_after_is_waited_for(tmp_path, receiver):
    """503 with Retry-After: the next request comes no sooner."""
    made(tmp_path / "state", 2)
    receiver.moods = [{"status": 503, "headers": {"Retry-After": "2"}}]
    assert ship(tmp_path / "state", address(receiver))[0] == 0
    first, second = receiver.times
    assert second - first >= 2


NOW = 1790000000
WAITS = [
    ("seconds", "7", 7),
    ("a date", formatdate(NOW + 30, usegmt=True), 30),
    ("a date that is over", formatdate(NOW - 30, usegmt=True), 0),
    ("for ever", "999999999999999999999", LONGEST_WAIT),
    ("a date in the next century", "Fri, 31 Dec 2199 23:59:59 GMT", LONGEST_WAIT),
    ("nothing", None, None),
    ("no number", "soon", None),
    ("a negative number", "-5", None),
    ("digits of another script", "\u0661", None),
]


@pytest.mark.parametrize(("value", "expected"), [row[1:] for row in WAITS], ids=[row[0] for row in WAITS])
def test_retry_after_is_read_as_rfc_9110_says(value, expected):
    """Seconds or a date; bounded, so that nobody silences us; anything else says nothing."""
    assert retry_after(value, NOW) == expected


REFUSALS = [(400, "does not understand"), (401, "--header-file"), (404, "/v1/logs"), (413, "--batch-bytes"), (500, "")]


@pytest.mark.parametrize(("status", "hint"), REFUSALS, ids=[str(row[0]) for row in REFUSALS])
def test_a_refusal_ends_shipping_and_nothing_is_left_out(tmp_path, receiver, status, hint):
    """An answer that must not be repeated: exit code 1, what the receiver says, and the cursor before the batch."""
    directory = made(tmp_path / "state", 18)
    receiver.moods = [{}, {"status": status, "text": "no,\x1b[2J thank you\nat all"}]
    code, _, err = ship(tmp_path / "state", address(receiver), "--batch", 10)
    assert code == 1
    assert f"answers {status}" in err and "thank you at all" in err and "\x1b" not in err and hint in err
    assert cursor(directory)["sequence"] == 10
    assert ship(tmp_path / "state", address(receiver), "--batch", 10)[0] == 0
    assert arrived(receiver) == uids(directory)


def test_a_redirect_is_not_followed(tmp_path, receiver):
    """The record and its token go where we were told, and nowhere else."""
    made(tmp_path / "state", 2)
    receiver.moods = [{"status": 307, "headers": {"Location": f"http://127.0.0.1:{receiver.port}/elsewhere"}}]
    code, _, err = ship(tmp_path / "state", address(receiver))
    assert code == 1 and "answers 307" in err
    assert len(receiver.times) == 1


def test_rejected_events_are_told_and_noted(tmp_path, receiver):
    """Partial success: not sent again, as the specification says; noted beside the log, told, and exit code 1."""
    directory = made(tmp_path / "state", 18)
    receiver.moods = [{}, {"rejected": 3}]
    code, _, err = ship(tmp_path / "state", address(receiver), "--batch", 10)
    assert code == 1
    assert "3 events were rejected" in err
    (path,) = directory.glob("rejected-*.jsonl")
    (note,) = map(json.loads, path.read_text().splitlines())
    assert (note["first"], note["end"], note["rejected"], note["message"]) == (10, 20, 3, "too old")
    assert cursor(directory)["sequence"] == 20
    assert cursor(directory)["rejected"] == 3
    assert len(receiver.requests) == 2


def test_a_receiver_killed_in_the_middle_of_batches_misses_nothing(tmp_path):
    """The receiver gets SIGKILL again and again while events come: afterwards it has every event, in order."""
    rng = random.Random(11)
    port, received = free_port(), tmp_path / "received"
    command = [PYTHON, "-m", "tests.audit.otlp_receiver", received, str(port), "0.0005"]
    target = f"otlp+http://127.0.0.1:{port}/v1/logs"
    with ledger(tmp_path / "state", segment_size=300_000) as log:
        done = threading.Event()
        writer = threading.Thread(target=_write_steadily, args=(log, done))
        writer.start()
        directory = tmp_path / "state" / "audit" / "main" / "w0"
        with following(tmp_path / "state", target, "--batch", "40", "--max-wait", "1") as process:
            for number in range(5):
                # A file for each: a line that the SIGKILL has torn does not spoil the next one.
                command[3] = tmp_path / f"received-{number}"
                with running(command, ready_line="listens") as receiver:
                    if number < 4:
                        time.sleep(rng.uniform(0.3, 1.0))
                        receiver.kill()
                        continue
                    done.set()
                    writer.join()
                    expected = len(events(directory))
                    wait_until(lambda wanted=expected: cursor(directory)["sequence"] >= wanted, 30)
            assert process.stop() == 0
    lines = [line for number in range(5) for line in _lines(tmp_path / f"received-{number}")]
    got = parsed(lines)
    assert len(got) > expected
    assert set(uids(directory)[:expected]) - {event["metadata"]["uid"] for event in got} == set()
    places = last_places([event["metadata"]["sequence"] for event in got])
    assert places == sorted(places)


def _write_steadily(log, done):
    number = 0
    while not done.is_set():
        write(log, 20, number)
        number += 20
        time.sleep(0.02)


def _lines(path):
    return path.read_bytes().split(b"\n") if path.exists() else []


def test_a_shipper_killed_at_any_moment_loses_nothing(tmp_path, receiver):
    """SIGKILL, again and again, in a backlog: each start goes on where it was confirmed, and one batch comes twice."""
    rng = random.Random(3)
    directory = made(tmp_path / "state", 2000)
    receiver.pause = 0.0002
    for _ in range(5):
        with running(arguments(tmp_path / "state", address(receiver), "--batch", "25"), ready_line='"ship"') as process:
            time.sleep(rng.uniform(0.0, 0.25))
            process.kill()
    assert 0 < cursor(directory)["sequence"] < 2002
    receiver.pause = 0
    assert ship(tmp_path / "state", address(receiver), "--batch", "25")[0] == 0
    wait_until(lambda: set(arrived(receiver)) == set(uids(directory)))
    places = last_places([event["metadata"]["sequence"] for event in parsed(receiver.lines())])
    assert places == list(range(2002))
    assert len(arrived(receiver)) <= 2002 + 5 * 25


def test_sigterm_does_not_wait_for_a_receiver_that_hangs(tmp_path, receiver):
    """Ended in the middle of a batch: exit code 0 at once, and the cursor where the receiver had confirmed."""
    directory = made(tmp_path / "state", 18)
    receiver.moods = [{}, {"slow": 20}]
    with following(tmp_path / "state", address(receiver), "--batch", "10") as process:
        wait_until(lambda: len(receiver.times) == 2)
        process.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert process.process.wait(10) == 0
        assert time.monotonic() - began < 3
    assert cursor(directory)["sequence"] == 10


def test_a_receiver_that_is_not_there_is_waited_for(tmp_path):
    """Behind a receiver that is down, shipping waits and says so; it goes on by itself."""
    directory = made(tmp_path / "state", 5)
    port = free_port()
    target = f"otlp+http://127.0.0.1:{port}/v1/logs"
    with following(tmp_path / "state", target, "--max-wait", "1") as process:
        wait_until(lambda: "connection refused" in process.output())
        assert not list(directory.glob("cursor-*.json"))
        with Receiver(tmp_path / "late", port) as late:
            wait_until(lambda: len(late.lines()) == 7)


def test_tls_with_another_name(tmp_path):
    """A certificate for another name is not the receiver's."""
    authority = Authority(tmp_path)
    certificate = authority.issue((NameOID.COMMON_NAME, "localhost"))
    made(tmp_path / "state", 5)
    with Receiver(tmp_path / "received", certificate=certificate, host="127.0.0.2") as receiver:
        target = f"otlp+https://127.0.0.2:{receiver.port}/v1/logs"
        code, _, err = ship(tmp_path / "state", target, "--ca", authority.path)
        assert code == 1
        assert "certificate is not accepted" in err and "mismatch" in err
        assert receiver.requests == []


def test_tls_with_the_right_authority_and_no_other(tmp_path):
    """otlp+https:// checks the certificate and its name; a wrong one ends shipping with exit code 1, nothing sent."""
    authority = Authority(tmp_path)
    certificate = authority.issue((NameOID.COMMON_NAME, "localhost"))
    other = Authority(tmp_path, "other")
    made(tmp_path / "state", 5)
    with Receiver(tmp_path / "received", certificate=certificate) as receiver:
        right = f"otlp+https://localhost:{receiver.port}/v1/logs"
        for ca in (("--ca", other.path), ()):
            code, _, err = ship(tmp_path / "state", right, *ca)
            assert (code, receiver.requests) == (1, [])
            assert "the receiver's certificate is not accepted" in err
        assert ship(tmp_path / "state", right, "--ca", authority.path)[0] == 0
        assert len(receiver.lines()) == 7
