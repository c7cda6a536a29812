"""The guard of the socket: each message is parsed with Streamlit's own classes and judged before Streamlit sees it."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from google.protobuf.message import DecodeError
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from gateway.audit.recorder import Recorder
from gateway.errors import AuditUnavailable
from gateway.middleware.exchange import Exchange, exchange_of
from gateway.model import Allow, Reason, Surface
from gateway.policy.decide import decide
from gateway.reasons import OUTCOMES
from gateway.streamlit.heap import Settling
from gateway.streamlit.pages import Pages

# The tag of ForwardMsg.navigation on the wire: only messages that contain it are parsed for the pages they declare.
_NAVIGATION_TAG = b"\xba\x01"


class StreamGuard:
    """Judges what comes in through the socket.

    websocket: text frames, frames that do not parse and frames that are too big close the socket; a message of a kind
        that the policy does not let in is dropped and recorded, and the socket stays, since its visitor may only have
        pressed a key. Going out, the pages that the app declares are learned.
    http, lifespan: pass.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        recorder: Recorder,
        pages: Pages,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.app = app
        self.clock = clock
        self.recorder = recorder
        self.pages = pages
        self.settling = Settling()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self.app(scope, receive, send)
            return
        exchange = exchange_of(scope)

        async def judged() -> Message:
            while True:
                message = await receive()
                if message["type"] != "websocket.receive":
                    return message
                problem, kind = inspect(message, exchange.policy.limits.message)
                if problem is None and kind is not None and await self._admits(kind, exchange):
                    return message
                if problem is not None:
                    exchange.reason = problem
                    code = 1003 if message.get("bytes") is None else OUTCOMES[problem].close_code or 1008
                    await send({"type": "websocket.close", "code": code, "reason": problem.value})
                    return {"type": "websocket.disconnect", "code": code, "reason": problem.value}

        async def learning(message: Message) -> None:
            frame = message.get("bytes")
            if frame is not None and _NAVIGATION_TAG in frame:
                self._learn(frame)
            await send(message)

        await self.app(scope, judged, learning)

    async def _admits(self, kind: str, exchange: Exchange) -> bool:
        # At its own time: what was allowed when the socket was opened may have expired, or closed for the night.
        context = replace(exchange.context, received_at=self.clock(), surface=Surface.MESSAGE, message=kind)
        decision = decide(exchange.policy, context)
        if isinstance(decision, Allow):
            if kind == "rerun_script":
                self.settling.script_runs()
            return True
        with suppress(AuditUnavailable):  # it is dropped either way
            await self.recorder.confirm(self.recorder.message_refused(exchange, context, decision))
        return False

    def _learn(self, frame: bytes) -> None:
        try:
            parsed = ForwardMsg.FromString(frame)
        except DecodeError:
            return
        if parsed.WhichOneof("type") == "navigation":
            self.pages.learn(frozenset(f"/{page.url_pathname}" for page in parsed.navigation.app_pages))


def inspect(message: Message, limit: int) -> tuple[Reason | None, str | None]:
    """Why a frame is refused, or the kind of message that it carries. `limit` in bytes."""
    frame = message.get("bytes")
    if frame is None:
        return Reason.MESSAGE_MALFORMED, None
    if len(frame) > limit:
        return Reason.MESSAGE_TOO_LARGE, None
    try:
        kind = BackMsg.FromString(frame).WhichOneof("type")
    except DecodeError:
        return Reason.MESSAGE_MALFORMED, None
    return (None, kind) if kind is not None else (Reason.MESSAGE_MALFORMED, None)
