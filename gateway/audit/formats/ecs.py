"""Elastic Common Schema 9.4.0: one JSON document a line.

In Elasticsearch, map `gateway.details` as `flattened`: each event code has details of its own.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from msgspec import Raw

from gateway import __version__
from gateway.audit.encode import encode
from gateway.audit.formats import ecs_fields as fields
from gateway.audit.formats.ecs_kinds import ALERTS, kind
from gateway.audit.formats.stored import DISPOSITIONS, OUTCOMES, Stored, instant, read

VERSION: Final = "9.4.0"
_VERSION: Final = Raw(b'{"version":"9.4.0"}')
_PRODUCT: Final = "streamlit-gateway"
_NANOSECONDS: Final = 1_000_000  # of a millisecond
_INFORMS: Final = ("info",)
_ALLOWED, _DENIED = 1, 2


def ecs(event: Mapping[str, Any], raw: bytes) -> bytes:  # noqa: ARG001 - every format is called so
    """The event as a document of ECS 9.4.0, one line without its newline: printable and valid UTF-8.

    It says in `gateway.log` and `event.sequence` where in the record the event stands.
    """
    return encode(document(read(event)))


def document(stored: Stored) -> fields.Document:
    """The event as a document. A field that does not apply is left out."""
    metadata, gateway = stored.metadata, stored.unmapped.gateway
    return fields.Document(
        instant(stored.time) or stored.time,
        _VERSION,
        _event(stored),
        _observer(metadata.log_name, metadata.product.version or __version__),
        _own(stored),
        stored.message,
        _http(stored) if metadata.correlation_uid is not None else None,
        *_where(stored),
        _user(stored) if stored.actor is not None else None,
        fields.UserAgent(agent) if (agent := stored.user_agent) is not None else None,
        _rule(stored, revision) if (revision := stored.revision) is not None else None,
        fields.Labels(gateway.policy_digest) if gateway.policy_digest is not None else None,
        _file(stored),
        fields.Error(str(gateway.details["exception"])) if gateway.details and "exception" in gateway.details else None,
        _related(stored),
    )


def _event(stored: Stored) -> fields.Event:
    metadata, gateway = stored.metadata, stored.unmapped.gateway
    code, action = metadata.event_code, stored.action_id
    if gateway.enforced is not None:  # a finding: what the browser did
        action = _DENIED if gateway.enforced else _ALLOWED
    category, types = kind(code, stored.class_uid, gateway.phase, action, stored.disposition_id)
    return fields.Event(
        "alert" if code in ALERTS else "event",
        category,
        types,
        code,
        code,
        metadata.sequence,
        stored.severity_id,
        "gateway.audit",
        "gateway",
        metadata.uid,
        # ECS leaves the outcome out of what only informs.
        None if types == _INFORMS or gateway.enforced is not None else OUTCOMES.get(stored.status_id),
        stored.reason,
        None if stored.start_time is None else instant(stored.start_time),
        None if stored.end_time is None else instant(stored.end_time),
        None if stored.duration is None else stored.duration * _NANOSECONDS,
    )


def _own(stored: Stored) -> fields.Own:
    gateway, actor = stored.unmapped.gateway, stored.actor
    return fields.Own(
        stored.metadata.log_name,
        gateway.phase,
        None if stored.disposition_id is None else DISPOSITIONS.get(stored.disposition_id),
        actor.session.uid if actor and actor.session else None,
        gateway.surface,
        gateway.page,
        gateway.inputs.message if gateway.inputs else None,
        stored.api.operation if stored.api else None,
        gateway.close_code,
        gateway.complete,
        gateway.directive,
        gateway.blocked,
        gateway.enforced,
        stored.count,
        gateway.content_range,
        stored.metadata.is_truncated,
        gateway.details or None,
    )


def _http(stored: Stored) -> fields.Http:
    asked, answered, status = stored.http_request, stored.http_response, stored.status
    size = None if asked is None or asked.body_length is None else fields.Body(asked.body_length)
    sent = None if answered is None or answered.body_length is None else fields.Body(answered.body_length)
    return fields.Http(
        fields.Request(stored.metadata.correlation_uid or "", stored.method, size),
        None if status is None else fields.Response(status, sent),
        None if asked is None else asked.version,
    )


Where = tuple[fields.Url | None, fields.Network | None, fields.Endpoint | None, fields.Endpoint | None]


def _where(stored: Stored) -> Where:
    """What was asked for, how, from where, and of whom."""
    target, source, asked, traffic = stored.target, stored.src_endpoint, stored.dst_endpoint, stored.traffic
    total, received, sent = (traffic.bytes, traffic.bytes_in, traffic.bytes_out) if traffic else (None, None, None)
    service = asked.svc_name if asked else None
    return (
        fields.Url(target.path, target.scheme, target.hostname) if target and target.path is not None else None,
        fields.Network("inbound", stored.app_protocol_name or "http", service, total) if target else None,
        fields.Endpoint(source.ip or source.name, source.ip, source.hostname, source.port, received)
        if source
        else None,
        fields.Endpoint(asked.hostname, None, asked.hostname, asked.port, sent) if asked else None,
    )


def _user(stored: Stored) -> fields.User | None:
    actor, inputs = stored.actor, stored.unmapped.gateway.inputs
    if actor is None or actor.user is None or actor.user.uid is None:
        return None
    return fields.User(actor.user.uid, actor.user.uid, (inputs.principal.groups or None) if inputs else None)


def _rule(stored: Stored, revision: str) -> fields.Rule:
    rule = stored.firewall_rule
    return fields.Rule("gateway", revision, rule.uid, rule.name) if rule else fields.Rule("gateway", revision)


def _file(stored: Stored) -> fields.File | None:
    if (file := stored.file) is None:
        return None
    digest = file.sha256
    return fields.File(file.name, file.size, file.mime_type, "file", fields.Hash(digest) if digest else None)


def _related(stored: Stored) -> fields.Related | None:
    source, actor, asked, file = stored.src_endpoint, stored.actor, stored.dst_endpoint, stored.file
    address = source.ip if source else None
    user = actor.user.uid if actor and actor.user and actor.user.type_id else None
    host = asked.hostname if asked else None
    digest = file.sha256 if file else None
    if address is None and user is None and host is None:
        return None
    between = source.intermediate_ips if source else ()
    return fields.Related(
        None if address is None else (address, *between) if between else (address,),
        None if user is None else (user,),
        None if host is None else (host,),
        None if digest is None else (digest,),
    )


@lru_cache(maxsize=64)
def _observer(log: str, version: str) -> Raw:
    return Raw(encode(fields.Observer(log, _PRODUCT, _PRODUCT, "proxy", version)))
