"""What a request may look like before anybody asks who sent it: its target, its head, its method, its body."""

import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.middleware.exchange import Exchange, exchange_of
from gateway.middleware.refusals import Refusals
from gateway.model import Limits as PolicyLimits
from gateway.model import Reason, Surface

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

# Targets that two readers may read differently. The router, the policy and the file system must see one path, so what
# is ambiguous is refused rather than repaired (CVE-2025-32431, CVE-2026-41059, CVE-2026-33682 and their kin):
# an encoded slash, backslash, NUL, control character, number sign or percent sign, and dot segments in any spelling.
_AMBIGUOUS = re.compile(
    rb"[^\x21-\x7e]|[\\#\"<>^`{|}]|%(?:2[3f5]|5c|7f|[01][0-9a-f])|//|(?:^|/)(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE
)
_MULTIPART_OVERHEAD = 4 * 1024  # boundaries and part headers around an uploaded file


class Limits:
    """Refuses what is malformed or too big, by the limits of the policy.

    http: target, header count and size, method, Content-Length with Transfer-Encoding, body as announced and as sent.
    websocket: target and headers. The size of a message is the server's and the stream guard's.
    lifespan: passes.
    """

    def __init__(self, app: ASGIApp, *, refusals: Refusals) -> None:
        self.app = app
        self.refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        exchange = exchange_of(scope)
        limits = exchange.policy.limits

        reason = target_problem(scope, limits) or headers_problem(scope["headers"], limits)
        if reason is None and scope["type"] == "http":
            if scope["method"] not in METHODS:
                await self.refusals.refuse(scope, send, Reason.METHOD_NOT_ALLOWED, allow=METHODS)
                return
            reason = body_problem(scope["headers"], body_limit(exchange))
        if reason is not None:
            await self.refusals.refuse(scope, send, reason)
        elif scope["type"] == "http" and has_body(scope):
            await self._with_bounded_body(scope, receive, send, body_limit(exchange))
        else:
            await self.app(scope, receive, send)

    async def _with_bounded_body(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        """Count the body as it comes: a chunked one announces no length, and an announced one may lie."""
        exchange = exchange_of(scope)
        exceeded = False

        async def bounded() -> Message:
            nonlocal exceeded
            message = await receive()
            if exchange.bytes_in > limit:
                exceeded = True
                return {"type": "http.disconnect"}
            return message

        async def unless_exceeded(message: Message) -> None:
            if not exceeded:
                await send(message)

        try:
            await self.app(scope, bounded, unless_exceeded)
        except Exception:
            if not exceeded:
                raise
        if exceeded and exchange.status is None:
            await self.refusals.refuse(scope, send, Reason.BODY_TOO_LARGE)


def target_problem(scope: Scope, limits: PolicyLimits) -> Reason | None:
    """Why the request target is refused (RFC 9112 §3.2.1: origin-form only), or None."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    if len(raw) + len(scope["query_string"]) > limits.target:
        return Reason.TARGET_TOO_LONG
    # A replacement character means that the bytes were not UTF-8: another reader may decode them differently.
    if not raw.startswith(b"/") or _AMBIGUOUS.search(raw) or "\ufffd" in scope["path"]:
        return Reason.TARGET_MALFORMED
    return None


def headers_problem(headers: list[tuple[bytes, bytes]], limits: PolicyLimits) -> Reason | None:
    """Why the header section is refused, or None."""
    size, names = 0, set()
    for name, value in headers:
        size += len(name) + len(value) + 4
        names.add(name)
    if len(headers) > limits.header_count or size > limits.header_bytes:
        return Reason.HEADERS_TOO_LARGE
    if b"content-length" in names and b"transfer-encoding" in names:
        return Reason.HEADERS_MALFORMED  # RFC 9112 §6.1: the opening of request smuggling
    return None


def body_problem(headers: list[tuple[bytes, bytes]], limit: int) -> Reason | None:
    """Why the announced body is refused, or None."""
    lengths = [value for name, value in headers if name == b"content-length"]
    if not lengths:
        return None
    if len(lengths) > 1 or not lengths[0].isdigit() or len(lengths[0]) > 18:
        return Reason.HEADERS_MALFORMED
    return Reason.BODY_TOO_LARGE if int(lengths[0]) > limit else None


def has_body(scope: Scope) -> bool:
    """Whether the request may have a body. In HTTP/1 one without either header has none (RFC 9112 §6.3)."""
    if not scope.get("http_version", "").startswith("1."):
        return True
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])


def body_limit(exchange: Exchange) -> int:
    """Bytes that the body of this request may have."""
    limits = exchange.policy.limits
    if exchange.surface is not Surface.UPLOAD:
        return limits.body
    return limits.upload + _MULTIPART_OVERHEAD if limits.upload else 0
