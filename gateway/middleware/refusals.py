"""Saying no: the one way in which any layer refuses an exchange."""

from starlette.types import Message, Scope, Send

from gateway.audit.recorder import Recorder
from gateway.errors import AuditUnavailable
from gateway.middleware.exchange import Exchange, exchange_of
from gateway.model import Deny, Reason
from gateway.reasons import OUTCOMES
from gateway.web.pages import Answer, Brand, render_refusal


class Refusals:
    """Records a refusal and answers it with the branded page, for HTTP and for a handshake alike."""

    def __init__(self, brand: Brand, recorder: Recorder) -> None:
        self.brand = brand
        self.recorder = recorder

    async def refuse(self, scope: Scope, send: Send, reason: Reason, *, allow: tuple[str, ...] = ()) -> None:
        """Answer with that reason. Nothing leaves before the refusal is in the record (or the record's failure is)."""
        exchange = exchange_of(scope)
        exchange.reason = reason
        if not exchange.recorded:
            exchange.decision = exchange.decision or Deny(reason, exchange.policy.ref)
            try:
                await self.recorder.confirm(self.recorder.submit(exchange))
            except AuditUnavailable:
                exchange.reason = Reason.AUDIT_UNAVAILABLE
        await self.answer(scope, send, exchange.reason, allow=allow)

    async def answer(self, scope: Scope, send: Send, reason: Reason, *, allow: tuple[str, ...] = ()) -> None:
        """Send the page for that reason, and nothing else."""
        exchange = exchange_of(scope)
        exchange.reason = reason
        if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": OUTCOMES[reason].close_code or 1008, "reason": reason.value})
            return
        page = self._page(scope, exchange, reason, allow)
        for message in _messages(page, "websocket." if scope["type"] == "websocket" else ""):
            await send(message)

    def _page(self, scope: Scope, exchange: Exchange, reason: Reason, allow: tuple[str, ...]) -> Answer:
        return render_refusal(
            self.brand,
            reason=reason,
            request_id=exchange.request_id,
            accept=_header(scope, b"accept"),
            method=exchange.context.method,
            allow=allow,
            at=exchange.received_at,
        )


def _messages(page: Answer, kind: str) -> tuple[Message, Message]:
    return (
        {"type": f"{kind}http.response.start", "status": page.status, "headers": list(page.headers)},
        {"type": f"{kind}http.response.body", "body": page.body},
    )


def _header(scope: Scope, name: bytes) -> str:
    return b", ".join(value for key, value in scope["headers"] if key == name).decode("latin-1")
