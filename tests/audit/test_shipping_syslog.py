"""The record to a real rsyslogd: over TLS, killed and started again, with and without the right certificate."""

import json
import random
import re
import socket
import ssl
import threading
import time

import pytest
from cryptography.x509.oid import NameOID

from gateway.audit import Durability, opened, stamp
from gateway.audit.shipping.connection import connector
from gateway.audit.shipping.errors import Undelivered
from tests.audit.reading import events
from tests.audit.samples import DENY, exchange
from tests.audit.shipping import (
    Rsyslog,
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


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.issue((NameOID.COMMON_NAME, "localhost"))


@pytest.fixture
def receiver(tmp_path, certificate, authority):
    directory = tmp_path / "rsyslog"
    directory.mkdir()
    started = Rsyslog(directory, certificate, authority.path).start()
    yield started
    started.stop()


def test_every_event_arrives_once_over_tls_and_in_order(tmp_path, receiver, authority):
    """Behind a receiver that is there, each event arrives once, byte for byte as it stands in the record."""
    directory = made(tmp_path / "state", 700)
    code, _, err = ship(tmp_path / "state", receiver.address, "--ca", authority.path, "--batch", 100)
    assert code == 0, err
    wait_until(lambda: len(receiver.messages()) >= 702)
    recorded = [
        line for line in (directory / "seg-000000000000.jsonl").read_bytes().splitlines() if b'"metadata"' in line
    ]
    assert receiver.messages() == recorded


def test_the_header_is_what_rfc_5424_says(tmp_path, receiver, authority):
    """rsyslog parses facility 13 (log audit), severity, time, host, application, worker, code and structured data."""
    with ledger(tmp_path / "state") as log:
        log.append(opened(exchange(DENY), stamp()), Durability.BEFORE).wait(5)
    assert ship(tmp_path / "state", receiver.address, "--ca", authority.path)[0] == 0
    wait_until(lambda: len(receiver.messages()) >= 3)
    heads = (receiver.directory / "heads.txt").read_text().splitlines()
    (denied,) = [event for event in parsed(receiver.messages()) if event["metadata"]["event_code"] == "http.request"]
    priority, time_, host, application, worker, code, data = heads[denied["metadata"]["sequence"]].split("|")
    assert int(priority) == 13 * 8 + {1: 6, 2: 5, 3: 4}[denied["severity_id"]]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|\+00:00)", time_)
    assert (host, application, worker, code) == (socket.getfqdn(), "streamlit-gateway", "w0", "http.request")
    assert data.startswith('[meta sequenceId="2"][origin software="streamlit-gateway" swVersion=')


def test_a_receiver_killed_in_the_middle_of_batches_misses_nothing(tmp_path, certificate, authority):
    """rsyslogd gets SIGKILL, again and again, with confirmed events in memory: its files have every event, in order."""
    rng = random.Random(7)
    inside = tmp_path / "rsyslog"
    inside.mkdir()
    receiver = Rsyslog(inside, certificate, authority.path, lazy=True).start()
    with ledger(tmp_path / "state", segment_size=300_000) as log:
        done = threading.Event()
        writer = threading.Thread(target=_write_steadily, args=(log, done))
        writer.start()
        options = ("--ca", authority.path, "--batch", "40", "--overlap", "4", "--max-wait", "1")
        with following(tmp_path / "state", receiver.address, *options) as process:
            for _ in range(3):
                time.sleep(rng.uniform(0.4, 1.1))
                receiver.kill()
                time.sleep(rng.uniform(0.0, 0.5))
                receiver.start()
            done.set()
            writer.join()
            directory = tmp_path / "state" / "audit" / "main" / "w0"
            expected = len(events(directory))
            wait_until(lambda: cursor(directory)["sequence"] >= expected, 30)
            assert process.stop() == 0
    wait_until(lambda: uids(directory)[expected - 1].encode() in receiver.messages()[-1])
    receiver.stop()
    arrived = parsed(receiver.messages())
    assert len(arrived) > expected  # something was sent once more, so something was interrupted
    assert set(uids(directory)[:expected]) - {event["metadata"]["uid"] for event in arrived} == set()
    places = last_places([event["metadata"]["sequence"] for event in arrived])
    assert places == sorted(places)


