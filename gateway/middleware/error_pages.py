"""Turns what breaks below into the branded page: exceptions, and bare error answers of mounted applications."""

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.middleware.exchange import exchange_of
from gateway.middleware.refusals import Refusals
from gateway.model import Reason

# What a mounted application means by a bare status. Others pass as they are.
REASON_OF_STATUS = {
    400: Reason.REQUEST_MALFORMED,
    401: Reason.SIGN_IN_REQUIRED,
    403: Reason.APPLICATION_REFUSED,
    404: Reason.NOT_FOUND,
    405: Reason.METHOD_NOT_ALLOWED,
    413: Reason.BODY_TOO_LARGE,
    429: Reason.RATE_LIMITED,
    500: Reason.APPLICATION_ERROR,
    503: Reason.NOT_READY,
}

log = structlog.get_logger("gateway.application")


class ErrorPages:
    """Branded pages for errors that nobody below has given a page.

    http: an exception before the answer has started becomes the 500 page; an error answer without a body worth
        reading (text/plain, or no type) becomes the page of its status. An exception after the start cuts the answer.
    websocket: an exception closes the socket with 1011; before the handshake is answered, the 500 page.
    lifespan: passes.
    """

    def __init__(self, app: ASGIApp, *, refusals: Refusals) -> None:
        self.app = app
        self.refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        replaced = False
        exchange = exchange_of(scope)

        async def branded(message: Message) -> None:
            nonlocal replaced
            if replaced:
                return  # the rest of an answer that the page has replaced
            bare = message["type"] == "http.response.start" and not exchange.gone
            if bare and (reason := _bare_error(message)) is not None:
                replaced = True
                await self.refusals.refuse(scope, send, reason, allow=_allow(message))
                return
            await send(message)

        try:
            await self.app(scope, receive, branded)
        except Exception as error:
            if exchange.gone:  # frameworks raise when the client leaves in the middle: nobody's fault, nobody to tell
                log.info("application.abandoned", request_id=exchange.request_id, error=type(error).__name__)
                return
            # Also when the application's own error layer has answered: it raises on, so that the cause can be told.
            log.exception("application.error", request_id=exchange.request_id)
            if not replaced:
                await self._answer_for(error, scope, send)

    async def _answer_for(self, error: Exception, scope: Scope, send: Send) -> None:
        exchange = exchange_of(scope)
        exchange.reason = Reason.APPLICATION_ERROR
        if exchange.status is None:
            await self.refusals.refuse(scope, send, Reason.APPLICATION_ERROR)
        elif scope["type"] == "websocket":
            if exchange.close_code is None:
                await send({"type": "websocket.close", "code": 1011, "reason": Reason.APPLICATION_ERROR.value})
        elif not exchange.complete:
            raise error  # the server cuts the connection: half an answer must not look like a whole one


def _bare_error(message: Message) -> Reason | None:
    reason = REASON_OF_STATUS.get(message["status"])
    if reason is None:
        return None
    kinds = [value for name, value in message.get("headers", ()) if name.lower() == b"content-type"]
    return reason if not kinds or kinds[0].startswith(b"text/plain") else None


def _allow(message: Message) -> tuple[str, ...]:
    values = [value for name, value in message.get("headers", ()) if name.lower() == b"allow"]
    return tuple(method.strip() for value in values for method in value.decode("latin-1").split(","))
