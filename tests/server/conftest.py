"""Servers in processes of their own, and raw sockets to speak to them."""

import json
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import h11
import pytest

from tests.support.processes import Running, free_port, running

SHORT = {"idle_timeout": 1.0, "head_timeout": 1.0, "body_timeout": 2.0, "write_timeout": 1.5, "keep_alive": 0.5}


def command(**options: object) -> list[str]:
    return [sys.executable, "-m", "tests.server.application", json.dumps(options)]


@dataclass
class Served:
    """A running server and its port."""

    process: Running
    port: int

    def connect(self, source: str = "127.0.0.1", timeout: float = 10.0, receive_buffer: int | None = None):
        """A TCP connection from a loopback address of choice."""
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(timeout)
        sock.bind((source, 0))
        sock.connect(("127.0.0.1", self.port))
        return sock

    def ask(self, path: str = "/", source: str = "127.0.0.1") -> "Reply":
        """One GET on a connection of its own."""
        with self.connect(source) as sock:
            sock.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % path.encode())
            return replies(sock)[0]

    def facts(self) -> dict:
        return json.loads(self.ask("/facts").body)

    def memory(self) -> int:
        """Resident memory in bytes."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * 4096


@dataclass
class Reply:
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        return next((value for found, value in self.headers if found == name), None)


def replies(sock: socket.socket, methods: tuple[str, ...] = ("GET",) * 20) -> list[Reply]:
    """All answers until the server closes (or the socket's time-out), as h11's client side reads them."""
    received, _ = receive_all(sock)
    found: list[Reply] = []
    for method in methods:
        if not received:
            break
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
        client.send(h11.EndOfMessage())
        client.receive_data(received)
        reply: Reply | None = None
        while (event := client.next_event()) not in (h11.NEED_DATA, h11.PAUSED) and not isinstance(
            event, h11.EndOfMessage | h11.ConnectionClosed
        ):
            if isinstance(event, h11.Response):
                reply = Reply(event.status_code, list(event.headers), b"")
            elif isinstance(event, h11.Data) and reply:
                reply.body += bytes(event.data)
        if reply is None:
            break
        found.append(reply)
        received = client.trailing_data[0]
    return found


def receive_all(sock: socket.socket) -> tuple[bytes, bool]:
    """Everything until the end, and whether the server closed (False: the time-out came first)."""
    received = b""
    try:
        while data := sock.recv(65536):
            received += data
    except ConnectionResetError:
        return received, True
    except TimeoutError:
        return received, False
    return received, True


def closed_within(sock: socket.socket, seconds: float) -> float | None:
    """Seconds until the server closed; None if it did not. What it sends meanwhile is thrown away."""
    begun = time.monotonic()
    sock.settimeout(seconds)
    _, closed = receive_all(sock)
    return time.monotonic() - begun if closed else None


@contextmanager
def served(environment: dict[str, str] | None = None, **options: object) -> Iterator[Served]:
    port = free_port(str(options.get("host", "127.0.0.1")))
    with running(command(port=port, **options), ready_line="serving", env=environment) as process:
        yield Served(process, port)


@pytest.fixture(scope="module")
def serve_with() -> Iterator[Callable[..., Served]]:
    """Starts servers with given options; one for each set of options in a module."""
    with ExitStack() as stack:
        known: dict[str, Served] = {}

        def start(**options: object) -> Served:
            key = json.dumps(options, sort_keys=True)
            if key not in known:
                known[key] = stack.enter_context(served(**options))
            return known[key]

        yield start


@pytest.fixture
def server(serve_with: Callable[..., Served]) -> Served:
    """A server with short time limits."""
    return serve_with(**SHORT)
