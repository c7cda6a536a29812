"""Floods, slow peers, silent peers and forgeries: the whole gateway serves the others, and its record stays whole.

The time limits here are seconds; in production tens of them. httptools, which uvicorn would prefer and which has no
limit of header size, can be imported in every gateway of this file.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.uri import parse_uri

from tests.e2e.conftest import COLLEAGUE, GATEWAY, OUTSIDER, PROXY, STAFF, Served, write_policies
from tests.server.conftest import Reply, receive_all, replies
from tests.support.processes import clean_environment, free_port, running
from tests.support.streamlit_client import StreamlitClient
from tests.support.streamlit_protocol import rerun

MIB = 2**20
BESIDE = Path(sys.prefix) / "beside"  # `make test` installs httptools there, for this purpose
HOST = b"Host: 127.0.0.1\r\n"
SHORT = {"IDLE_TIMEOUT": 2, "HEAD_TIMEOUT": 2, "BODY_TIMEOUT": 2, "WRITE_TIMEOUT": 1.5, "KEEP_ALIVE": 1}

SCRIPT = """
import streamlit as st

st.title("Home")
if st.query_params.get("much"):
    st.text("x" * 1_000_000)
"""

# What a tool's owner adds with Starlette's own types: a route that reads, one that says much, one about the process.
ROUTES = """
import importlib.util
import sys

from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from gateway import Gateway


async def count(request):
    return JSONResponse({"bytes": sum([len(chunk) async for chunk in request.stream()])})


async def big(request):
    async def blocks():
        for _ in range(1024):
            yield b"x" * 65536

    return StreamingResponse(blocks())


async def broken(request):
    raise ValueError("broken on purpose")


async def parsers(request):
    found = importlib.util.find_spec("httptools")
    return JSONResponse({"importable": found and found.origin, "imported": "httptools" in sys.modules})


app = Gateway(
    "script.py",
    routes=[
        Route("/count", count, methods=["POST"]),
        Route("/big", big),
        Route("/broken", broken),
        Route("/parsers", parsers),
    ],
)
"""


@contextmanager
def exposed(directory: Path, **server: object) -> Iterator[Served]:
    """`gateway serve routes:app` with these settings of the server, and httptools beside it; it has served once."""
    (directory / "script.py").write_text(SCRIPT)
    (directory / "routes.py").write_text(ROUTES)
    policies, state, port = write_policies(directory / "policies"), directory / "state", free_port()
    path = os.pathsep.join(filter(None, [str(BESIDE), os.environ.get("PYTHONPATH")]))
    settings = {f"GATEWAY_SERVER__{name}": str(value) for name, value in server.items()}
    places = {"GATEWAY_POLICIES": str(policies), "GATEWAY_STATE_DIR": str(state), "PYTHONPATH": path}
    environment = clean_environment({**settings, **places, "GATEWAY_SERVER__PORT": str(port)})
    with running([*GATEWAY, "serve", "routes:app"], ready_line="serving ", env=environment, cwd=directory) as process:
        gateway = Served(f"http://127.0.0.1:{port}", policies, state, process)
        visit_promptly(gateway, within=20)  # the first run of a script imports what it needs
        yield gateway


@pytest.fixture(scope="module")
def impatient(tmp_path_factory) -> Iterator[Served]:
    """A gateway with short time limits."""
    with exposed(tmp_path_factory.mktemp("impatient"), **SHORT) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def patient(tmp_path_factory) -> Iterator[Served]:
    """A gateway with the time limits that it comes with."""
    with exposed(tmp_path_factory.mktemp("patient")) as gateway:
        yield gateway


@pytest.fixture
def crowded(tmp_path) -> Iterator[Served]:
    """A gateway of its own for the flood, whose record of 20 MB would slow down every later test that reads it."""
    with exposed(tmp_path) as gateway:
        yield gateway


def tcp(gateway: Served, source: str = STAFF, receive_buffer: int | None = None, timeout: float = 10) -> socket.socket:
    """A TCP connection to the gateway from that address."""
    sock = socket.socket()
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(timeout)
    sock.bind((source, 0))
    sock.connect(("127.0.0.1", int(gateway.url.rpartition(":")[2])))
    return sock


def visit_promptly(gateway: Served, source: str = STAFF, within: float = 2) -> None:
    """A page, the health route and a run of the script, each on a connection of its own, none of them slow."""
    begun = time.monotonic()
    assert gateway.get("/", source, timeout=within).status_code == 200
    assert gateway.get("/.gateway/healthz", source, timeout=within).status_code == 200
    with gateway.connect(source, timeout=within) as client:
        assert client.rerun().texts[0] == "Home"
    assert time.monotonic() - begun < within


def resident(gateway: Served) -> int:
    """Resident memory of the gateway, in bytes (proc(5): VmRSS, in kB)."""
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))) * 1024


def at_rest(gateway: Served) -> int:
    """The same, once the gateway does nothing else: after its start it compresses files in the background."""
    seen = [resident(gateway)]
    for _ in range(60):
        time.sleep(0.5)
        seen.append(resident(gateway))
        if len(seen) > 4 and max(seen[-5:]) - min(seen[-5:]) < MIB // 4:
            return seen[-1]
    raise AssertionError(f"the memory of the gateway does not settle: {seen}")


def phases(events: list[dict]) -> dict[str, list[str]]:
    """What each exchange left in the record, by request id."""
    found = defaultdict(list)
    for event in events:
        if request_id := event["metadata"].get("correlation_uid"):
            found[request_id].append(event["unmapped"]["gateway"]["phase"])
    # What happened inside a socket has events of its own.
    return {each: [phase for phase in left if phase != "activity"] for each, left in found.items()}


def outcomes(events: list[dict]) -> list[dict]:
    """The closing records among these events."""
    return [event for event in events if event["unmapped"]["gateway"].get("phase") == "outcome"]


def quiet(gateway: Served) -> int:
    """How much stands in the record, once every exchange in it is closed."""
    settled(gateway, 0)
    return len(gateway.records())


def settled(gateway: Served, wanted: int, since: int = 0) -> list[dict]:
    """What was recorded since, once so many exchanges are closed and none is open. Answers leave first."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        events = gateway.records()[since:]
        found = phases(events)
        if len(found) >= wanted and all("outcome" in left for left in found.values()):
            break
        time.sleep(0.1)
    return events


