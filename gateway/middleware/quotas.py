"""How much one visitor may ask for: requests a minute, sockets at once.

Counted by session where there is one, so that an office behind one address is not one visitor.
"""

from collections import Counter
from time import monotonic

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.middleware.exchange import Exchange, exchange_of
from gateway.middleware.refusals import Refusals
from gateway.model import Method, Rate, Reason

_KEYS = 65_536  # visitors remembered at once; the ones whose allowance is whole again are forgotten first


class Quotas:
    """Refuses what goes beyond the rates and counts of the policy. Inside admission: the refused use up nobody's share.

    http and websocket handshake: the request rate. websocket: also how many are opened in a time, and are open at once:
        of the principal or session, of the client's address, and of all together.
    lifespan: passes.
    """

    def __init__(self, app: ASGIApp, *, refusals: Refusals) -> None:
        self.app = app
        self.refusals = refusals
        self.meter = Meter()
        self.openings = Meter()
        self.sockets: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        exchange = exchange_of(scope)
        rate = exchange.policy.limits.requests
        if rate is not None and not self.meter.admits(visitor(exchange, rate.per), rate, monotonic()):
            await self.refusals.refuse(scope, send, Reason.RATE_LIMITED)
        elif scope["type"] == "websocket":
            await self._socket(scope, receive, send, exchange)
        else:
            await self.app(scope, receive, send)

    async def _socket(self, scope: Scope, receive: Receive, send: Send, exchange: Exchange) -> None:
        limits = exchange.policy.limits
        new = limits.sockets_new
        if not self.openings.admits(visitor(exchange, "session"), new, monotonic()):
            await self.refusals.refuse(scope, send, Reason.RATE_LIMITED)
            return
        caps = {
            "all": limits.sockets_total,
            visitor(exchange, "session"): limits.sockets_per_session,
            visitor(exchange, "client"): limits.sockets_per_client,
        }
        if any(cap is not None and self.sockets[key] >= cap for key, cap in caps.items()):
            await self.refusals.refuse(scope, send, Reason.TOO_MANY_SOCKETS)
            return
        self.sockets.update(caps.keys())
        try:
            await self.app(scope, receive, send)
        finally:
            self.sockets.subtract(caps.keys())
            for key in caps:
                if self.sockets[key] <= 0:
                    del self.sockets[key]


def visitor(exchange: Exchange, per: str) -> str:
    """Whom to count this exchange for: the principal, else the session, if that is asked for; else the address."""
    context = exchange.context
    if per == "session" and context.principal.method is not Method.NONE:
        return f"principal {context.principal.id}"
    if per == "session" and context.session is not None:
        return f"session {context.session}"
    return f"client {context.client.address}"


class Meter:
    """A generic cell rate meter (ITU-T I.371): one number a visitor, no queue, no timer."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}

    def admits(self, key: str, rate: Rate, now: float) -> bool:
        """Whether one more is within `rate`; if so, it is counted. `now` in seconds on a monotonic clock."""
        interval = rate.period / rate.count
        due = max(self._due.get(key, now), now)
        if due - now > interval * (rate.burst - 1) + 1e-9:
            return False
        self._due[key] = due + interval
        if len(self._due) > _KEYS:
            self._forget(now)
        return True

    def _forget(self, now: float) -> None:
        self._due = {key: due for key, due in self._due.items() if due > now}
        if len(self._due) > _KEYS:  # all of them are in use: those nearest to whole go first
            kept = sorted(self._due.items(), key=lambda item: item[1])[_KEYS // 2 :]
            self._due = dict(kept)
