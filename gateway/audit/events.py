"""The events of the record: from values of the product to one line of OCSF 1.8.0, without its place in the log.

Every constructor is pure: the stamp is passed in. What an event may hold is `redact.py`'s, how long it may be is
bounded here (`HARD_CAP`). docs/audit-record.md lists every code and every field.
"""

import ipaddress
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from gateway.audit import ocsf
from gateway.audit.encode import encode
from gateway.audit.outcomes import Outcome, outcome_at_the_door, outcome_at_the_end
from gateway.audit.redact import NORMAL, TIGHT, Caps, Redacted, details, redact
from gateway.audit.stamp import Stamp
from gateway.model import Allow, ExchangeClosed, ExchangeOpened, Method, PolicyRef, Principal, RequestContext

HARD_CAP: Final = 8 * 1024
"""Bytes of the longest line, sequence and newline included. Events of ordinary traffic stay below 2 KB."""

_MARGIN: Final = 512  # for what the ledger adds: sequence, log name (at most 255 bytes), durability

_HEAD: Final = len(b'{"metadata":{')
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
_OTHER: Final = 99
_HTTP, _NETWORK, _LIFECYCLE, _ERROR, _ENTITY, _API = 4002, 4001, 6002, 6008, 3004, 6003
_PROFILES: Final = ("host", "security_control")
_WITH_ACTOR: Final = ("host",)
_SERVICE: Final = "streamlit"


class Durability(StrEnum):
    """When an event must be on the disk, chosen by its kind.

    `before`: before the application runs. `hold`: before the first byte of the answer leaves. `async`: nobody waits.
    """

    BEFORE = "before"
    HOLD = "hold"
    ASYNC = "async"


class Event(Struct, frozen=True, gc=False):
    """One event, ready to be written but for its sequence, the log's name and its durability class.

    `body` is the JSON text after `{"metadata":{` and before the last three closing braces. `time` is in milliseconds.
    """

    code: str
    time: int
    body: bytes

    def line(self, sequence: int, log_name: bytes, durability: bytes) -> bytes:
        """The complete line. `log_name` and `durability` are JSON strings with their quotes."""
        return b'{"metadata":{"sequence":%d,"log_name":%b,%b,"durability":%b}}}\n' % (
            sequence,
            log_name,
            self.body,
            durability,
        )


# --- exchanges ------------------------------------------------------------------------------------------------


class _Decided(ocsf.Object, frozen=True):
    """`unmapped.gateway` of a decision. `inputs` is all that the engine looked at: the decision can be made again."""

    phase: str
    reason: str
    policy_digest: str
    surface: str
    page: str | UnsetType
    flags: tuple[str, ...] | UnsetType
    trace: tuple[object, ...] | UnsetType
    user_agent: str | UnsetType
    erased: tuple[str, ...] | UnsetType
    truncated: tuple[str, ...] | UnsetType
    inputs: RequestContext


class _Ended(ocsf.Object, frozen=True):
    """`unmapped.gateway` of a closing record. The inputs are in the decision of the same `correlation_uid`."""

    phase: str
    reason: str
    policy_digest: str
    surface: str
    page: str | UnsetType
    complete: bool
    status: int | UnsetType
    close_code: int | UnsetType
    erased: tuple[str, ...] | UnsetType
    truncated: tuple[str, ...] | UnsetType


def opened(exchange: ExchangeOpened, stamp: Stamp) -> Event:
    """The decision about an exchange (`http.request`, `ws.open`) or a message in a socket (`ws.message`).

    To be recorded before it takes effect.
    """
    event = _opened(redact(exchange), stamp)
    return event if _fits(event) else _truncated(_opened(redact(exchange, TIGHT), stamp))


def closed(exchange: ExchangeClosed, stamp: Stamp) -> Event:
    """How an exchange ended (`http.request`, `ws.close`). Says who and where again, so the line can be read alone."""
    event = _closed(exchange, redact(exchange.opened), stamp)
    return event if _fits(event) else _truncated(_closed(exchange, redact(exchange.opened, TIGHT), stamp))


def _opened(redacted: Redacted, stamp: Stamp) -> Event:
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
        redacted.truncated or UNSET,
        context,
    )
    if context.kind == "http":
        return _http(redacted, stamp, outcome, unmapped)
    if context.message is not None:
        return _network(redacted, stamp, outcome, unmapped, code="ws.message", activity=6)
    return _network(redacted, stamp, outcome, unmapped, code="ws.open", activity=1 if allowed else 5)


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
        redacted.truncated or UNSET,
    )
    if context.kind == "http":
        return _http(redacted, stamp, outcome, unmapped, exchange)
    activity = 2 if exchange.status == 101 else 5
    return _network(redacted, stamp, outcome, unmapped, exchange, code="ws.close", activity=activity)


