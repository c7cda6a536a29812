"""The TLS handshake of a connection, done by ourselves so that a connection counts from its first moment."""

import asyncio
import functools
import ssl
from typing import Any, ClassVar, cast

from uvicorn.config import Config
from uvicorn.protocols.utils import get_remote_addr
from uvicorn.server import ServerState

from gateway.http1.connections import Connections
from gateway.http1.protocols import HttpConnection


class TlsOpening(asyncio.Protocol):
    """A connection during its TLS handshake, which counts like every other one.

    uvicorn would let asyncio do the handshake and show us the connection afterwards; sockets that never begin it
    would then be seen by nobody for a minute, and cost no more than a file descriptor of ours each.
    """

    table: ClassVar[Connections]
    http: ClassVar[type[HttpConnection]]
    context: ClassVar[ssl.SSLContext]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._make_http = functools.partial(self.http, config, server_state, app_state, _loop)
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._early = b""  # what came before the handshake could begin, or right behind it
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admits the connection and starts the handshake, or ends it at once."""
        self._transport = cast("asyncio.Transport", transport)
        peer = get_remote_addr(self._transport)
        if self.table.admit(self, peer[0] if peer else None):
            self._task = asyncio.get_running_loop().create_task(self._open(self._transport))
        else:
            self.drop()

    def data_received(self, data: bytes) -> None:
        self._early += data

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  the name is asyncio's
        self._lost = True
        self.table.leave(self)

    def look(self, now: float) -> None:
        """Nothing: the handshake has its own time limit."""

    def drop(self) -> None:
        """Ends the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    async def _open(self, transport: asyncio.Transport) -> None:
        loop, limit = asyncio.get_running_loop(), self.table.limits.idle_timeout
        handshake = loop.create_task(
            loop.start_tls(transport, self, self.context, server_side=True, ssl_handshake_timeout=limit)
        )
        await asyncio.sleep(0)  # start_tls has run its first step: reading is paused, and the TLS protocol in its place
        if hello := self._early:
            # start_tls takes over a connection on which nothing was read yet. The loop may have been faster: what it
            # read is handed on, after the connection_made that start_tls has queued, and before it reads more.
            self._early = b""
            loop.call_soon(_feed, transport.get_protocol(), hello)
        try:
            tls = await handshake
        except OSError:  # refused certificates, no common cipher, time-out, reset: all of them
            tls = None
        if tls is None or self._lost or tls.is_closing():
            self.drop()
            self.table.leave(self)
        else:
            self._succeed(tls)

    def _succeed(self, tls: asyncio.Transport) -> None:
        http = self._make_http()
        self.table.hand_over(self, http)
        http.connection_made(tls)
        tls.set_protocol(http)
        if self._early:
            http.data_received(self._early)


def _feed(protocol: asyncio.BaseProtocol, data: bytes) -> None:
    """Gives a protocol bytes as if its transport had just read them."""
    buffered = cast("asyncio.BufferedProtocol", protocol)
    while data:
        space = memoryview(buffered.get_buffer(len(data)))
        size = min(len(space), len(data))
        space[:size] = data[:size]
        buffered.buffer_updated(size)
        data = data[size:]
