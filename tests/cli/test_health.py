"""`gateway health` against real listeners: what a container's health check sees."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from tests.cli.test_cli import run
from tests.support.processes import free_port


@contextmanager
def operations(statuses: dict[str, int], body: bytes = b"ok") -> Iterator[int]:
    """A listener that answers each path with its status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses.get(self.path, 404))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def raw(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A listener that does with one connection what it is told."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=lambda: answer(server.accept()[0]), daemon=True)
        thread.start()
        yield server.getsockname()[1]


STATES = [
    ("ready", (), {"/readyz": 200}, 0, "ready"),
    ("not ready", (), {"/readyz": 503, "/healthz": 200}, 1, "not ready: /readyz answered 503: ok"),
    ("alive but not ready", ("--live",), {"/readyz": 503, "/healthz": 200}, 0, "live"),
    ("not alive", ("--live",), {"/healthz": 500}, 1, "not live: /healthz answered 500: ok"),
    ("something else listens", (), {}, 1, "not ready: /readyz answered 404: ok"),
    ("a redirect is not readiness", (), {"/readyz": 302}, 1, "not ready: /readyz answered 302: ok"),
]


@pytest.mark.parametrize(
    ("flags", "statuses", "code", "line"), [row[1:] for row in STATES], ids=[row[0] for row in STATES]
)
def test_the_answer_is_the_exit_code_and_one_line(
    flags: tuple[str, ...], statuses: dict[str, int], code: int, line: str
) -> None:
    """0 and one line on stdout when the gateway is ready; 1 and one line on stderr when it is not."""
    with operations(statuses) as port:
        done = run("health", *flags, GATEWAY_OPS__PORT=str(port))
    assert done.returncode == code
    assert (done.stderr if code else done.stdout) == line + "\n"


def test_the_flag_wins_over_the_variable() -> None:
    """--port names the listener also when the environment names another one."""
    with operations({"/readyz": 200}) as port:
        assert run("health", "--port", str(port), GATEWAY_OPS__PORT=str(free_port())).returncode == 0


def test_nobody_listens() -> None:
    """A gateway that is not running is not ready."""
    done = run("health", "--port", str(free_port()))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "connection refused" in done.stderr


def test_a_listener_that_says_nothing_is_given_up() -> None:
    """A gateway that hangs is not ready, after 3 seconds."""
    begun = time.monotonic()
    with raw(lambda connection: time.sleep(20)) as port:
        done = run("health", "--port", str(port))
    assert done.returncode == 1
    assert "no answer in time" in done.stderr
    assert 3 <= time.monotonic() - begun < 6


def test_an_answer_that_is_not_http_is_not_readiness() -> None:
    """Whatever else listens there, and whatever it sends, ends in one printable line."""
    with raw(lambda connection: connection.sendall(b"\x1b[2J\r\n\r\n")) as port:
        done = run("health", "--port", str(port))
    assert done.returncode == 1
    assert "\x1b" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_hostile_body_does_not_reach_the_terminal() -> None:
    """The body is quoted in part, with control characters written out."""
    with operations({"/readyz": 503}, b"\x1b[31m\nerror: forged" + b"x" * 10_000) as port:
        done = run("health", "--port", str(port))
    assert done.stderr.count("\n") == 1
    assert "\x1b" not in done.stderr
    assert len(done.stderr) < 400


INVALID = [
    ("no port anywhere", {}, "error: GATEWAY_OPS__PORT: not set"),
    (
        "an address that is not loopback",
        {"GATEWAY_OPS__PORT": "1", "GATEWAY_OPS__HOST": "192.0.2.1"},
        "not a loopback address",
    ),
]


@pytest.mark.parametrize(("environ", "message"), [row[1:] for row in INVALID], ids=[row[0] for row in INVALID])
def test_a_probe_that_is_set_up_wrongly_says_so(environ: dict[str, str], message: str) -> None:
    """Without a loopback address and a port there is nobody to ask: exit code 2."""
    done = run("health", **environ)
    assert done.returncode == 2
    assert message in done.stderr
    assert "hint: " in done.stderr
