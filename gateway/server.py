"""The only place that starts a server: uvicorn with every option that matters set, none left to its defaults.

uvicorn as it comes rewrites client addresses from headers, names itself, has no limit of time before a request is
complete, and picks another HTTP parser when one is installed beside it; see `serve`. The limits are in
`http1/`.
"""

import asyncio
import contextlib
import math
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Final, Literal

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import GatewayError, StartupError
from gateway.http1.connections import ConnectionLimits, Connections
from gateway.http1.framing import RawAnswer, RawRefusal, RawRequest
from gateway.http1.handshake import TlsOpening
from gateway.http1.listeners import affordable, bind, cannot_listen
from gateway.http1.protocols import HttpConnection, SocketConnection
from gateway.http1.replies import DefaultHeaders
from gateway.http1.tls import make_tls_context

__all__ = ["ConnectionLimits", "RawAnswer", "RawRefusal", "RawRequest", "ServerOptions", "serve"]

_STOPPED: Final = 0
_COULD_NOT_START: Final = 3
_BACKLOG: Final = 2048
_OPERATIONS: Final = 64  # connections of the operations listener: a probe, a scraper, an operator


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions(ConnectionLimits):
    """Where and how to listen, besides the limits of `ConnectionLimits`. Times in seconds, sizes in bytes.

    TLS needs `tls_certificate` (PEM, with its chain), and `tls_key` if that is another file. `tls_client_ca` asks
    clients for a certificate, and `tls_client_optional` lets those without one in. `max_message` bounds one WebSocket
    message. After `shutdown_timeout` a stop no longer waits for answers.
    """

    host: str = "127.0.0.1"
    port: int = 8501
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    tls_client_optional: bool = False
    max_message: int = 16 * 1024 * 1024
    shutdown_timeout: float = 10.0


def serve(
    app: ASGIApp,
    options: ServerOptions,
    *,
    refuse: RawRefusal,
    operations: tuple[ASGIApp, str, int] | None = None,
    on_started: Callable[[], None] | None = None,
) -> int:
    """Serves until SIGTERM or SIGINT, then ends open exchanges within `shutdown_timeout`; the process's exit code.

    0 after a stop, 3 when it could not start (the cause and a hint are then on stderr). `refuse` answers what never
    reaches the application. `operations` is a second listener (application, host, port) for health in full,
    without lifespan or TLS, which ends after the first. `on_started` is called once requests are answered. WebSockets
    are closed with 1012.
    """
    start = _Start(app)
    try:
        sockets = bind(options.host, options.port)
        second = _second(*operations, options, refuse) if operations else None
        server = _Server(_configure(start, options, refuse), second, on_started)
        return _run(server, sockets, start)
    except StartupError as error:
        _complain(str(error), error.hint)
        return _COULD_NOT_START


def _run(server: "_Server", sockets: list[socket.socket], start: "_Start") -> int:
    try:
        server.run(sockets=sockets)
    except SystemExit as stop:  # how uvicorn reports that the lifespan failed
        raise _failed_start(start.error) from stop
    except OSError as error:
        if server.started:
            raise
        raise cannot_listen(server.config.host, server.config.port, error) from error
    return _STOPPED


def _second(app: ASGIApp, host: str, port: int, options: ServerOptions, refuse: RawRefusal) -> "_Second":
    listening = replace(options, host=host, port=port, tls_certificate=None, max_connections=_OPERATIONS)
    return _Second(_configure(app, listening, refuse, lifespan="off"), bind(host, port))


def _configure(
    app: ASGIApp, options: ServerOptions, refuse: RawRefusal, *, lifespan: Literal["on", "off"] = "on"
) -> uvicorn.Config:
    """What uvicorn is told. Each line that is a safeguard says against what."""
    table = Connections(affordable(options))
    return uvicorn.Config(
        app,
        host=options.host,  # for messages only: the sockets are bound by us
        port=options.port,
        interface="asgi3",
        loop="uvloop",
        http=_http_class(table, options, refuse),  # a class, never "auto": httptools has no limit of header size
        ws=type("SocketConnection", (SocketConnection,), {"table": table}),
        ws_max_size=options.max_message,
        ws_ping_interval=20.0,
        ws_ping_timeout=20.0,
        ws_per_message_deflate=False,  # compression beside secrets leaks them, and costs memory for each socket
        lifespan=lifespan,  # never "auto": it mistakes a start that failed for an application without lifespan
        proxy_headers=False,  # who the client is, is decided by our own code and the policy
        server_header=False,
        access_log=False,  # the record is the access log
        log_config=None,  # logging belongs to the composition root
        log_level="warning",  # at "info" uvicorn logs targets with their query strings
        backlog=_BACKLOG,
        timeout_keep_alive=math.ceil(options.keep_alive),
        timeout_graceful_shutdown=math.ceil(options.shutdown_timeout),
        workers=1,  # Streamlit's sessions live in this process; WEB_CONCURRENCY must not change that
    )


