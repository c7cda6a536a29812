"""The answer when there is no exchange to record and no page to render: few words, all fixed headers."""

from starlette.types import Scope, Send

from gateway.middleware.headers import ALWAYS

_INERT = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; sandbox")
_FIXED = ((b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store"), _INERT, *ALWAYS)


async def answer_bare(scope: Scope, send: Send, status: int, close_code: int, text: str) -> None:
    """Refuse: http with that status and a line of text, websocket by closing the handshake with that code."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": close_code, "reason": text})
        return
    await send({"type": "http.response.start", "status": status, "headers": [*_FIXED, (b"retry-after", b"5")]})
    await send({"type": "http.response.body", "body": f"{text}\n".encode()})
