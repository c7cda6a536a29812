"""Collects what browsers report about Content-Security-Policy, and writes it down once, however often it comes.

One page can make a browser send hundreds of reports, and anybody who may open the tool can send what they like. So the
size is bounded, only known words and the places of addresses are kept (no query, no nonce, no sample, nothing of what a
person has opened), the same finding of a session is an event once a minute at most, and their number has a bound too.
"""

import asyncio
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from gateway.audit.event import Unbuilt
from gateway.audit.events import Durability, Event, Violation, csp_violation, lifecycle
from gateway.audit.inbox import Entry, Receipt
from gateway.audit.masks import CLEAR, Masks
from gateway.audit.stamp import Stamp, stamp
from gateway.errors import AuditUnavailable
from gateway.middleware.exchange import Exchange, exchange_of
from gateway.model import PolicyRef, Principal

LARGEST: Final = 64 * 1024  # bytes of one request; browsers send about 2 KB a report
AT_ONCE: Final = 20  # reports in one request
WINDOW: Final = 60.0  # seconds in which the same finding is one event
PER_SESSION: Final = 20  # findings in a window, of one session and of all
IN_ALL: Final = 200

# CSP Level 3 §6, Trusted Types §4.2; what is not one of these has not come from a browser.
_DIRECTIVES: Final = frozenset(
    (
        *("base-uri", "child-src", "connect-src", "default-src", "font-src", "form-action", "frame-ancestors"),
        *("frame-src", "img-src", "manifest-src", "media-src", "object-src", "require-trusted-types-for", "sandbox"),
        *("script-src", "script-src-attr", "script-src-elem", "style-src", "style-src-attr", "style-src-elem"),
        *("trusted-types", "webrtc", "worker-src"),
    )
)
_WORDS: Final = frozenset(
    ("inline", "eval", "wasm-eval", "self", "trusted-types-policy", "trusted-types-sink", "report-only", "")
)
_NAME = re.compile(r"[A-Za-z0-9._~-]{1,64}")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{1,20}")
# The two ways in which browsers write a report: `report-uri` (CSP Level 2), and the Reporting API.
_OLD: Final = ("document-uri", "effective-directive", "blocked-uri", "source-file", "line-number", "violated-directive")
_NEW: Final = ("documentURL", "effectiveDirective", "blockedURL", "sourceFile", "lineNumber", "effectiveDirective")

Append = Callable[[Entry, Durability], Receipt]


@dataclass(slots=True)
class _Seen:
    """A finding of this window: who has made it, and how often it has come since it was written down."""

    principal: Principal
    policy: PolicyRef
    since: int
    again: int = 0


