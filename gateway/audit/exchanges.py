"""Events about exchanges: the decision before it takes effect, and how it ended.

Every constructor is pure: the stamp is passed in. What an event may hold is `redact.py`'s.
"""

from typing import Final

from msgspec import UNSET, UnsetType

from gateway.audit import ocsf
from gateway.audit.event import Event, actor, event_of, fits, metadata, truncated
from gateway.audit.masking import of_event
from gateway.audit.masks import CLEAR, Masks, is_pseudonym
from gateway.audit.outcomes import Outcome, outcome_at_the_door, outcome_at_the_end
from gateway.audit.redact import NORMAL, TIGHT, Redacted, redact
from gateway.audit.stamp import Stamp
from gateway.model import Allow, Check, ExchangeClosed, ExchangeOpened, RequestContext

_HTTP, _NETWORK, _OTHER = 4002, 4001, 99
_METHODS: Final = {
    "CONNECT": 1,
    "DELETE": 2,
    "GET": 3,
    "HEAD": 4,
    "OPTIONS": 5,
    "POST": 6,
    "PUT": 7,
    "TRACE": 8,
    "PATCH": 9,
}
PROFILES: Final = ("host", "security_control")
_SERVICE: Final = "streamlit"


class Facts(ocsf.Object, frozen=True):
    """`unmapped.gateway` of every event about an exchange begins with these."""

    phase: str
    reason: str


class _Decided(Facts, frozen=True):
    """`unmapped.gateway` of a decision. `inputs` is all that the engine looked at: the decision can be made again."""

    policy_digest: str
    surface: str
    page: str | UnsetType
    flags: tuple[str, ...] | UnsetType
    trace: tuple[Check, ...] | UnsetType
    user_agent: str | UnsetType
    erased: tuple[str, ...] | UnsetType
    masked: tuple[str, ...] | UnsetType
    truncated: tuple[str, ...] | UnsetType
    inputs: RequestContext


class _Ended(Facts, frozen=True):
    """`unmapped.gateway` of a closing record. The inputs are in the decision of the same `correlation_uid`."""

    policy_digest: str
    surface: str
    page: str | UnsetType
    complete: bool
    status: int | UnsetType
    close_code: int | UnsetType
    erased: tuple[str, ...] | UnsetType
    masked: tuple[str, ...] | UnsetType
    truncated: tuple[str, ...] | UnsetType


def opened(exchange: ExchangeOpened, stamp: Stamp, masks: Masks = CLEAR) -> Event:
    """The decision about an exchange (`http.request`, `ws.open`), to be recorded before it takes effect."""
    event = _opened(redact(exchange, NORMAL, masks), stamp)
    return event if fits(event) else truncated(_opened(redact(exchange, TIGHT, masks), stamp))


def closed(exchange: ExchangeClosed, stamp: Stamp, masks: Masks = CLEAR) -> Event:
    """How an exchange ended (`http.request`, `ws.close`). Says who and where again, so the line can be read alone."""
    event = _closed(exchange, redact(exchange.opened, NORMAL, masks), stamp)
    return event if fits(event) else truncated(_closed(exchange, redact(exchange.opened, TIGHT, masks), stamp))


def message(exchange: ExchangeOpened, stamp: Stamp, masks: Masks = CLEAR) -> Event:
    """The decision about a message, or a page, inside an open socket (`ws.message`)."""
    return _in_socket(exchange, stamp, masks, "ws.message")


def rejudged(exchange: ExchangeOpened, stamp: Stamp, masks: Masks = CLEAR) -> Event:
    """The decision about a socket that is open already (`ws.lease`): time or the policy gave cause to ask again."""
    return _in_socket(exchange, stamp, masks, "ws.lease")


def _in_socket(exchange: ExchangeOpened, stamp: Stamp, masks: Masks, code: str) -> Event:
    event = _opened(redact(exchange, NORMAL, masks), stamp, inside=code)
    return event if fits(event) else truncated(_opened(redact(exchange, TIGHT, masks), stamp, inside=code))


def _opened(redacted: Redacted, stamp: Stamp, *, inside: str | None = None) -> Event:
    exchange = redacted.exchange
    context, decision = exchange.context, exchange.decision
    outcome = outcome_at_the_door(decision)
    allowed = isinstance(decision, Allow)
    unmapped = _Decided(
        "decision",
        decision.reason,
        decision.policy.digest,
        context.surface,
        context.page or UNSET,
        context.client.flags or UNSET,
        UNSET if allowed else decision.trace or UNSET,
        (exchange.user_agent or UNSET) if context.kind == "websocket" else UNSET,
        redacted.erased or UNSET,
        redacted.masked or UNSET,
        redacted.truncated or UNSET,
        redacted.inputs,
    )
    if inside is not None:
        return network(redacted, stamp, outcome, unmapped, code=inside, activity=6)
    if context.kind == "http":
        return _http(redacted, stamp, outcome, unmapped)
    return network(redacted, stamp, outcome, unmapped, code="ws.open", activity=1 if allowed else 5)


