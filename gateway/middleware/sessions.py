"""The gateway's own session: a sealed cookie, under our own scope key (Streamlit owns `scope["session"]`).

Known by network only, a visitor still gets a session: it makes their exchanges traceable and their limits their own.
OWASP ASVS 5.0 V3.3 (cookie attributes) and V7 (session management).
"""

import secrets
from collections.abc import Iterator

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.identity.session import Invalid, SessionSealer, SessionToken
from gateway.middleware.exchange import Exchange, exchange_of
from gateway.middleware.session_activity import SessionActivity
from gateway.model import Allow, Surface

# `__Host-` binds the cookie to this host, https and path / (RFC 6265bis §4.1.3.2). Browsers refuse the prefix over
# plain http, which a policy allows for loopback: there the name says what it is.
SECURE_COOKIE = "__Host-gateway"
UNSAFE_COOKIE = "gateway-without-tls"
MAX_COOKIE = 4096
_REFRESH = 8  # a cookie is renewed when an eighth of the idle time has passed, not at every answer


class Sessions:
    """Opens the session of an exchange, and gives a new visitor one when the first page is served.

    http: reads the cookie; on an allowed page without a valid one, starts a session; renews an ageing one. The cookie
        is sent only when it changes, and never on a refusal.
    websocket: reads the cookie.
    lifespan: passes.

    Below this layer nobody sees the cookie: it is our credential, and `st.context.cookies` would show it to the script.
    """

    def __init__(self, app: ASGIApp, *, sealer: SessionSealer, activity: SessionActivity) -> None:
        self.app = app
        self.sealer = sealer
        self.activity = activity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        exchange = exchange_of(scope)
        session = self._open(scope, exchange)
        changed = self._changed(session, exchange) if scope["type"] == "http" else None
        if session is not None:
            # A session that begins with this very request is none yet: neither a rule nor a limit may count on it.
            exchange.refine(session=session.fingerprint)
            exchange.session_started, exchange.session_seen = session.started, session.seen
        headers = without_cookie(scope["headers"], cookie_name(exchange))
        if headers is not scope["headers"]:
            scope = {**scope, "headers": headers}
        if changed is None:
            await self.app(scope, receive, send)
            return
        cookie = self._cookie(changed, exchange)

        async def with_cookie(message: Message) -> None:
            started = message["type"] == "http.response.start" and message["status"] < 400
            if started and isinstance(exchange.decision, Allow):
                exchange.refine(session=changed.fingerprint)
                message["headers"] = [*message.get("headers", ()), (b"set-cookie", cookie)]
            await send(message)

        await self.app(scope, receive, with_cookie)

    def _open(self, scope: Scope, exchange: Exchange) -> SessionToken | None:
        values = list(cookie_values(scope["headers"], cookie_name(exchange)))
        if len(values) != 1 or len(values[0]) > MAX_COOKIE:
            return None  # two cookies of our name: somebody else set one of them, and we cannot tell which
        times, now = exchange.policy.sessions, exchange.received_at
        # What the cookie calls idle may have been at work in a socket, so the idle time is looked at here.
        opened = self.sealer.open(values[0], now=now, idle=times.lifetime, lifetime=times.lifetime)
        if isinstance(opened, Invalid):
            return None
        ends = self.activity.ends(opened.fingerprint, opened.started, opened.seen, times.idle, times.lifetime)
        return opened if now < ends else None

    def _changed(self, session: SessionToken | None, exchange: Exchange) -> SessionToken | None:
        if session is None:
            starts = exchange.surface is Surface.PAGE
            return SessionToken.begin(secrets.token_bytes(24), exchange.received_at) if starts else None
        if exchange.received_at - session.seen > exchange.policy.sessions.idle / _REFRESH:
            return session.touch(exchange.received_at)
        return None

    def _cookie(self, session: SessionToken, exchange: Exchange) -> bytes:
        left = session.started + exchange.policy.sessions.lifetime - exchange.received_at
        attributes = f"Path=/; HttpOnly; SameSite=Lax; Max-Age={int(left.total_seconds())}"
        secure = "; Secure" if exchange.context.scheme == "https" else ""
        return f"{cookie_name(exchange)}={self.sealer.seal(session)}; {attributes}{secure}".encode()


def cookie_name(exchange: Exchange) -> str:
    """The name of our cookie for this exchange: the `__Host-` one wherever a browser would keep it."""
    return SECURE_COOKIE if exchange.context.scheme == "https" else UNSAFE_COOKIE


def cookie_values(headers: list[tuple[bytes, bytes]], name: str) -> Iterator[str]:
    """The values of all cookies of that name, in the order sent (RFC 6265 §5.4)."""
    wanted = name.encode()
    for key, value in headers:
        if key == b"cookie":
            for pair in value.split(b";"):
                found, _, text = pair.strip().partition(b"=")
                if found == wanted:
                    yield text.decode("latin-1")


def without_cookie(headers: list[tuple[bytes, bytes]], name: str) -> list[tuple[bytes, bytes]]:
    """The headers without the cookies of that name; other cookies stay as they are."""
    if not any(key == b"cookie" for key, _ in headers):
        return headers
    mark = name.encode() + b"="
    kept: list[tuple[bytes, bytes]] = []
    for key, value in headers:
        if key != b"cookie":
            kept.append((key, value))
            continue
        pairs = [pair for pair in (part.strip() for part in value.split(b";")) if not pair.startswith(mark)]
        if pairs:
            kept.append((key, b"; ".join(pairs)))
    return kept
