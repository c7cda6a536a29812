"""Peers that are slow, silent or do not read. Limits in these tests are seconds; in production tens of them."""

import shutil
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.server.conftest import closed_within, receive_all, replies

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /count HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"


# name, bytes sent before the silence, seconds until the server closes (at least, at most), status of the answer
SILENCES = [
    ("nothing sent", b"", 0.9, 2.5, None),
    ("half a request line", b"GET / HT", 0.9, 2.5, 408),
    ("half a head", GET[:-2], 0.9, 2.5, 408),
    ("no body", POST, 1.9, 4.5, 408),
    ("a part of the body", POST + b"some of it", 1.9, 4.5, 408),
    ("no second request", GET, 0.4, 1.5, 200),
    ("half a second head", GET + b"GET /", 0.4, 2.5, 200),
    ("the rest of a refused body", POST.replace(b"/count", b"/refuse-early"), 0.4, 1.5, 413),
]


def test_silent_peers(server):
    """A peer that falls silent loses its connection in bounded time, wherever it stopped; in a request it is told."""

    def fall_silent(sent: bytes) -> tuple[bytes, bool, float]:
        with server.connect() as sock:
            if sent:
                sock.sendall(sent)
            begun = time.monotonic()
            return *receive_all(sock), time.monotonic() - begun

    with ThreadPoolExecutor(len(SILENCES)) as threads:
        ends = list(threads.map(fall_silent, [row[1] for row in SILENCES]))
    for (name, _, at_least, at_most, status), (received, closed, took) in zip(SILENCES, ends, strict=True):
        assert closed, name
        assert at_least < took < at_most, name
        assert received.startswith(b"HTTP/1.1 %d " % status if status else b""), name
        assert bool(received) == (status is not None), name


def test_head_drop_by_drop(server):
    """A head that never ends is cut off at its time limit even when bytes keep coming (slow headers)."""
    begun = time.monotonic()
    with server.connect(timeout=0.2) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        while time.monotonic() - begun < 6:
            try:
                sock.sendall(b"X-A: b\r\n")
            except OSError:
                break
            _, closed = receive_all(sock)
            if closed:
                break
    assert time.monotonic() - begun < 3


@pytest.mark.parametrize(("path", "status"), [(b"/count", 408), (b"/refuse-early", 413)])
def test_body_drop_by_drop(server, path, status):
    """A body at 50 bytes a second is cut off, although it never stands still; also behind an answer already given."""
    begun, received = time.monotonic(), b""
    with server.connect(timeout=0.2) as sock:
        sock.sendall(POST.replace(b"/count", path))
        while time.monotonic() - begun < 10:
            try:
                sock.sendall(b"0123456789")
            except OSError:
                break
            more, closed = receive_all(sock)
            received += more
            if closed:
                break
    assert 1.5 < time.monotonic() - begun < 5
    assert received.startswith(b"HTTP/1.1 %d " % status)
    assert received.count(b"HTTP/1.1") == 1


def test_slow_but_honest_upload(server):
    """An upload that takes many times the limit arrives, as long as it keeps coming."""
    size, begun = 0, time.monotonic()
    with server.connect() as sock:
        sock.sendall(POST.replace(b"1000000", b"32768"))
        while size < 32768:
            sock.sendall(b"x" * 2048)
            size += 2048
            time.sleep(0.25)
        sock.settimeout(3)
        reply = replies(sock)[0]
    assert time.monotonic() - begun > 3.9
    assert (reply.status, reply.body) == (200, b"32768")


def test_upload_with_pauses(server):
    """A pause shorter than the limit costs nothing, however often."""
    with server.connect() as sock:
        sock.sendall(POST.replace(b"1000000", b"10000"))
        for _ in range(2):
            sock.sendall(b"x" * 5000)
            time.sleep(1.3)
        assert replies(sock)[0].body == b"10000"


def test_continue_is_sent_and_waited_for(server):
    """`Expect: 100-continue` is answered when the application asks for the body (RFC 9110 §10.1.1)."""
    with server.connect() as sock:
        sock.sendall(POST.replace(b"1000000", b"3").replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        assert sock.recv(100).startswith(b"HTTP/1.1 100 ")
        sock.sendall(b"abc")
        assert replies(sock)[0].body == b"3"


def test_reader_that_does_not_read(server):
    """A peer that asks for 64 MiB and reads none loses its connection, and the server's memory does not grow."""
    before = server.memory()
    with server.connect(receive_buffer=4096) as sock:
        sock.sendall(b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(3.0)
        sock.settimeout(5)
        received, closed = receive_all(sock)
    assert closed
    assert len(received) < 8 * 2**20
    assert server.memory() - before < 8 * 2**20


def test_slow_but_honest_reader(server):
    """A peer that reads slowly gets its answer, for as long as it takes."""
    with server.connect(receive_buffer=65536) as sock:
        sock.sendall(b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n")
        begun, size = time.monotonic(), 0
        while time.monotonic() - begun < 3:
            size += len(sock.recv(65536))
            time.sleep(0.25)
        sock.settimeout(5)
        while size < 64 * 2**20 and (data := sock.recv(2**20)):
            size += len(data)
    assert size >= 64 * 2**20


def test_answer_that_is_not_collected(server):
    """A small answer that nobody collects does not keep the connection either."""
    sock = server.connect(receive_buffer=1024)
    with sock:
        for _ in range(200):
            sock.sendall(b"GET /facts HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
        time.sleep(3.5)
        assert closed_within(sock, 2) is not None


@pytest.mark.parametrize(
    ("mode", "options"),
    [("slow headers", ["-H", "-i", "1"]), ("slow body", ["-B", "-i", "5", "-s", "8192"])],
)
def test_slowhttptest(server, mode, options):
    """The common attack tool ends with no connection left open, in both of its modes."""
    tool = shutil.which("slowhttptest")
    if tool is None:
        pytest.skip("slowhttptest is not installed (Debian: apt-get install slowhttptest)")
    done = subprocess.run(
        [
            tool,
            "-c",
            "200",
            *options,
            "-r",
            "200",
            "-l",
            "15",
            "-p",
            "2",
            "-u",
            f"http://127.0.0.1:{server.port}/count",
        ],
        capture_output=True,
        text=True,
        timeout=40,
    )
    assert "No open connections left" in done.stdout, done.stdout[-2000:]
    assert server.ask().status == 200


def test_reset_of_the_connection_leaves_nothing_behind(server):
    """Connections that are reset in the middle of everything are forgotten."""
    for sent in (b"", b"GET", POST, b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n"):
        sock = server.connect()
        sock.sendall(sent) if sent else None
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        time.sleep(0.05)
        sock.close()
    assert server.ask().status == 200
    assert "Traceback" not in server.process.output()
