"""An event that is too long for a receiver, made to fit: never left out, never cut in the middle of its JSON."""

from typing import Any, Final

from gateway.audit.encode import encode

# What explains a decision, and is in the record; from what is missed least to what is missed most.
_DISPENSABLE: Final = (
    ("unmapped", "gateway", "trace"),
    ("unmapped", "gateway", "details"),
    ("unmapped", "gateway", "inputs"),
    ("http_request", "user_agent"),
    ("src_endpoint", "intermediate_ips"),
    ("message",),
)


def shorten(event: dict[str, Any], line: bytes, longest: int) -> tuple[dict[str, Any], bytes]:
    """The event and its line with parts left out until it has at most `longest` bytes, and `metadata.is_truncated`.

    What was left out stands in `unmapped.gateway.shortened`. Time, code, uid, sequence, decision, user and address are
    always there; the whole event is in the record under its sequence.
    """
    left: list[str] = []
    for path in _DISPENSABLE:
        if len(line) <= longest:
            break
        if _removed(event, path):
            left.append("/" + "/".join(path))
            line = _encoded(event, left)
    if len(line) > longest:
        event = {key: event[key] for key in _ESSENTIAL if key in event}
        line = _encoded(event, [*left, "/"])
    return event, line


_ESSENTIAL: Final = (
    "metadata",
    "category_uid",
    "class_uid",
    "activity_id",
    "type_uid",
    "time",
    "severity_id",
    "status_id",
    "status_detail",
    "action_id",
    "disposition_id",
)


def _removed(event: dict[str, Any], path: tuple[str, ...]) -> bool:
    holder: Any = event
    for key in path[:-1]:
        holder = holder.get(key) if isinstance(holder, dict) else None
    return isinstance(holder, dict) and holder.pop(path[-1], None) is not None


def _encoded(event: dict[str, Any], left: list[str]) -> bytes:
    event["metadata"]["is_truncated"] = True
    event.setdefault("unmapped", {}).setdefault("gateway", {})["shortened"] = left
    return encode(event)
