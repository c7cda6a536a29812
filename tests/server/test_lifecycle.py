"""Starting, failing to start, and stopping."""

import resource
import signal
import socket
import subprocess
import time

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.server.conftest import command, receive_all, served
from tests.support.processes import ROOT, free_port


def run(**options: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command(**options), cwd=ROOT, capture_output=True, text=True, timeout=20)


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_stop(sign):
    """SIGTERM and SIGINT end the server with exit code 0, after the application's own end."""
    with served() as server:
        server.process.process.send_signal(sign)
        assert server.process.process.wait(10) == 0
        assert "application stopped" in server.process.output()


def test_stop_closes_websockets():
    """A stop closes open WebSockets with 1012 (service restart) and does not wait for their peers."""
    with served() as server, connect(f"ws://127.0.0.1:{server.port}/", proxy=None) as ws:
        ws.send("hello")
        assert ws.recv(5) == "hello"
        begun = time.monotonic()
        server.process.process.terminate()
        with pytest.raises(ConnectionClosed):
            ws.recv(5)
        assert ws.close_code == 1012
        assert server.process.process.wait(10) == 0
        assert time.monotonic() - begun < 3


def test_stop_does_not_wait_for_a_peer_that_does_not_read():
    """An answer that nobody reads does not delay a stop beyond `shutdown_timeout`."""
    with served(shutdown_timeout=1.0) as server, server.connect(receive_buffer=4096) as sock:
        sock.sendall(b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.5)
        begun = time.monotonic()
        server.process.process.terminate()
        assert server.process.process.wait(10) == 0
        assert time.monotonic() - begun < 4


def test_stop_lets_a_request_finish():
    """A request that is being served when the stop begins is answered."""
    with served() as server, server.connect() as sock:
        sock.sendall(b"POST /count HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n")
        time.sleep(0.3)
        server.process.process.terminate()
        time.sleep(0.3)
        sock.sendall(b"abc")
        received, _ = receive_all(sock)
        assert received.startswith(b"HTTP/1.1 200 ")
        assert server.process.process.wait(10) == 0


def test_stop_with_connections_in_every_state():
    """A stop is not disturbed by a connection that was refused, is silent, or is half way through a head."""
    with served(shutdown_timeout=2.0) as server:
        for sent in (
            b"",
            b"GET / HT",
            b"GET / HTTP/1.1\r\n\r\n",
            b"POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
        ):
            sock = server.connect()
            if sent:
                sock.sendall(sent)
        server.process.process.terminate()
        assert server.process.process.wait(10) == 0
        assert "ProtocolError" not in server.process.output()


def test_stop_while_a_refusal_is_not_read():
    """A stop is not disturbed by a refusal that still waits to be read."""
    with served(shutdown_timeout=1.0) as server, server.connect(receive_buffer=4096) as sock:
        sock.sendall(b"GET /some HTTP/1.1\r\nHost: a\r\n\r\n")
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        time.sleep(0.5)
        server.process.process.terminate()
        assert server.process.process.wait(10) == 0
        assert "application stopped" in server.process.output()


# name, options, what stderr says
CANNOT_START = [
    ("an address of another machine", {"host": "192.0.2.1"},
     ["cannot listen on 192.0.2.1 port", "hint: the host must be"]),
    ("a host without address", {"host": "no-such-host.invalid"}, ["cannot listen on no-such-host.invalid port"]),
    ("the TLS certificate is missing", {"tls_certificate": "no/such.pem"},
     ["cannot read the TLS file no/such.pem: no such file or directory", "hint: name a file"]),
    ("the TLS certificate is none", {"tls_certificate": "pyproject.toml"},
     ["cannot use the TLS certificate", "hint: both are PEM"]),
    ("the application refuses to start", {"fail": "gateway-error"},
     ["the record is locked by process 42", "hint: stop that process"]),
    ("the application has a bug", {"fail": "bug"},
     ["RuntimeError: a bug in the application", "error: the application did not start: RuntimeError", "hint: "]),
]  # fmt: skip


@pytest.mark.parametrize(("options", "said"), [row[1:] for row in CANNOT_START], ids=[row[0] for row in CANNOT_START])
def test_cannot_start(options, said):
    """What keeps the server from starting is told in words on stderr, with a hint, and the exit code is 3."""
    done = run(port=free_port(), **options)
    assert done.returncode == 3
    assert [words for words in said if words not in done.stderr] == []
    assert "serving" not in done.stdout
    assert ("Traceback" in done.stderr) == ("bug" in options.values())


def test_port_in_use():
    """A port that another program listens on: exit code 3, and how to find that program."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = run(port=other.getsockname()[1])
    assert done.returncode == 3
    assert "address already in use" in done.stderr
    assert "hint: stop the program that uses the port" in done.stderr


def test_operations_listener():
    """The second listener answers while the first does, refuses what the first refuses, and ends with it."""
    port = free_port()
    with served(operations=port) as server:
        for sent, status in (
            (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 200),
            (b"GET / HTTP/1.1\r\n\r\n", 400),
        ):
            with socket.create_connection(("127.0.0.1", port), 5) as sock:
                sock.sendall(sent)
                received, _ = receive_all(sock)
            assert received.startswith(b"HTTP/1.1 %d " % status)
        assert server.ask().status == 200
        server.process.process.terminate()
        assert server.process.process.wait(10) == 0
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", port), 1)


def test_ipv6():
    """An IPv6 address is listened on, and the peer is known by its own."""
    with served(host="::1") as server, socket.create_connection(("::1", server.port), 5) as sock:
        sock.sendall(b"GET /facts HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        received, _ = receive_all(sock)
    assert b'"client": ["::1", ' in received


def test_limit_of_open_files_is_raised():
    """The soft limit of open files is raised as far as the connections need it, and never above the hard one."""
    with served() as server:
        soft, hard = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    assert soft == hard or soft >= 4096 + 256


def test_options_of_the_environment_change_nothing():
    """uvicorn's own variables (WEB_CONCURRENCY, FORWARDED_ALLOW_IPS) have no say here."""
    environment = {"WEB_CONCURRENCY": "4", "FORWARDED_ALLOW_IPS": "*"}
    with served(environment=environment) as server, server.connect() as sock:
        sock.sendall(
            b"GET /facts HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\n"
            b"X-Forwarded-Proto: https\r\nConnection: close\r\n\r\n"
        )
        received, _ = receive_all(sock)
    assert b'"client": ["127.0.0.1", ' in received
    assert b'"scheme": "http"' in received
