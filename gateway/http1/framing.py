"""Strict HTTP/1 framing: what we refuse although h11 would accept it, and the words for a refusal before ASGI.

h11 parses; the code here only narrows what it is given. Two parsers that disagree on where a request ends let one
request hide inside another (request smuggling, RFC 9112 §11.2), so whatever a proxy in front of us could read in
another way is refused: bare LF, folded lines, Content-Length beside Transfer-Encoding or twice, transfer codings in
HTTP/1.0. Everything here is pure: bytes in, a refusal or nothing out.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Literal

import h11
from starlette.types import Scope
from websockets.datastructures import Headers as HandshakeHeaders
from websockets.http11 import Request as Handshake
from websockets.server import ServerProtocol

from gateway.model import Reason

# The blank line as h11 looks for it. Ours must be the same expression: when h11 takes a head out of its buffer, that
# head has to have been judged.
_LAX_END_OF_HEAD: Final = re.compile(rb"\n\r?\n")
_REQUEST_LINE: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/1\.([01])\r\n")
_CONTENT_LENGTH: Final = re.compile(rb"\ncontent-length:[ \t]*([^\r\n]*)")
_DIGITS: Final = re.compile(rb"[0-9]{1,18}[ \t]*")
# Everything but the control characters; tab, CR and LF have their own checks (RFC 9110 §5.5).
_ORDINARY: Final = bytes([0x09, 0x0A, 0x0D, *range(0x20, 0x7F), *range(0x80, 0x100)])
_NEVER_SERVED: Final = (b"TRACE", b"CONNECT")

# One chunk of one byte costs the event loop as much as one of 64 KiB. Measured: 256 KiB of one-byte chunks, a single
# read, keep h11 busy for 0.19 s. Browsers and HTTP libraries send chunks of kilobytes.
SMALL_CHUNK: Final = 64
MAX_SMALL_CHUNKS: Final = 4096


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a connection is refused before the application sees a request. `detail` never holds what the peer sent."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class RawRequest:
    """What is known of a request that never became one.

    `scope`: of the request that the application already runs for. Its exchange leaves the closing record; only the
    answer is wanted.
    """

    peer: str | None
    peer_port: int | None
    scheme: Literal["http", "https"]
    reason: Reason
    detail: str
    scope: Scope | None = None


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """The answer to a `RawRequest`. The server adds Allow, Date, Content-Length and `Connection: close`."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


RawRefusal = Callable[[RawRequest], RawAnswer]
"""Renders and records a refusal, on the event loop: it must not wait. If it raises, the peer gets a bare 400."""


def serialize(answer: RawAnswer, date: list[tuple[bytes, bytes]], *, head_only: bool) -> bytes:
    """The bytes of an answer that closes the connection; without its body for HEAD (RFC 9110 §9.3.2).

    Raises:
        h11.LocalProtocolError: a header that cannot be sent, such as one with a line break in it.
        ValueError: no status of HTTP.
    """
    ours = (b"allow", b"content-length", b"connection", b"date")
    headers = [(name, value) for name, value in answer.headers if name.lower() not in ours]
    if answer.status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers.append((b"allow", b"GET, HEAD"))  # RFC 9110 §15.5.6; every target that we serve answers to these
    headers += [*date, (b"content-length", b"%d" % len(answer.body)), (b"connection", b"close")]
    # A writer of its own: the connection's h11 may be in a state in which it answers nothing any more.
    writer = h11.Connection(h11.SERVER)
    reason = HTTPStatus(answer.status).phrase
    head = writer.send(h11.Response(status_code=answer.status, headers=headers, reason=reason))
    return head if head_only else head + writer.send(h11.Data(data=answer.body)) + writer.send(h11.EndOfMessage())


def inspect_head(head: bytes) -> Refusal | None:
    """Why this request head, from its first byte to its blank line, is refused; None when h11 may have it."""
    line = _REQUEST_LINE.match(head)
    if line is None:
        return Refusal(Reason.REQUEST_MALFORMED, "request line")
    if head.count(b"\n") != head.count(b"\r\n"):
        return Refusal(Reason.REQUEST_MALFORMED, "line ends without CR")
    if b"\n " in head or b"\n\t" in head:
        return Refusal(Reason.HEADERS_MALFORMED, "folded header line")
    if head.translate(None, _ORDINARY):
        return Refusal(Reason.HEADERS_MALFORMED, "control character")
    method, target, minor = line.groups()
    if method in _NEVER_SERVED:
        return Refusal(Reason.METHOD_NOT_ALLOWED, f"{method.decode('ascii')} is never served")
    if not target.startswith(b"/"):
        return Refusal(Reason.TARGET_MALFORMED, "target is not a path")
    return _inspect_fields(head.lower(), old=minor == b"0")


