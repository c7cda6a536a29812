"""uvicorn's protocol classes with what they lack: limits, strict framing, our answers, the client's certificate.

Only documented hooks of uvicorn and asyncio are extended (the methods of `asyncio.Protocol`, `handle_events`,
`send_400_response`, `handle_websocket_upgrade`, `shutdown`); where the order of calls matters, a comment says so. The
tests in `tests/server/` run against the real uvicorn and notice when an upgrade changes it.
"""

import asyncio
import logging
from typing import Any, ClassVar, Final, cast

import h11
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from gateway.http1.connections import BodyMeter, Connections
from gateway.http1.framing import (
    RawAnswer,
    RawRefusal,
    RawRequest,
    Refusal,
    StrictConnection,
    inspect_upgrade,
    serialize,
)
from gateway.http1.tls import describe_tls
from gateway.model import Reason

_log: Final = logging.getLogger("gateway.server")
_BARE: Final = RawAnswer(400, [(b"content-type", b"text/plain; charset=utf-8")], b"Bad Request\n")
_BODY_TOO_SLOW: Final = Refusal(Reason.REQUEST_TIMEOUT, "body too slow")
_HEAD_TOO_SLOW: Final = Refusal(Reason.REQUEST_TIMEOUT, "head too slow")


class _Watched(asyncio.Protocol):
    """Ends a connection whose peer does not read, or whose last bytes cannot be delivered, within `write_timeout`."""

    table: ClassVar[Connections]
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    _stalled_since: float | None = None

    def pause_writing(self) -> None:
        self._stalled_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._stalled_since = None
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self.table.leave(self)
        super().connection_lost(exc)

    def look(self, now: float) -> None:
        """Ends the connection if nothing could be written, or its closing is not done, for too long."""
        if self._stalled_since is None and self.transport.is_closing():
            self._stalled_since = now
        if self._stalled_since is not None and now - self._stalled_since > self.table.limits.write_timeout:
            self.drop()

    def drop(self) -> None:
        """Ends the connection at once; what was not yet sent is lost."""
        self.transport.abort()


class HttpConnection(_Watched, H11Protocol):
    """One HTTP/1 connection: strict framing, time limits, and the hook's answer where the application has none."""

    refuse: ClassVar[RawRefusal]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        limits = self.table.limits
        self.conn: StrictConnection = StrictConnection(limits.max_head)
        self.timeout_keep_alive = limits.keep_alive  # type: ignore[assignment]  # call_later takes fractions too
        self.cycle: RequestResponseCycle | None = None  # type: ignore[assignment]  # None until the first request
        self._opened = self.loop.time()
        self._head_since: float | None = None
        self._waits = True
        self._meter = BodyMeter(limits.body_timeout, limits.body_rate)
        self._received = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admits the connection, or ends it at once without an answer."""
        super().connection_made(cast("asyncio.Transport", transport))
        if not self.table.admit(self, self.client[0] if self.client else None):
            self.drop()
        if self.scheme == "https":
            self.app = _describing(self.app, describe_tls(self.transport))

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if not self.transport.is_closing():  # nothing that arrives behind a refusal may reach the parser again
            super().data_received(data)

    def handle_events(self) -> None:
        """As in uvicorn, then notes where the connection stands: in a head, in a request, or waiting."""
        super().handle_events()
        if not self.conn.head_size:
            self._head_since = None
        elif self._head_since is None:
            self._head_since = self.loop.time()
        self._settle()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._settle()

    def _settle(self) -> None:
        waits = self.conn.their_state is h11.IDLE
        if waits is not self._waits:
            self._waits = waits
            (self.table.wait if waits else self.table.serve)(self)

    def look(self, now: float) -> None:
        """Ends the connection if it has been silent, in a head, or in a body for too long."""
        super().look(now)
        if self.transport.is_closing():
            return
        limits = self.table.limits
        if self._head_since is not None:
            if now - self._head_since > limits.head_timeout:
                self._refuse(_HEAD_TOO_SLOW)
        elif self._waits:
            # Between requests uvicorn's own keep-alive timer runs; before the first one it has none.
            if self.cycle is None and now - self._opened > limits.idle_timeout:
                self.transport.close()
        elif self.cycle is not None and self.conn.their_state is h11.SEND_BODY and self._body_is_late(self.cycle, now):
            self._refuse(_BODY_TOO_SLOW)

    def _body_is_late(self, cycle: RequestResponseCycle, now: float) -> bool:
        """Whether the client is too slow with its body. Time in which *we* do not read is not held against it."""
        we_wait = self.flow.read_paused or cycle.waiting_for_100_continue
        # Once the answer is out, the rest of the body is read and thrown away, but not for ever: it earns nothing.
        received = self._meter.received if cycle.response_complete else self._received
        return self._meter.is_late(cycle, received, now, counts=not we_wait)

    def send_400_response(self, msg: str) -> None:
        """Answers what h11 or `StrictConnection` refused. Called by uvicorn when `next_event` raises."""
        self._refuse(self.conn.refusal or Refusal(Reason.REQUEST_MALFORMED, msg))

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Passes the connection on to the WebSocket protocol, once its library is sure to accept the handshake."""
        rest, _ = self.conn.trailing_data
        if refusal := inspect_upgrade(event, rest):
            self._refuse(refusal)
        else:
            super().handle_websocket_upgrade(event)

    def shutdown(self) -> None:
        """As in uvicorn; but h11 has no word for closing behind a refusal, and would raise."""
        if not self.transport.is_closing():
            super().shutdown()

    def _refuse(self, refusal: Refusal) -> None:
        """Answers, if an answer is still due, and closes."""
        running = self.cycle if self.cycle is not None and not self.cycle.response_complete else None
        if running is not None:
            running.disconnected = True
            running.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(self._answer(refusal, cast("Scope", running.scope) if running is not None else None))
        self.transport.close()

    def _answer(self, refusal: Refusal, scope: Scope | None) -> bytes:
        peer, port = self.client or (None, None)
        request = RawRequest(peer, port, self.scheme or "http", refusal.reason, refusal.detail, scope)
        date = self.server_state.default_headers
        try:
            return serialize(type(self).refuse(request), date, head_only=self.conn.is_head)
        except Exception:  # a broken page must not become a connection that hangs
            _log.exception("the answer to a refused request could not be made: %s", refusal.reason)
            return serialize(_BARE, date, head_only=self.conn.is_head)


class SocketConnection(_Watched, WebSocketsSansIOProtocol):
    """One WebSocket, which keeps counting as a connection until it is closed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes over the place, and the application, of the HTTP connection that it was."""
        super().connection_made(transport)
        # uvicorn calls set_protocol after this, so the transport still names the predecessor.
        before = cast("HttpConnection", self.transport.get_protocol())
        self.app = before.app
        self.table.hand_over(before, self)

    def shutdown(self) -> None:
        """Closes with 1012 (service restart). A handshake without an answer yet ends without one."""
        if self.handshake_complete:
            super().shutdown()
        else:
            self.transport.close()


def _describing(app: ASGIApp, tls: dict[str, Any]) -> ASGIApp:
    """The application with the TLS extension in each scope of one connection."""

    async def described(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("extensions", {})["tls"] = dict(tls)
        await app(scope, receive, send)

    return described
