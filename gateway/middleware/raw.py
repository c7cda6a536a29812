"""Answers for bytes that never became a request: no scope, no stack, but the same page, headers and record."""

from datetime import UTC, datetime

from gateway import entropy
from gateway.audit.recorder import Recorder
from gateway.http1.framing import RawAnswer, RawRequest
from gateway.identity.client import find_client
from gateway.middleware.exchange import SCOPE_KEY, Exchange
from gateway.middleware.headers import security_headers
from gateway.middleware.opening import ActivePolicy, trust_of
from gateway.model import Deny, RequestContext, Surface, Target
from gateway.web.pages import Brand, render_refusal

# The client's words could not be read, so nothing of them is repeated: these stand in their places in the record.
_UNREAD = "-"


class RawRefusals:
    """Renders and records what the server refuses before the application can see it. Never waits: the server calls it
    on the event loop, and its record is written while the answer leaves (`async`).
    """

    def __init__(self, active_policy: ActivePolicy, brand: Brand, recorder: Recorder) -> None:
        self.active_policy = active_policy
        self.brand = brand
        self.recorder = recorder

    def __call__(self, request: RawRequest) -> RawAnswer:
        """The answer, with the security headers of every other."""
        running: Exchange | None = request.scope.get(SCOPE_KEY) if request.scope is not None else None
        exchange = running or self._exchange(request)
        page = render_refusal(
            self.brand, reason=request.reason, request_id=exchange.request_id, accept="text/html", method="GET"
        )
        headers = security_headers(page.headers, exchange, content_security=None)
        exchange.reason = request.reason
        exchange.status, exchange.bytes_out, exchange.complete = page.status, len(page.body), True
        if running is not None:
            exchange.gone = True  # what the application says from here on, nobody hears
        elif request.scope is None:
            self.recorder.closed(exchange)
        return RawAnswer(page.status, headers, page.body)

    def _exchange(self, request: RawRequest) -> Exchange:
        policy = self.active_policy()
        found = find_client(trust_of(policy.proxies), request.peer, [])
        context = RequestContext(
            received_at=datetime.now(UTC),
            kind="http",
            peer=request.peer,
            client=found.client,
            scheme=request.scheme,
            method=_UNREAD,
            path=_UNREAD,
            surface=Surface.PROBE,
        )
        return Exchange(
            request_id=entropy.take(16).hex(),
            context=context,
            policy=policy,
            target=Target(Surface.PROBE),
            peer_port=request.peer_port,
            decision=Deny(request.reason, policy.ref),
        )
