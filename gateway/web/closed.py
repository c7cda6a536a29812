"""The page for a socket that was ended: the browser is sent here when loading the page again does not tell why."""

from typing import Final
from urllib.parse import parse_qs

from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from gateway.middleware.exchange import exchange_of
from gateway.model import Reason
from gateway.reasons import OUTCOMES
from gateway.web.pages import Brand, render_refusal

CLOSED: Final = "/.gateway/closed"
_REASONS: Final = {reason.value: reason for reason in Reason if OUTCOMES[reason].close_code is not None}


class Closed:
    """`?reason=`, a reason that ends sockets, answered with its page and its status; anything else is not found.

    It repeats nothing that the address holds, and says nothing that the reason does not say to everybody.
    """

    def __init__(self, brand: Brand) -> None:
        self.brand = brand

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        named = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=8).get("reason", [])
        reason = _REASONS.get(named[0]) if len(named) == 1 else None
        if reason is None:
            await PlainTextResponse("not found", 404)(scope, receive, send)
            return
        exchange = exchange_of(scope)
        accept = b", ".join(value for name, value in scope["headers"] if name == b"accept").decode("latin-1")
        page = render_refusal(
            self.brand,
            reason=reason,
            request_id=exchange.request_id,
            accept=accept,
            method=scope["method"],
            at=exchange.received_at,
        )
        await send({"type": "http.response.start", "status": page.status, "headers": list(page.headers)})
        await send({"type": "http.response.body", "body": page.body})
