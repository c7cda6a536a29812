"""What a script may know of the visitor it runs for: the exchange that opened its socket."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from secrets import token_urlsafe

import streamlit as st

from gateway.middleware.exchange import Exchange
from gateway.model import Allow, Client, Principal

# Set on the handshake that Streamlit sees, after every header of that kind from outside has been removed. It is a
# reference into this process, not a credential: it can be looked up here and nowhere else, while the socket is open.
HEADER = "x-gateway-exchange"

_open: dict[str, Exchange] = {}


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
    reference = st.context.headers.get(HEADER)
    exchange = _open.get(reference) if reference else None
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


@contextmanager
def reachable(exchange: Exchange) -> Iterator[str]:
    """Make the exchange reachable for scripts under the reference that this gives, while its socket is open."""
    reference = token_urlsafe(18)
    _open[reference] = exchange
    try:
        yield reference
    finally:
        del _open[reference]