class Reports:
    """The endpoint `/.gateway/csp-report`.

    http: POST; 204 when the report was understood, 400, 413 or 415 when not. websocket, lifespan: never routed here.
    """

    def __init__(self, append: Append, window: float = WINDOW, masks: Masks = CLEAR) -> None:
        self._append = append
        self._masks = masks
        self._window = window
        self._seen: dict[tuple[str | None, Violation], _Seen] = {}
        self._left_out = 0
        self._timer: asyncio.TimerHandle | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        status = await self._take(request, exchange_of(scope))
        answer = Response(status_code=204) if status == 204 else PlainTextResponse("not understood", status)
        await answer(scope, receive, send)

    async def _take(self, request: Request, exchange: Exchange) -> int:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in ("application/csp-report", "application/reports+json"):
            return 415
        body = await _body(request)
        if body is None:
            return 413
        violations = parse(body, kind, exchange, request.url.hostname)
        if violations is None:
            return 400
        for violation in violations:
            self.note(violation, exchange)
        return 204

    def note(self, violation: Violation, exchange: Exchange) -> None:
        """Write a finding down, unless it has been in this window already. On the event loop."""
        session = exchange.context.session
        seen = self._seen.get((session, violation))
        if seen is not None:
            seen.again += 1
            return
        of_session = sum(other == session for other, _ in self._seen)
        if of_session >= PER_SESSION or len(self._seen) >= IN_ALL:
            self._left_out += 1
            return
        at = stamp()
        seen = self._seen[session, violation] = _Seen(exchange.context.principal, exchange.policy.ref, at.time)
        self._write(self._found(session, violation, seen, at))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._window, self.flush)

    def flush(self) -> None:
        """End the window: write how often each finding has come again, and how many were left out."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for (session, violation), seen in self._seen.items():
            if seen.again:
                self._write(self._found(session, violation, seen, stamp(), count=seen.again, again=True))
        if self._left_out:
            facts = {"reports": self._left_out}
            self._write(lifecycle("csp.suppressed", "reports beyond the bounds are only counted", facts, stamp()))
        self._seen.clear()
        self._left_out = 0

    def _found(
        self, session: str | None, violation: Violation, seen: _Seen, at: Stamp, *, count: int = 1, again: bool = False
    ) -> Unbuilt[Violation]:
        since = seen.since if again else None

        def make(value: Violation, at: Stamp) -> Event:
            return csp_violation(
                value, seen.principal, session, seen.policy, at, count=count, since=since, masks=self._masks
            )

        return Unbuilt(make, violation, at)

    def _write(self, event: Entry) -> None:
        with suppress(AuditUnavailable):  # the ledger counts it; a report changes nothing for anybody
            self._append(event, Durability.ASYNC)


async def _body(request: Request) -> bytes | None:
    """The body; None when it is too large, or the client has left."""
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > LARGEST:
                return None
    except ClientDisconnect:
        return None
    return bytes(body)


# --- reading a report -----------------------------------------------------------------------------------------


def parse(body: bytes, kind: str, exchange: Exchange, host: str | None = None) -> list[Violation] | None:
    """The violations of a request; None when it is no report. What is not about CSP in it is passed over."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return None
    base_host = exchange.context.host or host or ""
    if kind == "application/csp-report":
        report = given.get("csp-report") if isinstance(given, dict) else None
        found = _violation(report, _OLD, base_host) if isinstance(report, dict) else None
        return None if found is None else [found]
    if not isinstance(given, list):
        return None
    return [found for body in _bodies(given) if (found := _violation(body, _NEW, base_host)) is not None]


def _bodies(reports: list[object]) -> Iterator[Mapping[str, object]]:
    for report in reports[:AT_ONCE]:
        if isinstance(report, dict) and report.get("type") == "csp-violation" and isinstance(report.get("body"), dict):
            yield report["body"]


def _violation(report: Mapping[str, object], names: tuple[str, ...], host: str) -> Violation | None:
    page, directive, blocked, source, line, older = (report.get(name) for name in names)
    words = str(directive or older or "").split()
    disposition = report.get("disposition", "enforce")
    if not words or words[0] not in _DIRECTIVES or disposition not in ("enforce", "report"):
        return None
    where = _place(str(blocked or ""), host)
    document = _place(str(page or ""), host)
    if where is None or document is None or not document.startswith("/"):
        return None
    return Violation(
        page=document,
        directive=words[0],
        blocked=where or "inline",
        disposition=disposition,
        source=_place(str(source), host) if source else None,
        line=line if isinstance(line, int) and 0 <= line < 2**31 else None,
    )


def _place(address: str, host: str) -> str | None:
    """What may be kept of an address: one of CSP's own words, a scheme, an origin outside, or a place of ours.

    A place of ours is its first names alone, but for Streamlit's own files: what follows may be somebody's upload or
    a Streamlit session.
    """
    if address in _WORDS:
        return address
    try:
        parts = urlsplit(address[:2048])
        port = parts.port
    except ValueError:
        return None
    if not parts.netloc:
        scheme = parts.scheme or address
        return scheme if _SCHEME.fullmatch(scheme) else None
    name = (parts.hostname or "").lower()
    if name == host:
        return _shape(parts.path)
    if not re.fullmatch(r"[a-z0-9.:-]{1,253}", name) or parts.scheme not in ("http", "https", "ws", "wss"):
        return None
    return f"{parts.scheme}://{f'[{name}]' if ':' in name else name}{'' if port is None else f':{port}'}"


def _shape(path: str) -> str:
    names = [name if _NAME.fullmatch(name) else "…" for name in path.split("/") if name]
    if names[:1] == ["static"]:
        return "/" + "/".join(names[:4])
    kept = names[:2] if names[:1] in (["_stcore"], ["component"], [".gateway"]) else names[:1]
    return "/" + "/".join(kept) + ("/…" if len(names) > len(kept) else "")
