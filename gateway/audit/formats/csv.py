r"""Comma-separated values (RFC 4180): one row an event, a header row, lines that end with CRLF.

A cell that a spreadsheet would take for a formula (it begins with `=`, `+`, `-`, `@`, their full-width forms, a tab or
a line break) gets an apostrophe in front, and so does one that begins with an apostrophe: take one away, and the value
is as it was. What is not printable is written as in JSON (`\u001b`), so that a row is one line for every tool.
"""

import csv
from collections.abc import Mapping
from typing import Any, Final

from gateway.audit.encode import encode, one_line
from gateway.audit.formats.stored import ACTIONS, OUTCOMES, SEVERITIES, Stored, instant, read

COLUMNS: Final = (
    *("time", "log", "sequence", "id", "code", "phase", "severity", "action", "outcome", "reason"),
    *("user", "session", "client_ip", "client_port", "client_name", "method", "scheme", "host", "path", "page"),
    *("surface", "status", "close_code", "duration_ms", "bytes_in", "bytes_out", "rule", "revision", "policy_digest"),
    *("request_id", "user_agent", "file", "file_size", "file_sha256", "message", "details"),
)
_FORMULA: Final = frozenset("=+-@\t\r\n'＝＋－＠")  # noqa: RUF001 - the full-width forms are meant
_PRINTABLE: Final = bytes(range(0x20, 0x7F))
Cell = str | int | None


class _Echo:
    def write(self, row: str) -> str:
        return row


_row = csv.writer(_Echo(), lineterminator="\r").writerow  # it returns what `write` returns
HEADER: Final = f"{','.join(COLUMNS)}\r\n".encode()


def csv_row(event: Mapping[str, Any], raw: bytes) -> bytes:  # noqa: ARG001 - every format is called so
    """The event as one row, without the last byte of its CRLF, in the order of `COLUMNS`."""
    row = cells(read(event))
    texts = [each for each in row if isinstance(each, str)]
    # One look at all of them: nearly every event has nothing to neutralise.
    if not (_is_printable("".join(texts)) and _FORMULA.isdisjoint([each[:1] for each in texts])):
        row = tuple(_text(each) if isinstance(each, str) else each for each in row)
    written: object = _row(row)
    return str(written).encode("utf-8", "replace")


def cells(stored: Stored) -> tuple[Cell, ...]:
    """The values, in the order of `COLUMNS`; None where the column does not apply."""
    metadata, gateway = stored.metadata, stored.unmapped.gateway
    return (
        instant(stored.time) or stored.time,
        metadata.log_name,
        metadata.sequence,
        metadata.uid,
        metadata.event_code,
        gateway.phase,
        SEVERITIES.get(stored.severity_id),
        None if stored.action_id is None else ACTIONS.get(stored.action_id),
        None if gateway.enforced is not None else OUTCOMES.get(stored.status_id),
        stored.reason,
        *_who(stored),
        *_what(stored),
        gateway.close_code,
        stored.duration,
        *_bytes(stored),
        stored.firewall_rule.uid if stored.firewall_rule else None,
        stored.revision,
        gateway.policy_digest,
        metadata.correlation_uid,
        stored.user_agent,
        *_file(stored),
        stored.message,
        _details(stored),
    )


def _who(stored: Stored) -> tuple[Cell, ...]:
    actor, source = stored.actor, stored.src_endpoint
    user = actor.user.uid if actor and actor.user else None
    session = actor.session.uid if actor and actor.session else None
    return (user, session, source.ip, source.port, source.name) if source else (user, session, None, None, None)


def _what(stored: Stored) -> tuple[Cell, ...]:
    target, gateway = stored.target, stored.unmapped.gateway
    where = (target.scheme, target.hostname, target.path) if target else (None, None, None)
    return (stored.method, *where, gateway.page, gateway.surface, stored.status)


def _bytes(stored: Stored) -> tuple[Cell, Cell]:
    traffic, request, response = stored.traffic, stored.http_request, stored.http_response
    if traffic:
        return traffic.bytes_in, traffic.bytes_out
    return request.body_length if request else None, response.body_length if response else None


def _file(stored: Stored) -> tuple[Cell, ...]:
    file = stored.file
    return (file.name, file.size, file.sha256) if file else (None, None, None)


def _details(stored: Stored) -> str | None:
    gateway = stored.unmapped.gateway
    facts: dict[str, object] = dict(gateway.details or {})
    if gateway.directive is not None:
        facts |= {"directive": gateway.directive, "blocked": gateway.blocked, "enforced": gateway.enforced}
    if stored.count is not None:
        facts["reports"] = stored.count
    return encode(facts).decode() if facts else None


def _text(value: str) -> str:
    if value[:1] in _FORMULA:
        value = f"'{value}"
    return value if value.isprintable() else one_line(value)


def _is_printable(value: str) -> bool:
    # Of ASCII, three times as fast as looking at each character.
    return not value.encode().translate(None, _PRINTABLE) if value.isascii() else value.isprintable()