def _http(
    redacted: Redacted, stamp: Stamp, outcome: Outcome, unmapped: _Decided | _Ended, end: ExchangeClosed | None = None
) -> Event:
    exchange = redacted.exchange
    context, rule = exchange.context, exchange.decision.rule
    activity = _METHODS.get(context.method, _OTHER)
    return _event(
        ocsf.HttpActivity(
            metadata=_metadata(stamp, "http.request", _PROFILES, exchange.request_id, redacted.truncated),
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
            actor=_actor(context.principal, context.session),
            src_endpoint=_source(exchange),
            dst_endpoint=_destination(context),
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


def _network(
    redacted: Redacted,
    stamp: Stamp,
    outcome: Outcome,
    unmapped: _Decided | _Ended,
    end: ExchangeClosed | None = None,
    *,
    code: str,
    activity: int,
) -> Event:
    exchange = redacted.exchange
    context, rule = exchange.context, exchange.decision.rule
    return _event(
        ocsf.NetworkActivity(
            metadata=_metadata(stamp, code, _PROFILES, exchange.request_id, redacted.truncated),
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
            actor=_actor(context.principal, context.session),
            src_endpoint=_source(exchange),
            dst_endpoint=_destination(context),
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


def _source(exchange: ExchangeOpened) -> ocsf.Endpoint | UnsetType:
    """Who we believe is behind it, else the peer. The port is the peer's: it stands only beside the peer's address."""
    context = exchange.context
    address = context.client.address or context.peer
    if address is None:
        return UNSET
    port = exchange.peer_port if address == context.peer and exchange.peer_port is not None else UNSET
    return ocsf.Endpoint(address, port, intermediate_ips=exchange.forwarded or UNSET)


def _destination(context: RequestContext) -> ocsf.Endpoint:
    return ocsf.Endpoint(UNSET, _or_unset(context.port), context.host or UNSET, _SERVICE)


# --- the gateway's and the record's own life ------------------------------------------------------------------


class _Facts(ocsf.Object, frozen=True):
    """`unmapped.gateway` of the rarer events. `phase` says what kind; `details` are the event's own facts."""

    phase: str
    details: Mapping[str, object]
    request_id: str | UnsetType = UNSET
    page: str | UnsetType = UNSET
    erased: tuple[str, ...] | UnsetType = UNSET


_ACTIVITIES: Final = {"start": 3, "stop": 4}
# Codes that somebody should look at: severity, status.
_ALARMS: Final = {
    "audit.failed": (4, 2),
    "audit.suppressed": (4, 2),
    "audit.recovered": (3, 1),
    "audit.clock_step": (2, 1),
    "gateway.degraded": (3, 2),
}


def lifecycle(code: str, message: str, facts: Mapping[str, object], stamp: Stamp) -> Event:
    """Something in the life of the gateway or of the record itself, such as `audit.start` or `gateway.stop`."""
    activity = _ACTIVITIES.get(code.rpartition(".")[2], _OTHER)
    severity, status = _ALARMS.get(code, (1, 1))

    def build(caps: Caps) -> Event:
        kept, erased = details(facts, caps)
        return _event(
            ocsf.ApplicationLifecycle(
                metadata=_metadata(stamp, _text(code)),
                category_uid=6,
                class_uid=_LIFECYCLE,
                activity_id=activity,
                type_uid=_LIFECYCLE * 100 + activity,
                time=stamp.time,
                severity_id=severity,
                status_id=status,
                message=_text(message),
                activity_name=_text(code) if activity == _OTHER else UNSET,
                unmapped=ocsf.Unmapped(_Facts("lifecycle", kept, erased=erased or UNSET)),
            )
        )

    return _fit(build)


def policy_change(
    before: PolicyRef | None, after: PolicyRef, actor: Principal, facts: Mapping[str, object], stamp: Stamp
) -> Event:
    """Another revision became the active one (`policy.change`). `before` is None at the first load."""

    def build(caps: Caps) -> Event:
        digests = {"digest": after.digest} | ({"previous_digest": before.digest} if before else {})
        kept, erased = details({**digests, **facts}, caps)
        return _event(
            ocsf.EntityManagement(
                metadata=_metadata(stamp, "policy.change"),
                category_uid=3,
                class_uid=_ENTITY,
                activity_id=3,
                type_uid=_ENTITY * 100 + 3,
                time=stamp.time,
                severity_id=2,
                status_id=1,
                message=_text(f"policy revision {after.revision} is active"),
                actor=_actor(actor, None),
                entity=_entity(before, is_applied=False) if before else _entity(after, is_applied=True),
                entity_result=_entity(after, is_applied=True),
                unmapped=ocsf.Unmapped(_Facts("change", kept, erased=erased or UNSET)),
            )
        )

    return _fit(build)


def script_error(
    exception: str,
    frames: str,
    principal: Principal,
    stamp: Stamp,
    *,
    page: str | None = None,
    request_id: str | None = None,
) -> Event:
    """A script raised (`script.error`). `exception` is its type's name and `frames` a hash of where.

    Never the exception's text: it holds the tool's data.
    """
    kept, _ = details({"exception": exception, "frames": frames})
    return _event(
        ocsf.ApplicationError(
            metadata=_metadata(stamp, "script.error", _WITH_ACTOR, _text(request_id) if request_id else None),
            category_uid=6,
            class_uid=_ERROR,
            activity_id=1,
            type_uid=_ERROR * 100 + 1,
            time=stamp.time,
            severity_id=3,
            status_id=2,
            message="the script raised an exception",
            actor=_actor(principal, None),
            unmapped=ocsf.Unmapped(_Facts("error", kept, page=_text(page) if page else UNSET)),
        )
    )


def admin_action(
    operation: str, actor: Principal, source: str, facts: Mapping[str, object], stamp: Stamp, *, succeeded: bool = True
) -> Event:
    """What an administrator did (`admin.action`), such as `session.revoke`.

    `source` is an address, or the host's name for a command.
    """

    def build(caps: Caps) -> Event:
        kept, erased = details(facts, caps)
        return _event(
            ocsf.ApiActivity(
                metadata=_metadata(stamp, "admin.action", _WITH_ACTOR),
                category_uid=6,
                class_uid=_API,
                activity_id=_OTHER,
                type_uid=_API * 100 + _OTHER,
                time=stamp.time,
                severity_id=2,
                status_id=1 if succeeded else 2,
                message=_text(operation),
                actor=_actor(actor, None),
                api=ocsf.Api(_text(operation)),
                src_endpoint=_endpoint(source),
                unmapped=ocsf.Unmapped(_Facts("admin", kept, erased=erased or UNSET)),
            )
        )

    return _fit(build)


# --- parts ----------------------------------------------------------------------------------------------------


def _fit(build: Callable[[Caps], Event]) -> Event:
    event = build(NORMAL)
    return event if _fits(event) else _truncated(build(TIGHT))


def _fits(event: Event) -> bool:
    return len(event.body) <= HARD_CAP - _MARGIN


def _truncated(event: Event) -> Event:
    marked = event.body if b'"is_truncated":true' in event.body[:256] else b'"is_truncated":true,' + event.body
    return Event(event.code, event.time, marked)


def _event(value: ocsf.Base) -> Event:
    return Event(value.metadata.event_code, value.time, encode(value)[_HEAD:-3])


def _metadata(
    stamp: Stamp,
    code: str,
    profiles: tuple[str, ...] | UnsetType = UNSET,
    request_id: str | None = None,
    truncated: tuple[str, ...] = (),
) -> ocsf.Metadata:
    return ocsf.Metadata(stamp.uid, code, request_id or UNSET, True if truncated else UNSET, profiles)


def _actor(principal: Principal, session: str | None) -> ocsf.Actor:
    # Type 1 User; 0 Unknown for somebody who is known by network only.
    user = ocsf.User(principal.id, 0 if principal.method is Method.NONE else 1)
    return ocsf.Actor(user, ocsf.Session(session) if session else UNSET)


def _entity(ref: PolicyRef, *, is_applied: bool) -> ocsf.ManagedEntity:
    policy = ocsf.Policy(ref.revision, is_applied=is_applied)
    return ocsf.ManagedEntity("gateway", "gateway", ref.revision, policy)


def _endpoint(source: str) -> ocsf.Endpoint:
    try:
        ipaddress.ip_address(source)
    except ValueError:
        return ocsf.Endpoint(hostname=_text(source))
    return ocsf.Endpoint(source)


def _milliseconds(context: RequestContext) -> int:
    return int(context.received_at.timestamp() * 1000)


def _or_unset(value: int | None) -> int | UnsetType:
    return UNSET if value is None else value


def _text(value: str) -> str:
    return value if len(value) <= NORMAL.text else value[: NORMAL.text]
