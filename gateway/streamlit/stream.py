"""The layer of the socket: every message in both directions, between the visitor and Streamlit."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.audit.recorder import Recorder
from gateway.middleware.exchange import exchange_of
from gateway.middleware.session_activity import SessionActivity
from gateway.model import Policy, Surface
from gateway.streamlit.governor import Governor
from gateway.streamlit.guarded import GuardedSocket, Shared
from gateway.streamlit.heap import Settling
from gateway.streamlit.ownership import Ownership
from gateway.streamlit.pages import Pages
from gateway.streamlit.sockets import OpenSockets
from gateway.streamlit.view import Template
from gateway.web.brand import Brand


@dataclass(frozen=True, slots=True)
class Parts:
    """What the guard is made of: where it records, whose is what, and which policy judges at this moment."""

    recorder: Recorder
    pages: Pages
    ownership: Ownership
    sessions: SessionActivity
    brand: Brand
    active_policy: Callable[[], Policy]


def _now() -> datetime:
    return datetime.now(UTC)


class StreamGuard:
    """Judges what happens inside Streamlit's socket.

    websocket: each message in is parsed, judged by kind and by the page that it asks for, and waits for its turn when
        it runs a script; each message out is held against the pages that the visitor may have. The open socket itself
        is judged again when the policy, its lease or its session changes. Sockets of the owner's routes pass.
    http, lifespan: pass.
    """

    def __init__(self, app: ASGIApp, *, parts: Parts, clock: Callable[[], datetime] = _now) -> None:
        self.app = app
        self.sockets = OpenSockets(parts.active_policy, clock)
        self.shared = Shared(
            recorder=parts.recorder,
            pages=parts.pages,
            ownership=parts.ownership,
            governor=Governor(),
            sessions=parts.sessions,
            brand=parts.brand,
            clock=clock,
            template=Template(),
            settling=Settling(),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket" or exchange_of(scope).surface is not Surface.STREAM:
            await self.app(scope, receive, send)
            return
        socket = GuardedSocket(self.shared, exchange_of(scope), receive, send)
        with self.sockets.watched(socket):
            await socket.serve(self.app, scope)
