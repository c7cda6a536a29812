"""OpenTelemetry: one log record an event, for OTLP (opentelemetry-proto 1.x, logs.proto).

Attributes have the names of the semantic conventions 1.44; what they have none for stands under `gateway.`. The body is
the line of the record, so that nothing is lost on the way, and `log.record.uid` tells two deliveries of one event apart
from two events.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from gateway.audit.formats.stored import ACTIONS, DISPOSITIONS, OUTCOMES, SEVERITIES, Stored, read

_NANOSECONDS: Final = 1_000_000  # of a millisecond
# To the ranges of OpenTelemetry's logs data model: INFO 9-12, WARN 13-16, ERROR 17-20, FATAL 21-24. A refusal (low) is
# the gateway at work, as a notice of syslog is, which its appendix maps to INFO2.
_SEVERITIES: Final = {1: 9, 2: 10, 3: 13, 4: 17, 5: 18, 6: 21}
Value = str | int | bool | tuple[str, ...] | None


def log_record(event: Mapping[str, Any], raw: bytes) -> LogRecord:
    """The event as a log record: `event_name` is `gateway.` and its code, the body its line as it was recorded."""
    stored = read(event)
    record = LogRecord()
    nanoseconds = min(max(stored.time, 0) * _NANOSECONDS, 2**64 - 1)
    record.time_unix_nano = nanoseconds
    record.observed_time_unix_nano = nanoseconds  # we have observed it ourselves
    record.severity_number = _SEVERITIES.get(stored.severity_id, 0)  # type: ignore[assignment]
    record.severity_text = SEVERITIES.get(stored.severity_id, "")
    record.event_name = _valid(f"gateway.{stored.metadata.event_code}")
    record.body.string_value = raw.decode("utf-8", "replace")
    add = record.attributes.add
    for key, value in _attributes(stored):
        if value is not None:
            attribute = add()
            attribute.key = key
            _put(attribute.value, value)
    return record


def _attributes(stored: Stored) -> Iterator[tuple[str, Value]]:
    metadata, gateway = stored.metadata, stored.unmapped.gateway
    yield "log.record.uid", metadata.uid
    yield "gateway.log.origin", metadata.log_name
    yield "gateway.log.seq", metadata.sequence
    yield "gateway.request.id", metadata.correlation_uid
    yield "gateway.phase", gateway.phase
    yield "gateway.decision", None if stored.action_id is None else ACTIONS.get(stored.action_id)
    yield "gateway.disposition", None if stored.disposition_id is None else DISPOSITIONS.get(stored.disposition_id)
    yield "gateway.outcome", None if gateway.enforced is not None else OUTCOMES.get(stored.status_id)
    yield "gateway.reason", stored.reason
    yield "gateway.surface", gateway.surface
    yield "gateway.page", gateway.page
    yield "gateway.policy.version", stored.revision
    yield "gateway.policy.digest", gateway.policy_digest
    yield from _who(stored)
    yield from _what(stored)
    if (rule := stored.firewall_rule) is not None:
        yield "security_rule.uuid", rule.uid
        yield "security_rule.name", rule.name
        yield "security_rule.ruleset.name", "gateway"
        yield "security_rule.version", stored.revision
    if gateway.details and isinstance(kind := gateway.details.get("exception"), str):
        yield "error.type", kind


def _who(stored: Stored) -> Iterator[tuple[str, Value]]:
    if (source := stored.src_endpoint) is not None:
        yield "client.address", source.ip or source.name
        yield "client.port", source.port
    if (actor := stored.actor) is not None:
        yield "user.id", actor.user.uid if actor.user else None
        yield "session.id", actor.session.uid if actor.session else None
    if (inputs := stored.unmapped.gateway.inputs) is not None:
        yield "user.roles", inputs.principal.groups or None


def _what(stored: Stored) -> Iterator[tuple[str, Value]]:
    if (target := stored.target) is None:
        return
    yield "url.scheme", target.scheme
    yield "url.path", target.path
    yield "http.request.method", stored.method
    yield "http.response.status_code", stored.status
    yield "network.protocol.name", stored.app_protocol_name or "http"
    yield "user_agent.original", stored.user_agent
    if (asked := stored.dst_endpoint) is not None:
        yield "server.address", asked.hostname
        yield "server.port", asked.port
    if (request := stored.http_request) is not None:
        yield "network.protocol.version", request.version
        yield "http.request.body.size", request.body_length
    if (response := stored.http_response) is not None:
        yield "http.response.body.size", response.body_length
    if (file := stored.file) is not None:
        yield "file.name", file.name
        yield "file.size", file.size
        yield "gateway.file.sha256", file.sha256
    yield "gateway.close_code", stored.unmapped.gateway.close_code


def _put(into: AnyValue, value: Value) -> None:
    match value:
        case str():
            into.string_value = _valid(value)
        case bool():
            into.bool_value = value
        case int() if -(2**63) <= value < 2**63:
            into.int_value = value
        case tuple():
            for each in value:
                _put(into.array_value.values.add(), each)
        case _:
            into.string_value = str(value)


def _valid(text: str) -> str:
    # A line that somebody has put into a file may hold half a surrogate pair, which protobuf refuses.
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
