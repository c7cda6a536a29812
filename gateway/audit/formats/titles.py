"""What each event code is called in a sentence, for schemas that ask for a name that people read."""

from typing import Final

_TITLES: Final = {
    "http.request": "HTTP request",
    "ws.open": "WebSocket handshake",
    "ws.message": "Message in a WebSocket",
    "ws.lease": "Open WebSocket judged again",
    "ws.close": "WebSocket closed",
    "page.open": "Page opened",
    "socket.activity": "Activity in a session",
    "session.foreign": "Session of another visitor claimed",
    "file.upload": "File upload",
    "file.download": "File download",
    "script.error": "Script raised an exception",
    "csp.violation": "Content-Security-Policy violation",
    "csp.suppressed": "Content-Security-Policy reports suppressed",
    "policy.change": "Policy revision changed",
    "policy.rejected": "Policy revision rejected",
    "admin.action": "Administrative action",
    "gateway.start": "Gateway started",
    "gateway.stop": "Gateway stopped",
    "audit.start": "Audit log opened",
    "audit.stop": "Audit log closed",
    "audit.recovered": "Audit log recovered",
    "audit.failed": "Audit log failed",
    "audit.resumed": "Audit log resumed",
    "audit.suppressed": "Audit events suppressed",
    "audit.heartbeat": "Audit log heartbeat",
    "audit.set_aside": "Damaged audit log set aside",
    "audit.clock_step": "Clock set back",
    "audit.pruned": "Audit log segment pruned",
    "audit.sealed": "Audit log segment sealed",
    "audit.seal_failed": "Audit log segment could not be sealed",
    "audit.space": "Space for the audit log changed",
    "audit.anchor": "Checkpoint of another audit log anchored",
    "audit.witnessed": "Audit log checkpoint witnessed",
    "audit.anchor_failed": "Audit log checkpoint could not be anchored",
    "audit.anchor_restored": "Audit log anchored again",
    "audit.anchor_conflict": "Audit log contradicts its anchor",
    "audit.hold": "Legal hold changed",
    "audit.prune": "Pruning of the audit log requested",
    "audit.ship": "Shipping of the audit log started",
    "audit.query": "Audit log queried",
    "audit.export": "Audit log exported",
    "audit.hash": "Audit log searched for a person",
    "audit.pseudonyms": "Keys of pseudonyms changed",
}
_PHASES: Final = {
    ("http.request", "decision"): "HTTP request judged",
    ("http.request", "outcome"): "HTTP request ended",
}


def title(code: str, phase: str | None) -> str:
    """The name of the event; of a code that is not ours, the code itself."""
    return _PHASES.get((code, phase or "")) or _TITLES.get(code, code)
