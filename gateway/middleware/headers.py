"""The security headers of every response, and the request id.

Sources: OWASP ASVS 5.0 V3.4 (3.4.1 HSTS, 3.4.3 CSP, 3.4.4 nosniff, 3.4.5 Referrer-Policy, 3.4.6 frame-ancestors,
3.4.8 COOP), RFC 6797 (HSTS), W3C Permissions Policy. The Permissions-Policy names what Chromium 156 recognises; names
that it does not know only fill the console with warnings.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.middleware.exchange import Exchange, exchange_of
from gateway.model import Hsts

# How the headers of one answer differ from those below, by its surface: a value in the place of ours, None for none.
# Its Content-Security-Policy is for an answer that brings none of its own.
ContentSecurity = Callable[[Exchange], Mapping[bytes, bytes | None]]

# What no page of an internal tool needs is off; what Streamlit's own elements use is left to the page itself: camera
# and microphone (st.camera_input, st.audio_input), fullscreen (charts), autoplay and picture-in-picture (st.video).
_PERMISSIONS = {
    "self": ("autoplay", "camera", "fullscreen", "microphone", "picture-in-picture", "publickey-credentials-get"),
    "": (
        *("accelerometer", "browsing-topics", "display-capture", "encrypted-media", "geolocation", "gyroscope", "hid"),
        *("idle-detection", "local-fonts", "magnetometer", "midi", "payment", "screen-wake-lock", "serial"),
        *("storage-access", "usb", "xr-spatial-tracking"),
    ),
}
PERMISSIONS_POLICY = ", ".join(
    sorted(f"{feature}=({who})" for who, features in _PERMISSIONS.items() for feature in features)
).encode()

ALWAYS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),  # for browsers that do not know frame-ancestors
    (b"referrer-policy", b"same-origin"),  # `no-referrer` would turn the Origin of our own forms into `null`
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"origin-agent-cluster", b"?1"),
    (b"permissions-policy", PERMISSIONS_POLICY),
    (b"x-permitted-cross-domain-policies", b"none"),
    (b"x-dns-prefetch-control", b"off"),
)
_OURS = frozenset(name for name, _ in ALWAYS) | {b"strict-transport-security", b"x-request-id"}
# `server` and `x-powered-by` tell an attacker what to try.
_REMOVED = _OURS | {b"server", b"x-powered-by", b"cross-origin-embedder-policy"}
# `access-control-allow-origin: *` (Streamlit's static files) opens an internal tool to every page on the web; its
# answers to uploads name the address of a development server.
_CORS = b"access-control-"


class SecurityHeaders:
    """Every answer carries them: also refusals, errors, 304, and what mounted applications send.

    http: sets them on the response; a Content-Security-Policy that the answer brings is kept, else the surface's set.
        What the surface changes of the others (frames may be framed, by the page) is the given function's to say.
    websocket: sets them on a refused handshake and on the 101.
    lifespan: passes.
    """

    def __init__(self, app: ASGIApp, *, content_security: ContentSecurity) -> None:
        self.app = app
        self.content_security = content_security

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        exchange = exchange_of(scope)

        async def with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start", "websocket.accept"):
                given = message.get("headers", ())
                message = {**message, "headers": security_headers(given, exchange, self.content_security)}
            await send(message)

        await self.app(scope, receive, with_headers)


def security_headers(
    given: Iterable[tuple[bytes, bytes]], exchange: Exchange, content_security: ContentSecurity | None
) -> list[tuple[bytes, bytes]]:
    """The headers of an answer with ours in place; names are lower case, as ASGI wants them."""
    kept = [each for each in given if each[0] not in _REMOVED and not each[0].startswith(_CORS)]
    changes = content_security(exchange) if content_security is not None else {}
    own = any(name == b"content-security-policy" for name, _ in kept)
    kept += [(name, value) for name, value in ALWAYS if name not in changes]
    kept += [
        (name, value)
        for name, value in changes.items()
        if value is not None and not (own and name == b"content-security-policy")
    ]
    if exchange.context.scheme == "https":
        kept = [(name, _secure(value) if name == b"set-cookie" else value) for name, value in kept]
        if (hsts := exchange.policy.transport.hsts) is not None:
            kept.append((b"strict-transport-security", _hsts(hsts)))
    kept.append((b"x-request-id", exchange.request_id.encode()))
    return kept


def _secure(cookie: bytes) -> bytes:
    """The cookie, for https only (ASVS 3.3.1): behind a proxy Streamlit does not know that its visitors use it."""
    attributes = [part.strip().lower() for part in cookie.split(b";")[1:]]
    return cookie if b"secure" in attributes else cookie + b"; Secure"


@lru_cache(maxsize=8)
def _hsts(hsts: Hsts) -> bytes:
    parts = [f"max-age={int(hsts.max_age.total_seconds())}"]
    parts += ["includeSubDomains"] * hsts.include_subdomains + ["preload"] * hsts.preload
    return "; ".join(parts).encode()
