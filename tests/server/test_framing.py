"""What a connection may say before a request reaches the application. Expected values: RFC 9110, RFC 9112, RFC 6455."""

import time

import pytest

from tests.server.conftest import receive_all, replies

KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
HOST = b"Host: localhost\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST
POST = b"POST /count HTTP/1.1\r\n" + HOST
SOCKET = GET + UPGRADE + KEY
TRAILING_GET = b"GET /facts HTTP/1.1\r\nHost: localhost\r\n\r\n"

# name, bytes sent, reason (the status follows from it)
REFUSED = [
    ("Content-Length beside Transfer-Encoding (RFC 9112 §6.1)",
     POST + CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n", "request-malformed"),
    ("Content-Length before Transfer-Encoding",
     POST + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n", "request-malformed"),
    ("two equal Content-Length", POST + b"Content-Length: 1\r\ncontent-length: 1\r\n\r\na",
     "request-malformed"),
    ("two different Content-Length", POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\na",
     "request-malformed"),
    ("a list in Content-Length", POST + b"Content-Length: 1, 1\r\n\r\na", "request-malformed"),
    ("Content-Length with a sign", POST + b"Content-Length: +1\r\n\r\na", "request-malformed"),
    ("negative Content-Length", POST + b"Content-Length: -1\r\n\r\na", "request-malformed"),
    ("hexadecimal Content-Length", POST + b"Content-Length: 0x1\r\n\r\na", "request-malformed"),
    ("empty Content-Length", POST + b"Content-Length: \r\n\r\n", "request-malformed"),
    ("Content-Length beyond 64 bits", POST + b"Content-Length: " + b"9" * 19 + b"\r\n\r\n",
     "request-malformed"),
    ("space before the colon (RFC 9112 §5.1)", POST + b"Content-Length : 1\r\n\r\na",
     "request-malformed"),
    ("Transfer-Encoding in HTTP/1.0",
     b"POST /count HTTP/1.0\r\n" + HOST + CHUNKED + b"\r\n0\r\n\r\n", "request-malformed"),
    ("Transfer-Encoding twice", POST + CHUNKED * 2 + b"\r\n0\r\n\r\n", "request-malformed"),
    ("unknown transfer coding", POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
     "request-malformed"),
    ("Transfer-Encoding identity", POST + b"Transfer-Encoding: identity\r\n\r\n",
     "request-malformed"),
    ("Transfer-Encoding on a folded line (RFC 9112 §5.2)",
     POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", "headers-malformed"),
    ("folded header", GET + b"X-A: b\r\n\tc\r\n\r\n", "headers-malformed"),
    ("first header line begins with a space", b"GET / HTTP/1.1\r\n X: y\r\n" + HOST + b"\r\n", "headers-malformed"),
    ("bare LF everywhere (RFC 9112 §2.2)", b"GET / HTTP/1.1\nHost: localhost\n\n", "request-malformed"),
    ("one bare LF", b"GET / HTTP/1.1\r\nHost: localhost\nX-A: b\r\n\r\n", "request-malformed"),
    ("bare LF as the blank line", b"GET / HTTP/1.1\r\nHost: localhost\r\n\n", "request-malformed"),
    ("bare CR in a value", GET + b"X-A: b\rX-B: c\r\n\r\n", "request-malformed"),
    ("NUL in a value (RFC 9110 §5.5)", GET + b"X-A: b\x00c\r\n\r\n", "headers-malformed"),
    ("control character in a value", GET + b"Cookie: a=\x01\r\n\r\n", "headers-malformed"),
    ("header without colon", GET + b"nonsense\r\n\r\n", "request-malformed"),
    ("header name with a space", GET + b"X A: b\r\n\r\n", "request-malformed"),
    ("empty line before the request", b"\r\nGET / HTTP/1.1\r\n" + HOST + b"\r\n", "request-malformed"),
    ("no Host (RFC 9112 §3.2)", b"GET / HTTP/1.1\r\n\r\n", "host-missing"),
    ("no Host in HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n", "host-missing"),
    ("two Host", GET + b"host: other\r\n\r\n", "host-malformed"),
    ("two Host in HTTP/1.0", b"GET / HTTP/1.0\r\n" + HOST * 2 + b"\r\n", "host-malformed"),
    ("HTTP/0.9", b"GET /\r\n\r\n", "request-malformed"),
    ("HTTP/2.0 in the request line", b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", "request-malformed"),
    ("HTTP/1.9", b"GET / HTTP/1.9\r\n" + HOST + b"\r\n", "request-malformed"),
    ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "request-malformed"),
    ("two spaces in the request line", b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", "request-malformed"),
    ("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "request-malformed"),
    ("absolute form", b"GET http://localhost/ HTTP/1.1\r\n" + HOST + b"\r\n", "target-malformed"),
    ("authority form", b"GET localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n", "target-malformed"),
    ("asterisk form", b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", "target-malformed"),
    ("not ASCII in the target", b"GET /\xc3\xa9 HTTP/1.1\r\n" + HOST + b"\r\n", "request-malformed"),
    ("TRACE (RFC 9110 §9.3.8)", b"TRACE / HTTP/1.1\r\n" + HOST + b"\r\n", "method-not-allowed"),
    ("CONNECT", b"CONNECT localhost:443 HTTP/1.1\r\n" + HOST + b"\r\n", "method-not-allowed"),
    ("WebSocket in HTTP/1.0 (RFC 6455 §4.1)",
     b"GET / HTTP/1.0\r\n" + HOST + UPGRADE + KEY + b"\r\n", "request-malformed"),
    ("WebSocket by POST", b"POST / HTTP/1.1\r\n" + HOST + UPGRADE + KEY + b"\r\n", "request-malformed"),
    ("WebSocket with a body", SOCKET + b"Content-Length: 3\r\n\r\nabc",
     "request-malformed"),
    ("WebSocket with a chunked body", GET + UPGRADE + KEY + CHUNKED + b"\r\n0\r\n\r\n",
     "request-malformed"),
    ("WebSocket with a request behind it", SOCKET + b"\r\n" + TRAILING_GET,
     "request-malformed"),
    ("WebSocket without key", GET + UPGRADE + b"\r\n", "request-malformed"),
    ("WebSocket with a short key", GET + UPGRADE + b"Sec-WebSocket-Key: YQ==\r\n\r\n",
     "request-malformed"),
    ("WebSocket version 8", GET + UPGRADE.replace(b"13", b"8") + KEY + b"\r\n", "request-malformed"),
    ("WebSocket with a header of 10 KB", SOCKET + b"Cookie: " + b"a" * 10_000 + b"\r\n\r\n",
     "headers-malformed"),
    ("one header of 80 KiB", GET + b"X-A: " + b"a" * 81_920 + b"\r\n\r\n", "headers-too-large"),
    ("many headers, 80 KiB", GET + b"X-A: b\r\n" * 10_240 + b"\r\n", "headers-too-large"),
    ("a target of 80 KiB", b"GET /" + b"a" * 81_920 + b" HTTP/1.1\r\n" + HOST + b"\r\n", "headers-too-large"),
]  # fmt: skip
STATUS = {"method-not-allowed": 405, "headers-too-large": 431}


@pytest.mark.parametrize(("sent", "reason"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused(server, sent, reason):
    """A request that two parsers could read in two ways is refused with our own page, and the connection closed."""
    with server.connect() as sock:
        sock.sendall(sent if UPGRADE[:20] in sent else sent + TRAILING_GET)
        received, closed = receive_all(sock)
    head, _, body = received.partition(b"\r\n\r\n")
    assert closed
    assert head.startswith(b"HTTP/1.1 %d " % STATUS.get(reason, 400))
    assert b"\r\nconnection: close" in head
    assert b"\r\nx-frame-options: DENY" in head
    assert (b"\r\nallow: " in head) == (reason == "method-not-allowed")
    assert body == b"<p>" + reason.encode() + b"</p>"


# name, bytes sent, statuses of the answers in order
SERVED = [
    ("the plainest request", GET + b"\r\n", [200]),
    ("HTTP/1.0 with Host", b"GET / HTTP/1.0\r\n" + HOST + b"\r\n", [200]),
    ("three in one packet", (GET + b"\r\n") * 3, [200, 200, 200]),
    ("a body, then another request", POST + b"Content-Length: 3\r\n\r\nabc" + TRAILING_GET,
     [200, 200]),
    ("a chunked body, then another request", POST + CHUNKED + b"\r\n3\r\nabc\r\n0\r\n\r\n"
     + TRAILING_GET, [200, 200]),
    ("a chunk extension and a trailer", POST + CHUNKED
     + b"\r\n3;a=b\r\nabc\r\n0\r\nX-T: u\r\n\r\n", [200]),
    ("good, then bad", TRAILING_GET + b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", [200, 400]),
    ("tab and Latin-1 in a value", GET + b"X-A: b\tc \xe9\r\n\r\n", [200]),
    ("60 KiB of headers", GET + b"X-A: b\r\n" * 7_600 + b"\r\n", [200]),
    ("Upgrade without Connection is plain HTTP", GET + b"Upgrade: websocket\r\n\r\n", [200]),
    ("a malformed chunk size", POST + CHUNKED + b"\r\nxyz\r\nabc\r\n0\r\n\r\n", [400]),
    ("a chunk longer than announced", POST + CHUNKED + b"\r\n1\r\nabc\r\n0\r\n\r\n", [400]),
    ("many chunks of one byte", POST + CHUNKED + b"\r\n" + b"1\r\na\r\n" * 10_000, [400]),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "statuses"), [row[1:] for row in SERVED], ids=[row[0] for row in SERVED])
def test_served(server, sent, statuses):
    """Requests that are well-formed are served, in order, and keep-alive and pipelining work."""
    with server.connect(timeout=4.0) as sock:
        sock.sendall(sent)
        assert [reply.status for reply in replies(sock)] == statuses


def test_head_byte_by_byte(server):
    """How a head is cut into packets makes no difference to what is accepted and what is refused."""
    good = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    bad = b"GET / HTTP/1.1\r\nHost: localhost\r\n\n"
    for sent, status in ((good, 200), (bad, 400)):
        with server.connect(timeout=3.0) as sock:
            for byte in sent:
                sock.sendall(bytes([byte]))
                time.sleep(0.002)
            assert [reply.status for reply in replies(sock)] == [status]


def test_answer_to_head_has_no_body(server):
    """A refused HEAD is answered without a body (RFC 9110 §9.3.2)."""
    with server.connect() as sock:
        sock.sendall(b"HEAD http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received, _ = receive_all(sock)
    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.endswith(b"\r\n\r\n")


def flood(server, begun, block):
    """Begins a request and sends 100 MiB of blocks behind it; the bytes that went out before it was cut off."""
    sent = 0
    with server.connect() as sock:
        sock.sendall(begun)
        try:
            while sent < 100 * 2**20:
                sent += sock.send(block)
        except OSError:
            pass
    return sent


def test_head_in_many_small_packets_is_bounded(server):
    """100 MiB of small headers on one connection are cut off below 5 MiB, and cost no memory."""
    before = server.memory()
    assert flood(server, b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"X-Header: value\r\n" * 512) < 5 * 2**20
    assert server.memory() - before < 8 * 2**20


BODY = b"POST /count HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("begun", "block"),
    [(BODY + b"3;x=", b"y" * 8192), (BODY + b"0\r\n", b"X-T: u\r\n" * 1024)],
    ids=["chunk extension", "trailers"],
)
def test_what_surrounds_a_body_is_bounded(server, begun, block):
    """A chunk extension or a trailer section without end is cut off below 5 MiB as well."""
    assert flood(server, begun, block) < 5 * 2**20


def test_broken_hook_still_answers(serve_with):
    """If the page for a refusal cannot be made, the peer gets a bare 400, and the server goes on."""
    for hook in ("raises", "forbidden-header"):
        broken = serve_with(hook=hook)
        with broken.connect() as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
            received, closed = receive_all(sock)
        assert closed
        assert received.startswith(b"HTTP/1.1 400 ")
        assert b"set-cookie" not in received
        assert broken.ask().status == 200


def test_one_record_for_each_request(serve_with):
    """The hook is told whether the application already has the request, so that there is one record and not two."""
    fresh = serve_with(idle_timeout=2.0)
    for sent in (b"GET / HTTP/1.1\r\n\r\n", BODY + b"xyz\r\n"):
        with fresh.connect() as sock:
            sock.sendall(sent)
            receive_all(sock)
    told = fresh.facts()
    assert told["refusals"] == [
        {"reason": "host-missing", "in_exchange": False, "peer": "127.0.0.1"},
        {"reason": "request-malformed", "in_exchange": True, "peer": "127.0.0.1"},
    ]
    assert told["ended"] == [{"path": "/count", "size": 0}]


def test_nothing_names_the_server(server):
    """No Server header, neither on an answer nor on a refusal; the Date stands on both (RFC 9110 §6.6.1)."""
    with server.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nnonsense\r\n\r\n")
        both = replies(sock)
    assert [reply.status for reply in both] == [200, 400]
    assert [reply.header(b"server") for reply in both] == [None, None]
    assert all(reply.header(b"date") for reply in both)
