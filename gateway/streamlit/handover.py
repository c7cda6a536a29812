"""The last step before Streamlit: what it is told of the visitor, in place of what the wire said."""

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.audit.recorder import Recorder
from gateway.middleware.exchange import Exchange, exchange_of
from gateway.streamlit.access import ACCESS
from gateway.streamlit.current import HEADER, reachable
from gateway.streamlit.ownership import Ownership

_PROTOCOL = b"sec-websocket-protocol"


class HandOver:
    """Hands an admitted exchange to Streamlit.

    http: the client's address stands where the peer's was.
    websocket: also, the origin is the host's own (a foreign one that the policy allows would make Streamlit look up its
        own address on the network, on the event loop); `st.user` is the principal; the script can reach its exchange
        with `current()`; and a Streamlit session is resumed only by the gateway session that it belongs to.
    lifespan: passes.
    """

    def __init__(self, app: ASGIApp, *, ownership: Ownership, recorder: Recorder) -> None:
        self.app = app
        self.ownership = ownership
        self.recorder = recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        exchange = exchange_of(scope)
        client = (exchange.context.client.address, exchange.peer_port or 0)
        if scope["type"] == "http":
            await self.app({**scope, "client": client}, receive, send)
            return
        with reachable(exchange, scope.get(ACCESS)) as reference:
            headers = self._with_own_session(_with_own_origin(scope, exchange), exchange)
            headers += [(HEADER.encode(), reference.encode()), *_user(exchange)]
            await self.app({**scope, "client": client, "headers": headers}, receive, send)

    def _with_own_session(self, headers: list[tuple[bytes, bytes]], exchange: Exchange) -> list[tuple[bytes, bytes]]:
        """The protocols that the browser offers: `streamlit`, a token, and the Streamlit session that it had before.

        Whoever knows a session's id could take the session over, so the id of somebody else's is left out: they get a
        fresh one. One line in place of several, so that nobody reads another one than we do.
        """
        offered = b",".join(value for name, value in headers if name == _PROTOCOL).split(b",")
        if len(offered) < 3:
            return headers
        session = offered[2].strip().decode("latin-1")
        if not self.ownership.owns(exchange.context.session, session):
            if self.ownership.owner_of(session) is not None:
                self.recorder.happened(exchange, "session.foreign", None, {})
            del offered[2:]
        kept = [(name, value) for name, value in headers if name != _PROTOCOL]
        return [*kept, (_PROTOCOL, b", ".join(value.strip() for value in offered[:3]))]


def _user(exchange: Exchange) -> list[tuple[bytes, bytes]]:
    """What `st.user` is made of: see `USER_HEADERS` in options.py."""
    principal, session = exchange.context.principal, exchange.context.session
    values = {
        "x-gateway-user": principal.id,
        "x-gateway-method": principal.method.value,
        "x-gateway-groups": ",".join(principal.groups),
        "x-gateway-session": session or "",
    }
    return [(name.encode(), value.encode("utf-8", "replace")) for name, value in values.items()]


def _with_own_origin(scope: Scope, exchange: Exchange) -> list[tuple[bytes, bytes]]:
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    host = next(value for name, value in headers if name == b"host")
    own = exchange.context.scheme.encode() + b"://" + host
    return [(name, own if name == b"origin" else value) for name, value in headers]
