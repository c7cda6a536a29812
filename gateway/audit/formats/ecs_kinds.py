"""Which category and types of ECS an event has: one table, so that the same event always has the same.

Allowed values, and which types are expected in which category, are those of
https://www.elastic.co/docs/reference/ecs/ecs-allowed-values-event-category. `allowed` and `denied` stand only where it
was decided, not where it ended: counting them counts decisions, not lines.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

Kind = tuple[tuple[str, ...], tuple[str, ...]]  # event.category, event.type

ALERTS: Final = frozenset({"session.foreign", "csp.violation"})
"""Codes whose events report that somebody, or something, has tried what it may not."""

_RECORD: Final = ("database",)  # the record itself: what stores and retrieves
_SOCKET: Final = ("network", "session")
_KINDS: Final[Mapping[str, Kind]] = {
    "http.request": (("network", "web"), ("access",)),
    "ws.open": (_SOCKET, ("connection",)),
    "ws.message": (("network", "web"), ("access",)),
    "ws.lease": (_SOCKET, ("connection",)),
    "ws.close": (_SOCKET, ("connection",)),
    "page.open": (("session", "web"), ("access",)),
    "socket.activity": (("session", "web"), ("info",)),
    "session.foreign": (("intrusion_detection", "session"), ("info",)),
    "file.upload": (("file", "network"), ("creation",)),
    "file.download": (("file", "network"), ("access",)),
    "script.error": (("web",), ("error",)),
    "csp.violation": (("intrusion_detection", "web"), ("info",)),
    "csp.suppressed": (("web",), ("info",)),
    "policy.change": (("configuration",), ("change",)),
    "policy.rejected": (("configuration",), ("info",)),
    "gateway.start": (("process",), ("start",)),
    "gateway.stop": (("process",), ("end",)),
    "admin.action": (("api",), ("admin",)),
    "audit.query": (("api", "database"), ("access", "admin")),
    "audit.export": (("api", "database"), ("access", "admin")),
    "audit.hash": (("api", "database"), ("access", "admin")),
    "audit.pseudonyms": (("configuration",), ("change",)),
    "audit.ship": (("api", "database"), ("access", "admin")),
    "audit.hold": (("api", "configuration"), ("admin", "change")),
    "audit.prune": (("api", "database"), ("admin", "deletion")),
    "audit.start": (("process",), ("start",)),
    "audit.stop": (("process",), ("end",)),
    "audit.recovered": (_RECORD, ("change",)),
    "audit.failed": (_RECORD, ("error",)),
    "audit.resumed": (_RECORD, ("info",)),
    "audit.suppressed": (_RECORD, ("error",)),
    "audit.heartbeat": (_RECORD, ("info",)),
    "audit.set_aside": (_RECORD, ("error",)),
    "audit.pruned": (_RECORD, ("change",)),
    "audit.sealed": (_RECORD, ("info",)),
    "audit.seal_failed": (_RECORD, ("error",)),
    "audit.space": (("host",), ("info",)),
    "audit.anchor": (_RECORD, ("info",)),
    "audit.witnessed": (_RECORD, ("info",)),
    "audit.anchor_failed": (_RECORD, ("error",)),
    "audit.anchor_restored": (_RECORD, ("info",)),
    "audit.anchor_conflict": (_RECORD, ("error",)),
    "audit.clock_step": (("host",), ("change",)),
}
# Codes that are not in the table, such as those of the tool's own code: by the OCSF class of the event.
_CLASSES: Final[Mapping[int, Kind]] = {
    4002: (("network", "web"), ("access",)),
    4001: (_SOCKET, ("connection",)),
    6003: (("api",), ("admin",)),
}
_ELSE: Final[Kind] = (("process",), ("info",))
_DECIDED: Final = {1: "allowed", 2: "denied"}
_UNDECIDED: Final = frozenset({"page.open", "socket.activity"})  # what happened, after it was let in
_ERROR: Final = 27


@lru_cache(maxsize=1024)  # the same few combinations come again and again
def kind(code: str, class_uid: int, phase: str | None, action: int | None, disposition: int | None) -> Kind:
    """`event.category` and `event.type`. `action` and `disposition` are OCSF's numbers."""
    category, types = _KINDS.get(code) or _CLASSES.get(class_uid, _ELSE)
    if phase == "outcome":
        types = (*types, "end")
    elif action in _DECIDED and code not in _UNDECIDED:
        started = ("start",) if code == "ws.open" and action == 1 else ()
        types = (*types, *started, _DECIDED[action])
    if disposition == _ERROR and "web" in category:
        types = (*types, "error")
    return category, types
