"""The one mutable value of a request: what is known of it so far, from the first byte in to the closing record.

Made by `Recording` (outermost), refined by each layer below it, read by all of them through the scope.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from time import monotonic_ns

from starlette.types import Scope, Send

from gateway.model import (
    Decision,
    ExchangeClosed,
    ExchangeOpened,
    Policy,
    Reason,
    RequestContext,
    Surface,
    Target,
)

SCOPE_KEY = "gateway.exchange"


@dataclass(slots=True, eq=False)
class Exchange:
    """One HTTP request with its response, or one WebSocket from handshake to close.

    `policy` is taken once, when the exchange opens: every exchange is judged by exactly one revision.
    """

    request_id: str
    context: RequestContext
    policy: Policy
    target: Target
    http_version: str = "1.1"
    peer_port: int | None = None
    forwarded: tuple[str, ...] = ()
    user_agent: str | None = None

    session_started: datetime | None = None  # of the session that it belongs to, if it has one
    session_seen: datetime | None = None

    wire: Send | None = None  # the server's own send: frames of an accepted socket concern no layer in between

    decision: Decision | None = None
    recorded: bool = False
    _opened: ExchangeOpened | None = None
    reason: Reason | None = None
    status: int | None = None
    close_code: int | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    complete: bool = False
    gone: bool = False  # the client left, or the server has answered for us: nothing that is sent arrives
    started: int = field(default_factory=monotonic_ns)

    def refine(self, **changes: object) -> None:
        """Put what a layer has found out into the request context."""
        self.context = replace(self.context, **changes)  # type: ignore[arg-type]

    def opened(self, decision: Decision) -> ExchangeOpened:
        """What is recorded when the exchange has been judged; the same again when nothing has been found out since."""
        known = self._opened
        if known is None or known.context is not self.context or known.decision is not decision:
            known = self._opened = ExchangeOpened(
                self.request_id,
                self.context,
                decision,
                self.http_version,
                self.peer_port,
                self.forwarded,
                self.user_agent,
            )
        return known

    def closed(self, opened: ExchangeOpened) -> ExchangeClosed:
        """What is recorded when the exchange is over."""
        return ExchangeClosed(
            opened,
            self.reason or opened.decision.reason,
            self.status,
            (monotonic_ns() - self.started) // 1_000_000,
            self.bytes_in,
            self.bytes_out,
            self.close_code,
            self.complete,
        )

    @property
    def surface(self) -> Surface:
        """Where it goes."""
        return self.context.surface

    @property
    def received_at(self) -> datetime:
        """When it came, UTC."""
        return self.context.received_at


def exchange_of(scope: Scope) -> Exchange:
    """The exchange that this scope belongs to. Raises KeyError outside the gateway: a layer was used on its own."""
    exchange: Exchange = scope[SCOPE_KEY]
    return exchange