# --- slow peers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "options", "path"),
    [("slow headers", ["-H", "-i", "1"], "/"), ("slow body", ["-B", "-i", "5", "-s", "8192"], "/count")],
    ids=["slow headers", "slow body"],
)
def test_slowhttptest(impatient, mode, options, path):
    """The common attack tool ends with no connection left open; others are served meanwhile, each try is recorded."""
    tool = shutil.which("slowhttptest")
    if tool is None:
        pytest.skip("slowhttptest is not installed (Debian: apt-get install slowhttptest)")
    since = quiet(impatient)
    command = [tool, "-c", "200", *options, "-r", "100", "-l", "15", "-p", "3", "-u", impatient.url + path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as attack:
        while attack.poll() is None:
            visit_promptly(impatient, COLLEAGUE, within=3)
            time.sleep(0.3)
        said = attack.communicate()[0]
    assert "No open connections left" in said, said[-2000:]
    visit_promptly(impatient, COLLEAGUE)
    events = settled(impatient, 200, since)
    assert {tuple(left) for left in phases(events).values()} == {("decision", "outcome")}
    late = [event for event in outcomes(events) if event["status_detail"] == "request-timeout"]
    assert [event["http_response"]["code"] for event in late] == [408] * 200
    assert "Traceback" not in impatient.process.output()


def test_the_reference_of_a_timeout_is_in_the_record(impatient):
    """Who is told that the body came too late can quote a reference, and the record says 408 under it."""
    with tcp(impatient) as sock:
        sock.sendall(b"POST /count HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\nhalf")
        [reply] = replies(sock)
    assert reply.status == 408
    reference = reply.header(b"x-request-id").decode()
    assert reference.encode() in reply.body
    decision, outcome = impatient.exchange(reference)
    assert decision["status_detail"] == "allowed-by-rule"
    assert outcome["status_detail"] == "request-timeout"
    assert outcome["http_response"]["code"] == 408


def test_a_reader_that_does_not_read(impatient):
    """Who asks for 64 MiB and reads nothing loses the connection, and the gateway's memory does not grow."""
    before = resident(impatient)
    with tcp(impatient, receive_buffer=4096) as sock:
        sock.sendall(b"GET /big HTTP/1.1\r\n" + HOST + b"\r\n")
        time.sleep(4)
        grown = resident(impatient) - before
        received, closed = receive_all(sock)
    assert closed
    assert len(received) < 8 * MIB
    assert grown < 16 * MIB
    visit_promptly(impatient, COLLEAGUE)


def test_a_socket_that_does_not_read(impatient):
    """Who asks for run after run and reads no page loses the WebSocket within the write time limit."""
    before, begun = resident(impatient), time.monotonic()
    with closing(deaf_socket(impatient)) as sock, pytest.raises(ConnectionError):
        sock.settimeout(4)
        while time.monotonic() - begun < 10:
            sock.sendall(masked(rerun(query_string="much=1")))
            time.sleep(0.02)
    assert time.monotonic() - begun < 8
    assert resident(impatient) - before < 128 * MIB  # at most the megabyte of each run that came before the end
    visit_promptly(impatient, COLLEAGUE)


def deaf_socket(gateway: Served) -> socket.socket:
    """A WebSocket of Streamlit's, opened by hand: nothing is read behind the answer to the handshake."""
    handshake = gateway.visitor().handshake()
    protocol = ClientProtocol(parse_uri(handshake["uri"]), origin=handshake["origin"], subprotocols=["streamlit"])
    request = protocol.connect()
    protocol.send_request(request)
    sock = tcp(gateway, receive_buffer=4096)
    sock.sendall(b"".join(protocol.data_to_send()))
    assert sock.recv(2048).startswith(b"HTTP/1.1 101 ")
    return sock


def masked(message: BackMsg) -> bytes:
    """The message as one frame of a client (RFC 6455 §5.2), masked with zeros."""
    payload = message.SerializeToString()
    assert len(payload) < 126
    return bytes([0x82, 0x80 | len(payload), 0, 0, 0, 0]) + payload


# --- floods -----------------------------------------------------------------------------------------------------


def test_headers_without_end(patient):
    """100 MiB of small headers on one connection are cut off below 5 MiB, with httptools installed beside us."""
    parsers = patient.get("/parsers").json()
    assert parsers == {"importable": str(BESIDE / "httptools" / "__init__.py"), "imported": False}
    assert "httptools" not in Path(f"/proc/{patient.process.pid}/maps").read_text()  # nor its C library

    before, sent, block = at_rest(patient), 0, b"X-Header: value\r\n" * 512
    with tcp(patient) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n" + HOST)
        with suppress(OSError):
            while sent < 100 * MIB:
                sent += sock.send(block)
    assert sent < 5 * MIB
    assert resident(patient) - before < 8 * MIB

    with tcp(patient) as sock:  # a little beyond the limit, so that nothing is left unread and the answer arrives
        sock.sendall(b"GET / HTTP/1.1\r\n" + HOST + b"X-Header: value\r\n" * 4000)
        [reply] = replies(sock)
    assert reply.status == 431
    assert reply.header(b"x-frame-options") == b"DENY"
    assert patient.exchange(reply.header(b"x-request-id").decode())[1]["status_detail"] == "headers-too-large"


@pytest.mark.parametrize("places", [4096, 100])
def test_silent_sockets_do_not_keep_others_out(tmp_path, patient, places):
    """500 silent sockets from one address: others get page, health and a run at once, however few places there are."""
    with ExitStack() as stack:
        gateway = patient
        if places != 4096:
            cap = {"MAX_CONNECTIONS": places, "MAX_CONNECTIONS_PER_ADDRESS": places}
            gateway = stack.enter_context(exposed(tmp_path, **cap))
        silent = [stack.enter_context(closing(tcp(gateway, COLLEAGUE))) for _ in range(500)]
        time.sleep(0.5)
        for _ in range(3):
            visit_promptly(gateway, STAFF)
        # They really were in the way: as many as one address may have, but for those that gave way to the visits.
        assert min(places, 256) - 20 <= sum(map(is_open, silent)) <= min(places, 256)


def is_open(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        return sock.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def test_a_flood_of_refused_requests(crowded):
    """5000 requests from outside are refused, each with one decision and one outcome; staff are served meanwhile."""
    connections, each, batch = 10, 500, 50
    since = quiet(crowded)

    def flood(_: int) -> list[Reply]:
        found: list[Reply] = []
        with tcp(crowded, OUTSIDER, timeout=30) as sock:
            for _ in range(each // batch):
                sock.sendall((b"GET / HTTP/1.1\r\nAccept: application/json\r\n" + HOST + b"\r\n") * batch)
                found += answers(sock, batch)
        return found

    with ThreadPoolExecutor(connections) as threads:
        floods = [threads.submit(flood, number) for number in range(connections)]
        while not all(flood.done() for flood in floods):
            visit_promptly(crowded, STAFF, within=5)
        refused = [reply for flood in floods for reply in flood.result()]
    assert [reply.status for reply in refused] == [403] * connections * each
    ids = {reply.header(b"x-request-id").decode() for reply in refused}
    assert len(ids) == connections * each
    found = phases(settled(crowded, connections * each, since))
    assert {tuple(found.get(request_id, ())) for request_id in ids} == {("decision", "outcome")}
    visit_promptly(crowded, STAFF)


def answers(sock: socket.socket, number: int) -> list[Reply]:
    """The next answers on a connection that stays open. Each has a Content-Length."""
    received, found = b"", []
    while len(found) < number:
        head, blank, rest = received.partition(b"\r\n\r\n")
        lines = [line.partition(b":") for line in head.lower().split(b"\r\n")[1:]]
        headers = [(name, value.strip()) for name, _, value in lines]
        size = int(dict(headers).get(b"content-length", 0))
        if blank and len(rest) >= size:
            found.append(Reply(int(head.split()[1]), headers, rest[:size]))
            received = rest[size:]
        else:
            more = sock.recv(262_144)
            assert more, f"closed after {len(found)} answers"
            received += more
    return found


# --- connections and records ------------------------------------------------------------------------------------

# name, bytes, status
PIPELINE = [
    ("our health", b"GET /.gateway/healthz HTTP/1.1\r\n" + HOST + b"\r\n", 200),
    ("a page", b"GET / HTTP/1.1\r\n" + HOST + b"\r\n", 200),
    ("a body", b"POST /count HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello", 200),
    (
        "a chunked body",
        b"POST /count HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        200,
    ),
    ("an unknown path", b"GET /nothing HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    ("a malformed target", b"GET /a%2fb HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    ("a method that is not known there", b"PUT / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc", 405),
    ("a host that is not ours", b"GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n", 421),
    ("Streamlit's health", b"GET /_stcore/health HTTP/1.1\r\n" + HOST + b"\r\n", 200),
]


@pytest.mark.parametrize("pipelined", [False, True], ids=["one after the other", "pipelined"])
def test_many_requests_on_one_connection(patient, pipelined):
    """A connection carries requests of every kind, refused ones too; answers come in their order (RFC 9112 §9.3.2)."""
    requests, since = [sent for _, sent, _ in PIPELINE] * 3, quiet(patient)
    with tcp(patient) as sock:
        if pipelined:
            sock.sendall(b"".join(requests))
            found = answers(sock, len(requests))
        else:
            found = [reply for sent in requests for _ in [sock.sendall(sent)] for reply in answers(sock, 1)]
    assert [reply.status for reply in found] == [status for _, _, status in PIPELINE] * 3
    assert [reply.body for reply in found[2:4]] == [b'{"bytes":5}', b'{"bytes":3}']
    recorded = phases(settled(patient, len(found), since))
    assert list(recorded) == [reply.header(b"x-request-id").decode() for reply in found]
    assert set(map(tuple, recorded.values())) == {("decision", "outcome")}


def test_a_body_that_nobody_reads_is_no_request(patient):
    """The body of a refused request is never taken for the next request on the connection."""
    hidden = b"GET /.gateway/whoami HTTP/1.1\r\n" + HOST + b"\r\n"
    since = quiet(patient)
    with tcp(patient, timeout=3) as sock:
        sock.sendall(b"POST /nothing HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(hidden) + hidden)
        sock.sendall(b"GET /.gateway/healthz HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        statuses = [reply.status for reply in replies(sock)]
    assert statuses in ([405, 200], [404, 200], [405], [404])
    assert len(phases(settled(patient, len(statuses), since))) == len(statuses)


def test_a_client_that_leaves_is_no_error(patient):
    """Who hangs up during an upload or a download leaves an incomplete exchange, not an error of the application."""
    since = quiet(patient)
    with tcp(patient) as sock:
        sock.sendall(b"POST /count HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\nhalf")
        time.sleep(0.2)
    with tcp(patient, receive_buffer=4096) as sock:
        sock.sendall(b"GET /big HTTP/1.1\r\n" + HOST + b"\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")
        time.sleep(0.2)
    upload, download = outcomes(settled(patient, 2, since))
    for outcome in (upload, download):
        assert outcome["status_detail"] == "allowed-by-rule"
        assert outcome["unmapped"]["gateway"]["complete"] is False
    assert "http_response" not in upload  # nothing was answered
    assert download["http_response"]["body_length"] < 32 * MIB  # of 64: what was sent, not what the route had to say


def test_an_error_of_the_application_is_in_the_log(patient):
    """What a route raises is in the process log with its stack trace, under the reference that the visitor sees."""
    response = patient.get("/broken")
    assert response.status_code == 500
    assert "on purpose" not in response.text
    deadline, told = time.monotonic() + 3, []
    while not told and time.monotonic() < deadline:
        told = [line for line in patient.process.output().splitlines() if response.headers["x-request-id"] in line]
        time.sleep(0.05)
    assert len(told) == 1, patient.process.output()
    assert "ValueError: broken on purpose" in told[0]


def line(name: str, value: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\n" + (b"" if name == "Host" else HOST) + name.encode() + b": " + value + b"\r\n\r\n"


LINE_SEPARATOR, FORGED = "\u2028".encode(), b'"},"metadata":{"event_code":"forged"}}\\n{"x":{"y":"'
# name, peer, bytes sent. What steers terminals (ECMA-48: C0, C1, CSI) and what some readers take for a line's end.
HOSTILE = [
    ("a line break in the path", STAFF, b"GET /%0a%7b%22metadata%22%3a1%7d HTTP/1.1\r\n" + HOST + b"\r\n"),
    ("an ANSI sequence in the path", STAFF, b"GET /%1b%5b31mred HTTP/1.1\r\n" + HOST + b"\r\n"),
    ("a C1 control in the path", STAFF, b"GET /%c2%9b31mred HTTP/1.1\r\n" + HOST + b"\r\n"),
    ("U+2028 in the path", STAFF, b"GET /%e2%80%a8forged HTTP/1.1\r\n" + HOST + b"\r\n"),
    ("U+0085 in the path", STAFF, b"GET /%c2%85forged HTTP/1.1\r\n" + HOST + b"\r\n"),
    ("a bidirectional override in the path", STAFF, b"GET /%e2%80%aegnp.exe HTTP/1.1\r\n" + HOST + b"\r\n"),
    ("a surrogate in the path", STAFF, b"GET /%ed%a0%80 HTTP/1.1\r\n" + HOST + b"\r\n"),
    ("JSON in the path", STAFF, b"GET /%22%7d%7d%5c%6e HTTP/1.1\r\n" + HOST + b"\r\n"),
    ("raw bytes in the path", STAFF, b"GET /\x1b[31m\xe2\x80\xa8 HTTP/1.1\r\n" + HOST + b"\r\n"),
    ("raw bytes in the query", STAFF, b"GET /?\x9b31m\xe2\x80\xa8 HTTP/1.1\r\n" + HOST + b"\r\n"),
    ("an escaped query", STAFF, b"GET /?%1b%5b31m%e2%80%a8%0a HTTP/1.1\r\n" + HOST + b"\r\n"),
    ("a method", STAFF, b"G^|`ET / HTTP/1.1\r\n" + HOST + b"\r\n"),
    ("ESC in the method", STAFF, b"GE\x1bT / HTTP/1.1\r\n" + HOST + b"\r\n"),
    *(
        (f"{what} in {header}", peer, line(header, b"agent-007" + value + b"forged"))
        for header, peer in [
            ("User-Agent", STAFF), ("Host", STAFF), ("Origin", STAFF),
            ("X-Request-Id", PROXY), ("X-Forwarded-For", PROXY),
        ]
        for what, value in [
            ("U+2028", LINE_SEPARATOR), ("a C1 control", b"\x9b31m"), ("U+0085", b"\x85"), ("DEL", b"\x7f"),
            ("ESC", b"\x1b[2J"), ("a tab", b"\t"), ("JSON", FORGED),
        ]
    ),
    ("a handshake's origin and agent", STAFF, b"GET /_stcore/stream HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\n"
     b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
     b"Origin: http://\x9b31m\xe2\x80\xa8\r\nUser-Agent: " + FORGED + LINE_SEPARATOR + b"\r\n\r\n"),
]  # fmt: skip


def test_nothing_that_a_client_sends_forges_a_line(tmp_path):
    """Whatever stands in path, host, agent or request id: an event is one line to all and steers no terminal."""
    with exposed(tmp_path) as gateway:
        since = quiet(gateway)
        for name, peer, sent in HOSTILE:
            with tcp(gateway, peer) as sock:
                sock.sendall(sent if b"Upgrade" in sent else sent[:-2] + b"Connection: close\r\n\r\n")
                [reply] = replies(sock)
            _, outcome = gateway.exchange(reply.header(b"x-request-id").decode())
            assert outcome["status_detail"], name
        assert {tuple(left) for left in phases(gateway.records()[since:]).values()} == {("decision", "outcome")}
        assert len(phases(gateway.records()[since:])) == len(HOSTILE)

        segments = b"".join(path.read_bytes() for path in sorted(gateway.state.glob("audit/*/*/seg-*.jsonl")))
        text = segments.decode("utf-8")
        lines = [json.loads(each) for each in text.splitlines()]  # splits at U+0085, U+2028 and their kin as well
        assert len(lines) == segments.count(b"\n")
        assert steering(text) == set()
        assert not any("forged" in str(each.get("metadata", {}).get("event_code")) for each in lines)
        assert steering(gateway.process.output()) == set()

        for options in ([], ["--json"]):
            printed = tail(gateway, *options)
            assert steering(printed) == set()
            assert len(printed.splitlines()) == len(gateway.records())


def steering(text: str) -> set[str]:
    """The characters of a text, besides line feeds, that Unicode calls not printable."""
    return {char for char in text if not char.isprintable()} - {"\n"}


def tail(gateway: Served, *options: str) -> str:
    command = [*GATEWAY, "audit", "tail", "-n", "100000", "--state-dir", str(gateway.state), *options]
    done = subprocess.run(command, capture_output=True, env=clean_environment(), timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode("utf-8")


def test_concurrent_exchanges_have_one_decision_and_one_outcome_each(patient):
    """50 exchanges of every kind at once: none is recorded twice, none not at all, and the sequence has no gap."""

    def page(number: int) -> None:
        assert patient.get("/").status_code == 200

    def refused(number: int) -> None:
        assert patient.get("/", OUTSIDER).status_code == 403

    def body(number: int) -> None:
        with patient.http(COLLEAGUE) as client:
            assert client.post("/count", content=b"x" * 60_000).json() == {"bytes": 60_000}

    def stream(number: int) -> None:
        with StreamlitClient(patient.visitor(COLLEAGUE)) as client:
            assert client.rerun().texts[0] == "Home"

    def no_origin(number: int) -> None:
        with pytest.raises(InvalidStatus):
            StreamlitClient(patient.visitor(COLLEAGUE, origin=None))

    def no_request(number: int) -> None:
        with tcp(patient) as sock:
            sock.sendall(b"\x16\x03\x01 no request\r\n\r\n")
            assert [reply.status for reply in replies(sock)] == [400]

    def left_early(number: int) -> None:
        with tcp(patient) as sock:
            sock.sendall(b"GET /big HTTP/1.1\r\n" + HOST + b"\r\n")
            assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")

    def half_a_body(number: int) -> None:
        with tcp(patient) as sock:
            sock.sendall(b"POST /count HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\nhalf")
            time.sleep(0.2)

    kinds = [page, refused, body, stream, no_origin, no_request, left_early, half_a_body]
    since = quiet(patient)
    with ThreadPoolExecutor(50) as threads:
        for done in [threads.submit(kinds[number % len(kinds)], number) for number in range(50)]:
            done.result(60)
    found = phases(settled(patient, 50, since))
    assert len(found) == 50
    assert {tuple(left) for left in found.values()} == {("decision", "outcome")}
    events = patient.records()
    assert [event["metadata"]["sequence"] for event in events] == list(range(len(events)))
    assert "application-error" not in {event["status_detail"] for event in outcomes(events[since:])}
