"""The judgement at the door: one decision an exchange, in the record before the application sees anything."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.audit.events import Durability
from gateway.audit.inbox import Receipt
from gateway.audit.recorder import Recorder
from gateway.errors import AuditUnavailable
from gateway.middleware.exchange import Exchange, exchange_of
from gateway.middleware.refusals import Refusals
from gateway.model import Allow, Challenge, Deny, Reason, Redirect, Surface
from gateway.policy.decide import decide

# Running these changes nothing, so their decision may reach the disk while they run.
_HARMLESS = frozenset({Surface.STATIC, Surface.COMPONENT, Surface.GATEWAY, Surface.PAGE})


class Admission:
    """Asks the engine, records the decision, and lets through only what it allows.

    http: allowed requests go on, provided that the target knows the method; others are answered here.
    websocket: the same, before the handshake is answered.
    lifespan: passes.

    The decision is durable before the application runs, or, where running it changes nothing (`hold`), before the
    first byte of the answer leaves.
    """

    def __init__(self, app: ASGIApp, *, recorder: Recorder, refusals: Refusals) -> None:
        self.app = app
        self.recorder = recorder
        self.refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        exchange = exchange_of(scope)
        exchange.decision = decision = decide(exchange.policy, exchange.context)
        match decision:
            case Allow():
                await self._admit(scope, receive, send, exchange)
            case Redirect():
                await self._redirect(scope, send, exchange, decision)
            case Deny() | Challenge():
                await self.refusals.refuse(scope, send, decision.reason)

    async def _admit(self, scope: Scope, receive: Receive, send: Send, exchange: Exchange) -> None:
        methods = exchange.target.methods
        if scope["type"] == "http" and scope["method"] not in methods:
            await self.refusals.refuse(scope, send, Reason.METHOD_NOT_ALLOWED, allow=methods)
            return
        durability = durability_of(exchange)
        if not self.recorder.has_room and _is_new(exchange, durability):
            await self.refusals.answer(scope, send, Reason.AUDIT_UNAVAILABLE)
            return
        try:
            receipt = self.recorder.submit(exchange, durability)
            if durability is Durability.BEFORE:
                await self.recorder.confirm(receipt)
                receipt = None
        except AuditUnavailable:
            await self.refusals.answer(scope, send, Reason.AUDIT_UNAVAILABLE)
            return
        if receipt is None:
            await self.app(scope, receive, send)
        else:
            await self._held(scope, receive, send, receipt)

    async def _held(self, scope: Scope, receive: Receive, send: Send, receipt: Receipt) -> None:
        """Run the application while the disk works; hold its answer until the decision is durable."""
        confirmed = failed = False

        async def when_durable(message: Message) -> None:
            nonlocal confirmed, failed
            if not confirmed and not failed:
                try:
                    await self.recorder.confirm(receipt)
                    confirmed = True
                except AuditUnavailable:
                    failed = True
            if confirmed:
                await send(message)

        try:
            await self.app(scope, receive, when_durable)
        except Exception:
            if not failed:
                raise
        if failed:
            await self.refusals.answer(scope, send, Reason.AUDIT_UNAVAILABLE)

    async def _redirect(self, scope: Scope, send: Send, exchange: Exchange, decision: Redirect) -> None:
        try:
            await self.recorder.confirm(self.recorder.submit(exchange))
        except AuditUnavailable:
            await self.refusals.answer(scope, send, Reason.AUDIT_UNAVAILABLE)
            return
        # The host has passed its gate, so it is one of ours; the port of plain http means nothing to https.
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        host = exchange.context.host or ""
        location = f"{decision.scheme}://{f'[{host}]' if ':' in host else host}".encode() + scope["raw_path"] + query
        headers = [(b"location", location), (b"content-length", b"0"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 308, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def durability_of(exchange: Exchange) -> Durability:
    """Whether the decision may become durable while the application runs (`hold`), or must be before it does."""
    context = exchange.context
    harmless = context.kind == "http" and context.method in ("GET", "HEAD") and context.surface in _HARMLESS
    return Durability.HOLD if harmless else Durability.BEFORE


def _is_new(exchange: Exchange, durability: Durability) -> bool:
    """Whether it begins something: a session, or a change. With no room for the next segment, what is left is kept for
    what is under way, for health, and for those who sign out.
    """
    context = exchange.context
    return context.surface is not Surface.GATEWAY and (context.session is None or durability is Durability.BEFORE)