def test_a_receiver_killed_in_a_backlog_misses_nothing(tmp_path, certificate, authority):
    """What it had confirmed and not yet written is sent again, although the death shows only at the next batch."""
    inside = tmp_path / "rsyslog"
    inside.mkdir()
    directory = made(tmp_path / "state", 6000)
    receiver = Rsyslog(inside, certificate, authority.path, lazy=True).start()
    options = ("--ca", authority.path, "--batch", "20", "--overlap", "4", "--max-wait", "1")
    with following(tmp_path / "state", receiver.address, *options) as process:
        wait_until(lambda: list(directory.glob("cursor-*.json")) and cursor(directory)["sequence"] > 1000)
        receiver.kill()
        assert cursor(directory)["sequence"] < 6002
        receiver.start()
        wait_until(lambda: cursor(directory)["sequence"] == 6002)
        wait_until(lambda: receiver.messages() and b'"r5999"' in b"".join(receiver.messages()[-3:]))
        assert process.stop() == 0
    receiver.stop()
    assert {event["metadata"]["uid"] for event in parsed(receiver.messages())} == set(uids(directory))


def _write_steadily(log, done):
    number = 0
    while not done.is_set():
        write(log, 20, number)
        number += 20
        time.sleep(0.01)


def test_a_receiver_that_ends_without_a_word_has_confirmed_nothing(tmp_path, certificate, authority):
    """A receiver that reads everything and then ends without close_notify is sent everything again."""
    directory = made(tmp_path / "state", 5)
    with _Mute(certificate) as mute:
        options = ("--ca", authority.path, "--max-wait", "1")
        with following(tmp_path / "state", f"syslog+tls://localhost:{mute.port}", *options):
            wait_until(lambda: mute.received.count(b'"sequence":0,') >= 2)
            assert not list(directory.glob("cursor-*.json"))


def test_a_receiver_that_never_says_close_notify_is_trusted_only_when_told(tmp_path, certificate, authority):
    """rsyslog with GnuTLS ends bare: nothing is confirmed and the reason is told, unless --trust-any-end is given."""
    inside = tmp_path / "rsyslog"
    inside.mkdir()
    directory = made(tmp_path / "state", 5)
    receiver = Rsyslog(inside, certificate, authority.path, driver="gtls").start()
    try:
        with following(tmp_path / "state", receiver.address, "--ca", authority.path) as process:
            wait_until(lambda: "--trust-any-end" in process.output())
        assert not list(directory.glob("cursor-*.json"))
        assert ship(tmp_path / "state", receiver.address, "--ca", authority.path, "--trust-any-end")[0] == 0
        assert cursor(directory)["sequence"] == 7
        wait_until(lambda: {event["metadata"]["uid"] for event in parsed(receiver.messages())} == set(uids(directory)))
    finally:
        receiver.stop()


def test_a_receiver_that_restarts_between_batches_gets_the_last_seconds_again(tmp_path, receiver, authority):
    """A receiver that was killed while nothing was sent gets again what it had confirmed a moment before."""
    directory = made(tmp_path / "state", 5)
    with following(tmp_path / "state", receiver.address, "--ca", authority.path, "--max-wait", "1"):
        wait_until(lambda: list(directory.glob("cursor-*.json")) and cursor(directory)["sequence"] == 7)
        receiver.kill()
        (receiver.directory / "received-1.log").unlink(missing_ok=True)  # as if it had had them in memory only
        receiver.start()
        wait_until(lambda: {e["metadata"]["uid"] for e in parsed(receiver.messages())} >= set(uids(directory)))


def test_what_is_sent_again_never_begins_before_the_cursor_did(tmp_path, receiver, authority):
    """A receiver that began with --begin now gets its last seconds again at a restart, and nothing from before."""
    directory = made(tmp_path / "state", 20)
    options = ("--ca", authority.path, "--begin", "now")
    for _ in range(3):
        assert ship(tmp_path / "state", receiver.address, *options)[0] == 0
        made(tmp_path / "state", 3)
    wait_until(lambda: b'"sequence":31,' in b"".join(receiver.messages()))
    sequences = [event["metadata"]["sequence"] for event in parsed(receiver.messages())]
    assert min(sequences) == 22
    assert sequences.count(22) == 2
    assert cursor(directory)["sequence"] == 32


REFUSED = [
    ("a name that is not in the certificate", lambda a: ("127.0.0.2", a.path), "ip address mismatch"),
    ("an authority that nobody named", lambda a: ("localhost", None), "certificate"),
]