def _http_class(table: Connections, options: ServerOptions, refuse: RawRefusal) -> type[asyncio.Protocol]:
    """What speaks on a new connection. uvicorn makes the instances, so what they share stands on a class of its own."""
    http = type("HttpConnection", (HttpConnection,), {"table": table, "refuse": staticmethod(refuse)})
    if options.tls_certificate is None:
        return http
    context = make_tls_context(
        options.tls_certificate, options.tls_key, options.tls_client_ca, optional=options.tls_client_optional
    )
    return type("TlsOpening", (TlsOpening,), {"table": table, "http": http, "context": context})


class _Second(uvicorn.Server):
    """The operations listener, in the event loop of the public one."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config)
        self._sockets = sockets
        self._task: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing: signals are for the public server."""
        yield

    async def open(self) -> None:
        """Serves, in a task of its own."""
        self._task = asyncio.create_task(self.serve(self._sockets))
        while not self.started:
            await asyncio.sleep(0.01)
            if self._task.done():
                self._task.result()

    async def close(self) -> None:
        """Stops, and waits for it."""
        self.should_exit = True
        if self._task is not None:
            await self._task


class _Server(uvicorn.Server):
    """The public listener. It says when it serves, and ends with exit code 0 when told to stop."""

    def __init__(self, config: uvicorn.Config, second: _Second | None, on_started: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._second = second
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to serve, and tells."""
        await super().startup(sockets)
        if self._second is not None:
            await self._second.open()
        if self._on_started is not None:
            self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends the public listener first, so that an operator can watch it go."""
        await super().shutdown(sockets)
        if self._second is not None:
            await self._second.close()

    async def on_tick(self, counter: int) -> bool:
        """As in uvicorn, which makes the default headers anew each second."""
        ends = await super().on_tick(counter)
        if type(self.server_state.default_headers) is list:
            self.server_state.default_headers = DefaultHeaders(self.server_state.default_headers)
        return ends

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  the name is uvicorn's
        """Stops; a second SIGINT stops at once.

        uvicorn keeps the signal and raises it again at the end, so that the process dies of it: exit code 143, which
        an orchestrator reads as a crash. Here it is not kept.
        """
        self.force_exit = self.force_exit or (self.should_exit and sig == signal.SIGINT)
        self.should_exit = True


class _Start:
    """The application, and the error that ended its start, for the message on the terminal.

    http, websocket: passed on untouched. lifespan: an error of ours is told in words, without a stack trace.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.error: Exception | None = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return (self._lifespan if scope["type"] == "lifespan" else self._app)(scope, receive, send)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent: list[Message] = []

        async def hold_failure(message: Message) -> None:
            sent.append(message)
            if message["type"] != "lifespan.startup.failed":  # Starlette's carries a stack trace
                await send(message)

        try:
            await self._app(scope, receive, hold_failure)
        except Exception as error:
            self.error = error
            if not isinstance(error, GatewayError) or any(m["type"] == "lifespan.startup.complete" for m in sent):
                raise
            await send({"type": "lifespan.startup.failed", "message": ""})
        else:
            if sent and sent[-1]["type"] == "lifespan.startup.failed":
                await send(sent[-1])


def _failed_start(error: Exception | None) -> StartupError:
    if isinstance(error, StartupError):
        return error
    if isinstance(error, GatewayError):
        return StartupError(str(error))
    cause = f": {type(error).__name__}" if error else ""
    return StartupError(f"the application did not start{cause}", hint="what it said is in the log, just above")


def _complain(message: str, hint: str | None) -> None:
    sys.stderr.write(f"error: {message}\n" + (f"hint: {hint}\n" if hint else ""))
    sys.stderr.flush()
