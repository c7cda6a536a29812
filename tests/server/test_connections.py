"""How many connections there may be, and who gives way."""

import socket
import time
from contextlib import ExitStack, closing

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from gateway.http1.connections import address_block
from tests.server.conftest import receive_all, replies

PATIENT = {"idle_timeout": 30.0, "head_timeout": 30.0, "keep_alive": 30.0}
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


def is_open(sock: socket.socket) -> bool:
    sock.settimeout(0.05)
    _, closed = receive_all(sock)
    return not closed


def many(stack, server, source: str, number: int) -> list[socket.socket]:
    socks = [stack.enter_context(closing(server.connect(source))) for _ in range(number)]
    time.sleep(0.3)
    return socks


@pytest.mark.parametrize("total", [100, 4096])
def test_silent_sockets_do_not_keep_others_out(serve_with, stack, total):
    """500 silent sockets from one address do not keep another visitor out, however few places there are."""
    server = serve_with(**PATIENT, max_connections=total)
    many(stack, server, "127.0.0.2", 500)
    for _ in range(5):
        assert server.ask(source="127.0.0.3").status == 200


def test_one_address_has_its_share(serve_with, stack):
    """Above its cap the newest connections of an address are ended, the ones it has stay; others are not concerned."""
    server = serve_with(**PATIENT, max_connections_per_address=10)
    socks = many(stack, server, "127.0.0.4", 25)
    assert [is_open(sock) for sock in socks] == [True] * 10 + [False] * 15
    assert server.ask(source="127.0.0.5").status == 200
    for sock in socks[:3]:
        sock.close()
    time.sleep(0.2)
    assert server.ask(source="127.0.0.4").status == 200


def test_trusted_proxies_have_no_cap_of_their_own(serve_with, stack):
    """A trusted proxy brings many visitors from one address."""
    server = serve_with(**PATIENT, max_connections_per_address=10, exempt=["127.0.0.6"])
    socks = many(stack, server, "127.0.0.6", 25)
    assert all(is_open(sock) for sock in socks)


def test_waiting_connections_of_the_greediest_give_way(serve_with, stack):
    """When all places are taken, the oldest waiting connection of the address that holds most gives way."""
    server = serve_with(**PATIENT, max_connections=20)
    modest = many(stack, server, "127.0.0.7", 3)
    greedy = many(stack, server, "127.0.0.8", 17)
    newcomers = many(stack, server, "127.0.0.9", 5)
    assert [is_open(sock) for sock in modest] == [True] * 3
    assert [is_open(sock) for sock in greedy] == [False] * 5 + [True] * 12
    assert [is_open(sock) for sock in newcomers] == [True] * 5


def test_requests_in_progress_never_give_way(serve_with, stack):
    """A connection whose request is being served keeps its place; when all are, newcomers are ended."""
    server = serve_with(**PATIENT, max_connections=10)
    busy = many(stack, server, "127.0.0.10", 10)
    for sock in busy:
        sock.sendall(b"POST /count HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n")
    time.sleep(0.3)
    newcomer = many(stack, server, "127.0.0.11", 1)[0]
    assert not is_open(newcomer)
    for sock in busy:
        sock.sendall(b"abc")
        sock.settimeout(5)
        assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert server.ask(source="127.0.0.11").status == 200  # they wait again, and one gives way


def test_keep_alive_is_reused(server):
    """Many requests on one connection, one after the other."""
    with server.connect() as sock:
        for _ in range(50):
            sock.sendall(GET)
            received = b""
            while not received.endswith(b'{"hello":"world"}'):
                received += sock.recv(1000)
            assert received.startswith(b"HTTP/1.1 200 ")


def test_websockets_count_and_never_give_way(serve_with, stack):
    """A WebSocket counts as a connection until it is closed, and is not ended in favour of new ones."""
    server = serve_with(**PATIENT, max_connections=5)
    url = f"ws://127.0.0.1:{server.port}/"
    sockets = [stack.enter_context(connect(url, proxy=None)) for _ in range(4)]
    assert server.ask().status == 200
    fifth = stack.enter_context(connect(url, proxy=None))
    sixth = many(stack, server, "127.0.0.12", 1)[0]
    assert not is_open(sixth)
    for ws in [*sockets, fifth]:
        ws.send("still there")
        assert ws.recv(5) == "still there"
    fifth.close()
    time.sleep(0.2)
    assert server.ask().status == 200


def test_websocket_echo(server):
    """Text and binary messages pass, also large ones."""
    with connect(f"ws://127.0.0.1:{server.port}/", proxy=None, compression=None) as ws:
        for message in ("text", b"bytes", b"x" * 1_000_000):
            ws.send(message)
            assert ws.recv(5) == message
        assert "sec-websocket-extensions" not in ws.response.headers
        assert "server" not in ws.response.headers


def test_websocket_outlives_the_time_limits_of_http(server):
    """The limits for heads, bodies and idle connections end with the handshake."""
    with connect(f"ws://127.0.0.1:{server.port}/", proxy=None) as ws:
        time.sleep(2.5)
        ws.send("late")
        assert ws.recv(5) == "late"


def test_websocket_whose_peer_does_not_read(server):
    """A WebSocket that is flooded with answers and reads none is ended, and does not grow the server's memory."""
    before = server.memory()
    with connect(f"ws://127.0.0.1:{server.port}/", proxy=None, max_queue=1, ping_interval=None) as ws:
        begun = time.monotonic()
        with pytest.raises((ConnectionClosed, OSError)):
            while time.monotonic() - begun < 10:
                ws.socket.settimeout(4)
                ws.send(b"x" * 500_000)
    assert time.monotonic() - begun < 8
    assert server.memory() - before < 24 * 2**20


def test_message_size_is_bounded(serve_with):
    """A WebSocket message above `max_message` closes the connection with 1009 (RFC 6455 §7.4.1)."""
    server = serve_with(max_message=100_000)
    with connect(f"ws://127.0.0.1:{server.port}/", proxy=None) as ws:
        ws.send(b"x" * 200_000)
        with pytest.raises(ConnectionClosed):
            ws.recv(5)
        assert ws.close_code == 1009


def test_pipelined_requests_behind_a_slow_one(server):
    """Requests that arrive while another is served wait for their turn, and all are answered in order."""
    with server.connect() as sock:
        sock.sendall(b"POST /count HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n")
        time.sleep(0.3)
        sock.sendall(b"abc" + GET * 3)
        bodies = [reply.body for reply in replies(sock)]
    assert bodies == [b"3"] + [b'{"hello":"world"}'] * 3


@pytest.mark.parametrize(
    ("peer", "block"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        (None, "unknown"),
        ("", "unknown"),
        ("@abstract", "unknown"),
    ],
)
def test_address_block(peer, block):
    """One visitor commands a whole IPv6 /64 (RFC 6177 §2), so it counts as one address; IPv4 counts singly."""
    assert address_block(peer) == block
