"""The answer to a refused request: one page, or one JSON object, for every reason.

The page is rendered once for each brand and reason; a request adds its id, and the time if it is given. So a flood of
refused requests costs microseconds each. The page runs no script, loads nothing, has its own Content-Security-Policy
whose only exception is the hash of its own style, and repeats nothing that the client sent.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from html import escape
from http import HTTPStatus
from importlib.resources import files
from string import Template
from typing import Final
from urllib.parse import quote

from gateway.model import Reason
from gateway.reasons import OUTCOMES
from gateway.web.accept import Form, negotiate
from gateway.web.brand import Brand

__all__ = ["Answer", "Brand", "render_refusal"]

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete response. Header names are lower case, as ASGI wants them; `body` is empty for HEAD."""

    status: int
    headers: Headers
    body: bytes


# Read when the module is imported: no file is read while requests are served.
_TEMPLATES: Final = files("gateway.web").joinpath("templates")
_PAGE: Final = Template(_TEMPLATES.joinpath("refusal.html").read_text("utf-8"))
_STYLE: Final = Template(_TEMPLATES.joinpath("refusal.css").read_text("utf-8"))

_SLOT: Final = "\x00"  # cannot come from a brand, and `_parts` splits there
_ID, _SUBJECT, _TIME = (f"{_SLOT}{name}{_SLOT}" for name in ("id", "subject", "time"))

_JSON_POLICY: Final = b"default-src 'none'; frame-ancestors 'none'; sandbox"
_PHRASES: Final = {
    413: "Content Too Large",
    414: "URI Too Long",
}  # RFC 9110; `http.HTTPStatus` had older words before 3.13

# Cookie sessions have no registered scheme, but a 401 must name one (RFC 9110 §11.6.1). Browsers ignore schemes that
# they do not know, so no password box opens.
_CHALLENGE: Final = b'Session realm="gateway"'

_RETRYABLE: Final = frozenset(
    {
        Reason.NO_RULE_MATCHED,  # after the VPN has come up
        Reason.REQUEST_TIMEOUT,
        Reason.RATE_LIMITED,
        Reason.TOO_MANY_SOCKETS,
        Reason.TOO_MANY_CONNECTIONS,
        Reason.APPLICATION_ERROR,
        Reason.ENGINE_ERROR,
        Reason.AUDIT_UNAVAILABLE,
        Reason.NOT_READY,
    }
)


def render_refusal(
    brand: Brand,
    *,
    reason: Reason,
    request_id: str,
    accept: str,
    method: str,
    allow: Sequence[str] = (),
    retry_after: int | None = None,
    at: datetime | None = None,
) -> Answer:
    """The response that tells a visitor, or their program, why they were refused and what to do next.

    HTML or `application/problem+json` (RFC 9457), by the `accept` header ("" when there was none). What a status owes
    is there: Allow for 405 (`allow`: the methods of the target), Retry-After for 429 and 503 (`retry_after`: seconds,
    None for the reason's own), WWW-Authenticate for 401. HEAD gets the headers of GET. `at` (aware) is shown if given.

    Raises:
        ValueError: for a reason that does not refuse.
    """
    if OUTCOMES[reason].status < 400:
        raise ValueError(f"{reason} does not refuse")
    seconds = _retry_after(reason, retry_after)
    form = negotiate(accept)
    if form == "html":
        body = _html(brand, reason, request_id, method in {"GET", "HEAD"}, at)
    else:
        body = _problem(reason, request_id, seconds)
    headers = [*_fixed_headers(brand, reason, form), (b"content-length", str(len(body)).encode())]
    headers += _duties(reason, allow, seconds)
    return Answer(OUTCOMES[reason].status, headers, b"" if method == "HEAD" else body)


# --- headers --------------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _fixed_headers(brand: Brand, reason: Reason, form: Form) -> tuple[tuple[bytes, bytes], ...]:
    html = form == "html"
    headers = (
        (b"content-type", b"text/html; charset=utf-8" if html else b"application/problem+json"),
        (b"content-language", b"en"),
        (b"content-security-policy", _content_security(brand) if html else _JSON_POLICY),
        (b"cache-control", b"no-store"),
        (b"vary", b"Accept"),
    )
    return (*headers, (b"www-authenticate", _CHALLENGE)) if OUTCOMES[reason].status == 401 else headers