def _inspect_fields(head: bytes, *, old: bool) -> Refusal | None:
    """Why the fields of a head in lower case are refused. `old`: HTTP/1.0."""
    hosts = head.count(b"\nhost:")
    if hosts != 1:
        return Refusal(Reason.HOST_MALFORMED, "several Host") if hosts else Refusal(Reason.HOST_MISSING, "no Host")
    lengths = _CONTENT_LENGTH.findall(head) if b"\ncontent-length:" in head else ()
    if len(lengths) > 1:
        return Refusal(Reason.REQUEST_MALFORMED, "several Content-Length")
    if lengths and not _DIGITS.fullmatch(lengths[0]):
        return Refusal(Reason.REQUEST_MALFORMED, "Content-Length is not a number")
    if b"\ntransfer-encoding:" in head:
        if lengths:
            return Refusal(Reason.REQUEST_MALFORMED, "Content-Length beside Transfer-Encoding")
        if old:
            return Refusal(Reason.REQUEST_MALFORMED, "Transfer-Encoding in HTTP/1.0")
    return None


def inspect_upgrade(request: h11.Request, rest: bytes) -> Refusal | None:
    """Why this WebSocket handshake is refused; None when the WebSocket library will accept it.

    `rest` is what arrived behind the head. The library is asked on a connection of its own first: in the server its
    refusals are plain text without our headers, and heads it cannot parse are never answered at all.
    """
    fields = {name for name, _ in request.headers}
    lengths = [value for name, value in request.headers if name == b"content-length" and value.strip(b"0")]
    if request.http_version != b"1.1":
        return Refusal(Reason.REQUEST_MALFORMED, "WebSocket handshake in HTTP/1.0")
    if request.method != b"GET":
        return Refusal(Reason.REQUEST_MALFORMED, "WebSocket handshake by another method than GET")
    if lengths or b"transfer-encoding" in fields or rest:
        return Refusal(Reason.REQUEST_MALFORMED, "WebSocket handshake with a body")
    library = ServerProtocol()
    headers = HandshakeHeaders((name.decode("ascii"), value.decode("latin-1")) for name, value in request.headers)
    library.receive_data(Handshake(request.target.decode("ascii"), headers).serialize())
    parsed = library.events_received()
    if not parsed:
        return Refusal(Reason.HEADERS_MALFORMED, "WebSocket handshake with a header that is too long or malformed")
    if not isinstance(parsed[0], Handshake) or library.accept(parsed[0]).status_code != 101:
        return Refusal(Reason.REQUEST_MALFORMED, "WebSocket handshake incomplete")
    return None


class StrictConnection(h11.Connection):
    """h11's server side, which refuses what `inspect_head` refuses and heads above `max_head` bytes.

    A refusal is a `h11.RemoteProtocolError` from `next_event`, and then stands in `refusal`.
    """

    def __init__(self, max_head: int) -> None:
        super().__init__(h11.SERVER, max_incomplete_event_size=max_head)
        self.head_size = 0  # bytes of a head that has begun and is not complete
        self.is_head = False  # the last request was a HEAD, or began like one
        self.refusal: Refusal | None = None
        self._max_head = max_head
        self._small_chunks = 0

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """The next event, as in h11.

        Raises:
            h11.RemoteProtocolError: the peer broke the protocol, or is refused.
        """
        in_head = self.their_state is h11.IDLE
        if in_head:
            self._take_head()
        try:
            event = super().next_event()
        except h11.RemoteProtocolError as error:
            self.refusal = _refusal_of(error, in_head=in_head)
            raise
        if type(event) is h11.Request:
            self._small_chunks = 0
        elif type(event) is h11.Data and event.chunk_start and event.chunk_end and len(event.data) < SMALL_CHUNK:
            self._count_small_chunk()
        return event

    def _take_head(self) -> None:
        received, _ = self.trailing_data
        if not received:
            return
        size = _end_of_head(received, max(0, self.head_size - 3))
        complete, size = size > 0, size or len(received)
        self.head_size = 0 if complete else size
        self.is_head = received.startswith(b"HEAD ")
        if size > self._max_head:
            self._refuse(Refusal(Reason.HEADERS_TOO_LARGE, f"head of more than {self._max_head} bytes"))
        if complete and (refusal := inspect_head(received[:size])):
            self._refuse(refusal)

    def _count_small_chunk(self) -> None:
        self._small_chunks += 1
        if self._small_chunks > MAX_SMALL_CHUNKS:
            self._refuse(Refusal(Reason.REQUEST_MALFORMED, "too many small chunks"))

    def _refuse(self, refusal: Refusal) -> None:
        self.refusal = refusal
        raise h11.RemoteProtocolError(refusal.detail)


def _end_of_head(received: bytes, begin: int) -> int:
    """Where the head ends behind its blank line; 0 when h11 does not see an end yet.

    The usual blank line is looked for first. Should one of h11's laxer ones come before it, that has a bare LF, stands
    inside what is judged, and is refused for it.
    """
    usual = received.find(b"\r\n\r\n", begin)
    if usual >= 0:
        return usual + 4
    lax = _LAX_END_OF_HEAD.search(received, begin)
    return lax.end() if lax else 0


def _refusal_of(error: h11.RemoteProtocolError, *, in_head: bool) -> Refusal:
    """The refusal that stands for an error of h11, without the bytes that h11 quotes behind the colon."""
    if in_head and error.error_status_hint == 431:
        return Refusal(Reason.HEADERS_TOO_LARGE, "head too large")
    return Refusal(Reason.REQUEST_MALFORMED, str(error).partition(":")[0])