def _closed(exchange: ExchangeClosed, redacted: Redacted, stamp: Stamp) -> Event:
    context = redacted.exchange.context
    outcome = outcome_at_the_end(exchange)
    unmapped = _Ended(
        "outcome",
        exchange.reason,
        exchange.opened.decision.policy.digest,
        context.surface,
        context.page or UNSET,
        exchange.complete,
        _or_unset(exchange.status) if context.kind == "websocket" else UNSET,
        _or_unset(exchange.close_code),
        redacted.erased or UNSET,
        of_event(redacted.masked) or UNSET,
        redacted.truncated or UNSET,
    )
    if context.kind == "http":
        return _http(redacted, stamp, outcome, unmapped, exchange)
    activity = 2 if exchange.status == 101 else 5
    return network(redacted, stamp, outcome, unmapped, exchange, code="ws.close", activity=activity)


def _http(
    redacted: Redacted, stamp: Stamp, outcome: Outcome, unmapped: _Decided | _Ended, end: ExchangeClosed | None = None
) -> Event:
    exchange = redacted.exchange
    context, rule = exchange.context, exchange.decision.rule
    activity = _METHODS.get(context.method, _OTHER)
    return event_of(
        ocsf.HttpActivity(
            metadata=metadata(stamp, "http.request", PROFILES, exchange.request_id, redacted.truncated),
            category_uid=4,
            class_uid=_HTTP,
            activity_id=activity,
            type_uid=_HTTP * 100 + activity,
            time=stamp.time,
            severity_id=outcome.severity,
            status_id=outcome.status,
            activity_name=context.method if activity == _OTHER else UNSET,
            status_detail=unmapped.reason,
            action_id=outcome.action,
            disposition_id=outcome.disposition,
            actor=actor(context.principal, redacted.session),
            src_endpoint=source(exchange),
            dst_endpoint=destination(context),
            http_request=ocsf.HttpRequest(
                exchange.request_id,
                UNSET if activity == _OTHER else context.method,
                exchange.http_version,
                ocsf.Url(context.path, context.scheme, context.host or UNSET),
                exchange.user_agent or UNSET,
                end.bytes_in if end else UNSET,
            ),
            http_response=_response(end),
            policy=ocsf.Policy(exchange.decision.policy.revision),
            firewall_rule=ocsf.FirewallRule(rule, rule) if rule else UNSET,
            start_time=_milliseconds(context) if end else UNSET,
            end_time=stamp.time if end else UNSET,
            duration=end.latency if end else UNSET,
            unmapped=ocsf.Unmapped(unmapped),
        )
    )


def network(
    redacted: Redacted,
    stamp: Stamp,
    outcome: Outcome,
    unmapped: Facts,
    end: ExchangeClosed | None = None,
    *,
    code: str,
    activity: int,
) -> Event:
    """A Network Activity event about a socket; `unmapped` is what OCSF has no field for."""
    exchange = redacted.exchange
    context, rule = exchange.context, exchange.decision.rule
    return event_of(
        ocsf.NetworkActivity(
            metadata=metadata(stamp, code, PROFILES, exchange.request_id, redacted.truncated),
            category_uid=4,
            class_uid=_NETWORK,
            activity_id=activity,
            type_uid=_NETWORK * 100 + activity,
            time=stamp.time,
            severity_id=outcome.severity,
            status_id=outcome.status,
            status_detail=unmapped.reason,
            action_id=outcome.action,
            disposition_id=outcome.disposition,
            actor=actor(context.principal, redacted.session),
            src_endpoint=source(exchange),
            dst_endpoint=destination(context),
            url=ocsf.Url(context.path, "wss" if context.scheme == "https" else "ws", context.host or UNSET),
            traffic=ocsf.Traffic(end.bytes_in + end.bytes_out, end.bytes_in, end.bytes_out) if end else UNSET,
            policy=ocsf.Policy(exchange.decision.policy.revision),
            firewall_rule=ocsf.FirewallRule(rule, rule) if rule else UNSET,
            start_time=_milliseconds(context) if end else UNSET,
            end_time=stamp.time if end else UNSET,
            duration=end.latency if end else UNSET,
            unmapped=ocsf.Unmapped(unmapped),
        )
    )


def _response(end: ExchangeClosed | None) -> ocsf.HttpResponse | UnsetType:
    if end is None or end.status is None:
        return UNSET
    return ocsf.HttpResponse(end.status, end.latency, end.bytes_out)


def source(exchange: ExchangeOpened) -> ocsf.Endpoint | UnsetType:
    """Who we believe is behind it, else the peer. The port is the peer's: it stands only beside the peer's address.

    A masked address is the endpoint's `uid`: OCSF has only addresses in `ip`.
    """
    context = exchange.context
    address = context.client.address or context.peer
    if address is None:
        return UNSET
    port = exchange.peer_port if address == context.peer and exchange.peer_port is not None else UNSET
    if is_pseudonym(address):
        return ocsf.Endpoint(port=port, intermediate_ips=exchange.forwarded or UNSET, uid=address)
    return ocsf.Endpoint(address, port, intermediate_ips=exchange.forwarded or UNSET)


def destination(context: RequestContext) -> ocsf.Endpoint:
    return ocsf.Endpoint(UNSET, _or_unset(context.port), context.host or UNSET, _SERVICE)


def _milliseconds(context: RequestContext) -> int:
    return int(context.received_at.timestamp() * 1000)


def _or_unset(value: int | None) -> int | UnsetType:
    return UNSET if value is None else value
