"""Outermost: opens the exchange, counts what passes, and leaves exactly one closing record, whatever happens."""

from collections.abc import Callable

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.audit.recorder import Recorder
from gateway.middleware.bare import answer_bare
from gateway.middleware.exchange import SCOPE_KEY, Exchange

log = structlog.get_logger("gateway.exchange")

Open = Callable[[Scope], Exchange]


class Recording:
    """The record's own layer.

    http: opens and closes the exchange; counts bytes in and out; notes the status sent.
    websocket: the same; the status is 101 once accepted, and the close code of whoever closed first is noted.
    lifespan: passes.
    """

    def __init__(self, app: ASGIApp, *, open_exchange: Open, recorder: Recorder) -> None:
        self.app = app
        self.open_exchange = open_exchange
        self.recorder = recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return

        try:
            exchange = self.open_exchange(scope)
        except Exception:
            # A bug of ours: without an exchange nothing can be judged or recorded, so nothing is served.
            log.exception("exchange.not-opened")
            await answer_bare(scope, send, 500, 1011, "internal error")
            return
        scope[SCOPE_KEY] = exchange
        exchange.wire = send if scope["type"] == "websocket" else None
        try:
            await self.app(scope, _counted_receive(receive, exchange), _counted_send(send, exchange))
        finally:
            self.recorder.closed(exchange)


def _counted_receive(receive: Receive, exchange: Exchange) -> Receive:
    async def counted() -> Message:
        message = await receive()
        match message["type"]:
            case "http.request":
                exchange.bytes_in += len(message.get("body", b""))
            case "http.disconnect":
                exchange.gone = exchange.gone or not exchange.complete
            case "websocket.receive":
                exchange.bytes_in += len(message.get("bytes") or message.get("text") or b"")
            case "websocket.disconnect":
                _note_close(exchange, message.get("code", 1005))
            case _:
                pass
        return message

    return counted


def _counted_send(send: Send, exchange: Exchange) -> Send:
    async def counted(message: Message) -> None:
        if exchange.gone:  # the record says what the client was told, not what the application told nobody
            await send(message)
            return
        match message["type"]:
            case "http.response.start" | "websocket.http.response.start":
                exchange.status = message["status"]
            case "http.response.body" | "websocket.http.response.body":
                exchange.bytes_out += len(message.get("body", b""))
                exchange.complete = not message.get("more_body", False)
            case "websocket.accept":
                exchange.status = 101
            case "websocket.send":
                exchange.bytes_out += len(message.get("bytes") or message.get("text") or b"")
            case "websocket.close":
                _note_close(exchange, message.get("code", 1000))
            case _:
                pass
        await send(message)

    return counted


def _note_close(exchange: Exchange, code: int) -> None:
    exchange.complete = True
    if exchange.status is None:
        exchange.status = 403  # closed before it was accepted: the server answers the handshake so
    elif exchange.close_code is None:
        exchange.close_code = code
