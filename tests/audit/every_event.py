"""One event for every code of the record, made by the product's own constructors.

`EVERY` is what the record may hold, by code; `record_line` is an event as it stands in the file. For whoever turns the
record into something else: another schema, columns, a sentence.
"""

from dataclasses import replace

from gateway.audit import admin_action, closed, lifecycle, opened, policy_change, script_error
from gateway.audit.activity import Happening, happened
from gateway.audit.events import Violation, csp_violation
from gateway.audit.exchanges import message, rejudged
from gateway.audit.files import Transfer, transferred
from gateway.model import Deny, Method, PolicyRef, Principal, Reason, Surface
from tests.audit.samples import DENY, POLICY, STAFF, STAMP, end, exchange, line, socket

OPERATOR = Principal("operator", Method.LOCAL)
SHA256 = "ab" * 32
UPLOAD = exchange(
    method="PUT",
    path="/_stcore/upload_file/0b5c1d2e-1111-4222-8333-444455556666/9f2c41d0-7be3-4a86-9f2c-41d07be35a86",
    surface=Surface.UPLOAD,
    page=None,
)
DOWNLOAD = exchange(path=f"/media/{'9f' * 28}.mp4", surface=Surface.MEDIA, page=None)
VIOLATION = Violation("/ledger", "img-src", "https://images.example", "enforce", "/static/js/index.js", 7)

_OF_EXCHANGES = {
    "http.request": opened(exchange(principal=STAFF), STAMP),
    "ws.open": opened(socket(principal=STAFF), STAMP),
    "ws.message": message(
        socket(Deny(Reason.MESSAGE_NOT_ALLOWED, POLICY), surface=Surface.MESSAGE, message="clear_cache"), STAMP
    ),
    "ws.lease": rejudged(socket(DENY), STAMP),
    "page.open": happened(Happening(socket(), "page.open", "/vault", {}), STAMP),
    "socket.activity": happened(
        Happening(socket(), "socket.activity", "/ledger", {"runs": 3, "run_ms": 812, "actions": ["button pay x3"]}),
        STAMP,
    ),
    "session.foreign": happened(Happening(socket(), "session.foreign", None, {}), STAMP),
    "ws.close": closed(end(socket(), Reason.DENIED_BY_RULE, 101, close_code=4403, bytes_in=512), STAMP),
    "file.upload": transferred(Transfer("upload", "Q3 zählung.csv", 12, SHA256, "text/csv"), UPLOAD, STAMP),
    "file.download": transferred(
        Transfer("download", "film.mp4", 100, SHA256, "video/mp4", "bytes 0-99/1000"), DOWNLOAD, STAMP
    ),
    "script.error": script_error("ValueError", "9f2c", STAFF, STAMP, page="/ledger", request_id="req-1"),
    "csp.violation": csp_violation(VIOLATION, STAFF, "aa", POLICY, STAMP),
    "policy.change": policy_change(POLICY, PolicyRef("0008", "sha256:00"), STAFF, {"because": "SEC-1234"}, STAMP),
}
_ADMINISTRATIVE = {
    "admin.action": ("session.revoke", {"session": "ab"}),
    "audit.query": ("audit.query", {"query": "user:j.doe@example.com decision:denied"}),
    "audit.export": ("audit.export", {"format": "ecs", "output": "export.jsonl"}),
    "audit.hash": ("audit.hash", {"class": "user", "kids": ["k1"], "pseudonyms": [f"hmac:k1:{'0f' * 16}"]}),
    "audit.pseudonyms": ("audit.pseudonyms", {"operation": "erase", "kid": "k1", "because": "two years"}),
    "audit.hold": ("audit.hold", {"action": "add", "name": "case-17", "because": "SEC-1234"}),
    "audit.prune": ("audit.prune", {"older_than": "2026-01-01", "because": "retention"}),
    "audit.ship": ("audit.ship", {"sink": "otlp collector.example", "cursor": "collector"}),
}
_LIFECYCLE = {
    "csp.suppressed": {"reports": 71},
    "policy.rejected": {"problems": 2},
    "gateway.start": {"version": "0.1.0"},
    "gateway.stop": {},
    "audit.start": {"orderly_stop_before": True},
    "audit.stop": {},
    "audit.recovered": {"torn_bytes": 12, "sha256": SHA256, "file": "torn-000000000007-1790000000123.bin"},
    "audit.failed": {"cause": "disk-full", "errno": 28},
    "audit.resumed": {"cause": "disk-full", "since": 1790000000000, "segment_restored": False},
    "audit.suppressed": {"count": 17, "from": 1790000000000, "to": 1790000000100},
    "audit.heartbeat": {},
    "audit.set_aside": {"directory": "w0.damaged-1790000000123"},
    "audit.pruned": {"start": 0, "end": 35870, "sha256": SHA256, "because": "retention"},
    "audit.sealed": {"start": 0, "end": 35870, "bytes": 67108864},
    "audit.seal_failed": {"start": 0, "problem": "no space left on device"},
    "audit.space": {"space": "low", "free_bytes": 104857600},
    "audit.witnessed": {"witness": "w.example", "size": 35870, "root": "3MeJBY2q…=", "signed_at": 1790000000},
    "audit.anchor_failed": {"kind": "witness", "place": "w.example at https://w.example", "problem": "answered 403"},
    "audit.anchor_restored": {"kind": "directory", "place": "/mnt/anchors", "since": 1790000000000},
    "audit.anchor_conflict": {"kind": "directory", "place": "/mnt/anchors", "problem": "put back", "size": 35870},
    "audit.anchor": {"origin": "peer/w0", "size": 35870},
    "audit.clock_step": {"from": 1790000009000, "to": 1790000000100},
}

EVERY = {
    **_OF_EXCHANGES,
    **{
        code: admin_action(operation, OPERATOR, "host-1", facts, STAMP, code=code)
        for code, (operation, facts) in _ADMINISTRATIVE.items()
    },
    **{code: lifecycle(code, f"it was {code}", facts, STAMP) for code, facts in _LIFECYCLE.items()},
}

# The same code says different things: how it ended, and who was refused.
VARIANTS = {
    "http.request denied": opened(exchange(DENY), STAMP),
    "http.request answered": closed(end(exchange(principal=STAFF)), STAMP),
    "http.request broken": closed(end(exchange(), Reason.APPLICATION_ERROR, 500), STAMP),
    "ws.open refused": opened(socket(Deny(Reason.ORIGIN_NOT_ALLOWED, POLICY)), STAMP),
    "ws.close in order": closed(end(socket(), status=101, close_code=1001), STAMP),
    "ws.close refused": closed(end(socket(DENY), status=403), STAMP),
    "file.upload refused": transferred(
        Transfer("upload", "x.exe", 1024, None, "text/csv", refused=Reason.UPLOAD_TYPE_NOT_ALLOWED), UPLOAD, STAMP
    ),
    "csp.violation only reported": csp_violation(
        replace(VIOLATION, disposition="report"), Principal(), None, POLICY, STAMP, count=249, since=1790000000000
    ),
    "admin.action failed": admin_action("policy.release", STAFF, "10.0.0.1", {}, STAMP, succeeded=False),
}


def record_line(event, sequence=7):
    """The event as a line of the record, without its newline."""
    return line(event, sequence).rstrip(b"\n")
