"""Values of the product, as the middleware would hand them to the record."""

from dataclasses import replace
from datetime import UTC, datetime

from gateway.audit import Durability, Stamp
from gateway.model import (
    Allow,
    Challenge,
    Check,
    Client,
    Deny,
    ExchangeClosed,
    ExchangeOpened,
    Method,
    PolicyRef,
    Principal,
    Provenance,
    Reason,
    Redirect,
    RequestContext,
    Surface,
)

POLICY = PolicyRef("0007", "sha256:" + "3f5a" * 16)
STAMP = Stamp(1790000000123, "01JD3N6Q8Z5W4V7T2R9K1M0XBC")
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"

CONTEXT = RequestContext(
    received_at=datetime(2026, 9, 21, 13, 33, 20, 100_000, tzinfo=UTC),
    kind="http",
    peer="10.20.30.40",
    client=Client("10.20.30.40", Provenance.DIRECT),
    scheme="https",
    method="GET",
    path="/ledger",
    surface=Surface.PAGE,
    host="tools.example.internal",
    page="/ledger",
    session="5b0e77a1c2d94f30",
)
ALLOW = Allow(Reason.ALLOWED_BY_RULE, POLICY, "staff")
TRACE = (Check("host", True, "tools.example.internal"), Check("rules", False, "no rule of 3 matched"))
DENY = Deny(Reason.NO_RULE_MATCHED, POLICY, None, TRACE)
CHALLENGE = Challenge(Reason.SIGN_IN_REQUIRED, POLICY, "finance")
REDIRECT = Redirect(Reason.HTTPS_REQUIRED, POLICY)
STAFF = Principal("j.doe@example.com", Method.OIDC, ("finance", "staff"), mfa=True)


def exchange(decision=ALLOW, **changes):
    """An exchange; changes go into the request context, or into the exchange if it has that name."""
    own = {
        name: changes.pop(name) for name in ("request_id", "user_agent", "forwarded", "peer_port") if name in changes
    }
    basis = ExchangeOpened("req-7f3a9c2e51d04b6a", replace(CONTEXT, **changes), decision, "1.1", 51234, (), AGENT)
    return replace(basis, **own)


def socket(decision=ALLOW, **changes):
    changes = {
        "path": "/_stcore/stream",
        "surface": Surface.STREAM,
        "page": None,
        "origin": "https://tools.example.internal",
    } | changes
    return exchange(decision, kind="websocket", **changes)


def end(opened, reason=None, status=200, **changes):
    basis = ExchangeClosed(opened, reason or opened.decision.reason, status, 12, 0, 4123)
    return replace(basis, **changes)


def line(event, sequence=0):
    return event.line(sequence, b'"gw.example/audit/a1/0"', b'"%b"' % Durability.BEFORE.encode())