def _duties(reason: Reason, allow: Sequence[str], retry_after: int | None) -> Headers:
    """The headers that a status owes and that differ between requests."""
    headers: Headers = []
    if OUTCOMES[reason].status == 405:
        headers.append((b"allow", ", ".join(allow).encode("ascii", "ignore")))
    if retry_after is not None:
        headers.append((b"retry-after", str(retry_after).encode()))
    return headers


def _retry_after(reason: Reason, seconds: int | None) -> int | None:
    """Whole seconds, at least 1: a client that is told 0 comes back at once."""
    default = OUTCOMES[reason].retry_after
    return None if default is None else max(1, default if seconds is None else seconds)


@lru_cache(maxsize=8)
def _content_security(brand: Brand) -> bytes:
    """Nothing but this page's own style, known by its hash (CSP Level 3), and the logo inside it."""
    digest = base64.b64encode(hashlib.sha256(_style(brand).encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ).encode()


# --- bodies ---------------------------------------------------------------------------------------------------


def _html(brand: Brand, reason: Reason, request_id: str, repeatable: bool, at: datetime | None) -> bytes:
    parts = list(_parts(brand, reason, repeatable and reason in _RETRYABLE))
    for index in range(1, len(parts), 2):  # text and the names of slots alternate
        parts[index] = _slot(parts[index], request_id, at)
    return "".join(parts).encode("utf-8", "replace")


def _slot(name: str, request_id: str, at: datetime | None) -> str:
    if name == "id":
        return escape(request_id)
    if name == "subject":
        return quote(f"Reference {request_id}", safe="", errors="replace")
    return _time_row(at) if at is not None else ""


def _time_row(at: datetime) -> str:
    instant = at.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat()
    shown = instant.replace("T", " ")
    return f'\n<div><dt>Time</dt><dd><time datetime="{instant}Z">{shown} UTC</time></dd></div>'


@lru_cache(maxsize=256)
def _parts(brand: Brand, reason: Reason, retry: bool) -> tuple[str, ...]:
    """The page, cut where it differs between requests: text, slot, text, slot, …, text."""
    outcome = OUTCOMES[reason]
    logo = f'<img src="{escape(brand.logo_uri)}" alt="">' if brand.logo_uri else ""
    page = _PAGE.substitute(
        name=escape(brand.name),
        logo=logo,
        style=_style(brand),
        status=outcome.status,
        phrase=escape(_phrase(outcome.status)),
        title=escape(outcome.title),
        meaning=escape(outcome.meaning),
        advice=escape(outcome.advice),
        retry='\n<p class="retry"><a href="">Try again</a></p>' if retry else "",
        reason=escape(reason.value),
        support=_support(brand),
        request_id=_ID,
        time=_TIME,
    )
    return tuple(page.split(_SLOT))


@lru_cache(maxsize=8)
def _style(brand: Brand) -> str:
    return _STYLE.substitute(colour=brand.colour, colour_dark=brand.accent_dark)


def _support(brand: Brand) -> str:
    """Where help is: a link where that is possible. The name stands beside it, so the link says what it opens."""
    contact = brand.support
    if contact is None:
        return "Support: the team that gave you the address of this tool."
    shown = escape(contact)
    if contact.startswith("https://"):
        return f'Support: <a href="{shown}" rel="noreferrer">{shown}</a>'
    local, at, domain = contact.partition("@")
    if at and " " not in contact and local and "." in domain:
        return f'Support: <a href="mailto:{quote(contact, safe="@")}?subject={_SUBJECT}">{shown}</a>'
    return f"Support: {shown}"


def _problem(reason: Reason, request_id: str, retry_after: int | None) -> bytes:
    """RFC 9457. With the type `about:blank` the title is the status phrase (§4.2.1); `reason` is what to branch on."""
    outcome = OUTCOMES[reason]
    problem: dict[str, str | int] = {
        "type": "about:blank",
        "title": _phrase(outcome.status),
        "status": outcome.status,
        "detail": f"{outcome.meaning} {outcome.advice}",
        "reason": reason.value,
        "request_id": request_id,
    }
    if retry_after is not None:
        problem["retry_after"] = retry_after
    return json.dumps(problem).encode()


def _phrase(status: int) -> str:
    return _PHRASES.get(status) or HTTPStatus(status).phrase
