"""What a script may know of the visitor it runs for: the exchange that opened its socket."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from secrets import token_urlsafe

import streamlit as st

from gateway.middleware.exchange import Exchange
from gateway.model import Allow, Client, Principal
from gateway.streamlit.access import Access

# Set on the handshake that Streamlit sees, after every header of that kind from outside has been removed. It is a
# reference into this process, not a credential: it can be looked up here and nowhere else, while the socket is open.
HEADER = "x-gateway-exchange"

_open: dict[str, tuple[Exchange, Access | None]] = {}


@dataclass(frozen=True, slots=True)
class CurrentExchange:
    """The exchange behind the running script, as it was judged when its socket was opened."""

    request_id: str
    received_at: datetime
    peer: str | None
    client: Client
    host: str | None
    scheme: str
    principal: Principal
    session: str | None
    decision: Allow


def current() -> CurrentExchange | None:
    """The exchange of the visitor whose script this is; None outside the gateway, or after they have left."""
    exchange, _ = _behind_script()
    if exchange is None or not isinstance(exchange.decision, Allow):
        return None
    context = exchange.context
    return CurrentExchange(
        request_id=exchange.request_id,
        received_at=context.received_at,
        peer=context.peer,
        client=context.client,
        host=context.host,
        scheme=context.scheme,
        principal=context.principal,
        session=context.session,
        decision=exchange.decision,
    )


def access_of_script() -> Access | None:
    """What the visitor of the running script may have; None when it runs for nobody's socket, or they have left."""
    return _behind_script()[1]


def _behind_script() -> tuple[Exchange | None, Access | None]:
    reference = st.context.headers.get(HEADER)
    return _open.get(reference, (None, None)) if reference else (None, None)


@contextmanager
def reachable(exchange: Exchange, access: Access | None) -> Iterator[str]:
    """Make the exchange reachable for scripts under the reference that this gives, while its socket is open."""
    reference = token_urlsafe(18)
    _open[reference] = exchange, access
    try:
        yield reference
    finally:
        del _open[reference]