@pytest.mark.parametrize(("address", "cause"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_receiver_with_the_wrong_certificate_gets_nothing(tmp_path, certificate, authority, address, cause):
    """A certificate that is not the receiver's ends shipping with exit code 1, before anything is sent."""
    directory = made(tmp_path / "state", 5)
    host, ca = address(authority)
    with _Mute(certificate, host if host[0].isdigit() else "127.0.0.1") as mute:
        more = ("--ca", ca) if ca else ()
        code, _, err = ship(tmp_path / "state", f"syslog+tls://{host}:{mute.port}", *more)
        assert code == 1
        assert "the receiver's certificate is not accepted" in err and cause in err.lower()
        assert mute.received == b""
    assert not list(directory.glob("cursor-*.json"))


def test_a_receiver_may_ask_for_our_certificate(tmp_path, certificate, authority):
    """With --client-certificate and --client-key rsyslog lets us in; without, nothing is confirmed."""
    inside = tmp_path / "rsyslog"
    inside.mkdir()
    directory = made(tmp_path / "state", 5)
    ours = authority.issue((NameOID.COMMON_NAME, "shipper"))
    receiver = Rsyslog(inside, certificate, authority.path, mutual=True).start()
    try:
        with following(tmp_path / "state", receiver.address, "--ca", authority.path, "--max-wait", "1") as process:
            wait_until(lambda: '"error":"' in process.output())
        assert not list(directory.glob("cursor-*.json"))
        options = ("--ca", authority.path, "--client-certificate", ours[0], "--client-key", ours[1])
        assert ship(tmp_path / "state", receiver.address, *options)[0] == 0
        wait_until(lambda: len(receiver.messages()) >= 7)
    finally:
        receiver.stop()


def test_an_alert_is_no_confirmation(certificate, authority):
    """A receiver that refuses our certificate once it has one in hand has read nothing, and confirms nothing.

    TLS 1.3 lets a client write before the server has judged its certificate. To OpenSSL's SSL_shutdown the alert that
    comes then is as good as a close_notify.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.path)
    context.load_cert_chain(*certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    with _Mute(certificate, context=context) as receiver:
        connect = connector("localhost", receiver.port, authority.client_context())
        for _ in range(40):
            with pytest.raises(Undelivered):
                connection = connect()
                connection.send(b"5 <1>1 ")
                connection.finish()
    assert receiver.received == b""


def test_cef_is_what_some_receivers_want(tmp_path, receiver, authority):
    """With --format cef each message is one CEF line."""
    made(tmp_path / "state", 3)
    assert ship(tmp_path / "state", receiver.address, "--ca", authority.path, "--format", "cef")[0] == 0
    wait_until(lambda: len(receiver.messages()) >= 5)
    assert all(line.startswith(b"CEF:0|streamlit-gateway|") for line in receiver.messages())


def test_an_event_that_is_too_long_is_shortened_and_says_so(tmp_path, receiver, authority):
    """A message has at most --max-message bytes; it is valid JSON, marked, and has uid, time, code and decision."""
    directory = made(tmp_path / "state", 3)
    code, _, err = ship(tmp_path / "state", receiver.address, "--ca", authority.path, "--max-message", "2048")
    assert code == 0, err
    with ledger(tmp_path / "state") as log:
        write(log, 3, 3, forwarded=tuple(f"203.0.113.{number}" for number in range(60)))
        write(log, 3, 6, user_agent="Mozilla " * 60)
    assert ship(tmp_path / "state", receiver.address, "--ca", authority.path, "--max-message", "2048")[0] == 0
    expected = set(uids(directory))
    wait_until(lambda: {e["metadata"]["uid"] for e in parsed(receiver.messages())} == expected)
    long = [line for line in receiver.messages() if json.loads(line)["metadata"].get("is_truncated")]
    assert long
    for line in receiver.messages():
        event = json.loads(line)
        assert len(line) < 2048
        assert {"metadata", "time", "class_uid", "severity_id"} <= event.keys()
    assert all(json.loads(line)["unmapped"]["gateway"]["shortened"] for line in long)


def test_without_tls_the_address_says_so(tmp_path):
    """syslog+tcp-insecure:// is for loopback and tunnels; the receiver's own end of the connection confirms a batch."""
    inside = tmp_path / "rsyslog"
    inside.mkdir()
    directory = made(tmp_path / "state", 50)
    receiver = Rsyslog(inside).start()
    try:
        assert ship(tmp_path / "state", receiver.address, "--batch", 10)[0] == 0
        wait_until(lambda: len(receiver.messages()) >= 52)
        assert [event["metadata"]["uid"] for event in parsed(receiver.messages())] == uids(directory)
    finally:
        receiver.stop()


class _Mute:
    """Speaks TLS, reads everything, and ends the connection without close_notify once nothing comes for a moment."""

    def __init__(self, certificate, host="127.0.0.1", context=None):
        self.received = b""
        self._context = context or ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(*certificate)
        self._server = socket.create_server((host, 0))
        self.port = self._server.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.close()

    def _accept(self):
        while True:
            try:
                sock, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._read, args=(sock,), daemon=True).start()

    def _read(self, sock):
        try:
            secure = self._context.wrap_socket(sock, server_side=True)
            secure.settimeout(0.3)
            while data := secure.recv(65536):
                self.received += data
        except OSError:
            pass
        # Of the socket below: no close_notify leaves, as when a process is killed.
        sock.close()
        if "secure" in locals():
            socket.socket(fileno=secure.detach()).close()
