"""Request targets: what two readers could read differently is refused before anybody reads it."""

import pytest

from gateway.middleware.limits import body_problem, headers_problem, target_problem
from gateway.model import Limits, Reason

LIMITS = Limits()

# name, raw path, query, expected. Advisories: the differential between proxy and application view of one path.
TARGETS = [
    ("root", b"/", b"", None),
    ("a page", b"/ledger", b"year=2026", None),
    ("a space in a page's name", b"/Control%20chart", b"", None),
    ("non-ASCII, encoded", b"/caf%C3%A9", b"", None),
    ("a dot in a name", b"/static/js/index.DormvYxC.js", b"", None),
    ("a dot at the start of a name", b"/.gateway/healthz", b"", None),
    ("two dots inside a name", b"/a..b", b"", None),
    ("absolute form", b"http://evil.test/admin", b"", Reason.TARGET_MALFORMED),
    ("asterisk form", b"*", b"", Reason.TARGET_MALFORMED),
    ("no slash at the start", b"@evil.test", b"", Reason.TARGET_MALFORMED),
    ("two slashes at the start (CVE-2026-33682)", b"//evil.test/x", b"", Reason.TARGET_MALFORMED),
    ("two slashes inside", b"/a//b", b"", Reason.TARGET_MALFORMED),
    ("dot segment", b"/static/../admin", b"", Reason.TARGET_MALFORMED),
    ("dot segment at the end", b"/static/..", b"", Reason.TARGET_MALFORMED),
    ("dot segment, encoded (CVE-2025-32431)", b"/static/%2e%2E/admin", b"", Reason.TARGET_MALFORMED),
    ("dot segment, half encoded", b"/static/.%2e/admin", b"", Reason.TARGET_MALFORMED),
    ("single dot segment", b"/./admin", b"", Reason.TARGET_MALFORMED),
    ("encoded slash", b"/a%2Fb", b"", Reason.TARGET_MALFORMED),
    ("encoded backslash", b"/a%5cb", b"", Reason.TARGET_MALFORMED),
    ("backslash", b"/\\\\host\\share", b"", Reason.TARGET_MALFORMED),
    ("NUL", b"/a%00b", b"", Reason.TARGET_MALFORMED),
    ("CR LF", b"/a%0d%0aSet-Cookie:x", b"", Reason.TARGET_MALFORMED),
    ("fragment (CVE-2026-41059)", b"/secret#/healthz", b"", Reason.TARGET_MALFORMED),
    ("fragment, encoded", b"/secret%23/healthz", b"", Reason.TARGET_MALFORMED),
    ("twice encoded", b"/a%252fb", b"", Reason.TARGET_MALFORMED),
    ("a space", b"/a b", b"", Reason.TARGET_MALFORMED),
    ("a raw byte above ASCII", b"/caf\xe9", b"", Reason.TARGET_MALFORMED),
    ("encoded bytes that are not UTF-8", b"/%c0%ae%c0%ae", b"", Reason.TARGET_MALFORMED),
    ("a target of the limit", b"/" + b"a" * 8191, b"", None),
    ("a target over the limit", b"/" + b"a" * 8192, b"", Reason.TARGET_TOO_LONG),
    ("a query over the limit", b"/", b"a" * 8192, Reason.TARGET_TOO_LONG),
]


@pytest.mark.parametrize(("name", "raw", "query", "expected"), TARGETS, ids=[name for name, *_ in TARGETS])
def test_targets(name, raw, query, expected):
    """Only origin-form targets that every reader decodes alike are accepted."""
    from urllib.parse import unquote

    scope = {"raw_path": raw, "path": unquote(raw.decode("latin-1")), "query_string": query}
    assert target_problem(scope, LIMITS) is expected


HEADERS = [
    ("an ordinary head", [(b"host", b"x"), (b"accept", b"*/*")], None),
    ("as many as allowed", [(b"a", b"b")] * 100, None),
    ("one too many", [(b"a", b"b")] * 101, Reason.HEADERS_TOO_LARGE),
    ("too many bytes", [(b"a", b"b" * 33_000)], Reason.HEADERS_TOO_LARGE),
    (
        "a length and a coding (RFC 9112 §6.1)",
        [(b"content-length", b"5"), (b"transfer-encoding", b"chunked")],
        Reason.HEADERS_MALFORMED,
    ),
]


@pytest.mark.parametrize(("name", "headers", "expected"), HEADERS, ids=[name for name, *_ in HEADERS])
def test_headers(name, headers, expected):
    """A header section has a limit in fields and in bytes, and one way to say where the body ends."""
    assert headers_problem(headers, LIMITS) is expected


BODIES = [
    ("no length", [], None),
    ("within", [(b"content-length", b"1000")], None),
    ("beyond", [(b"content-length", b"1001")], Reason.BODY_TOO_LARGE),
    ("negative (CVE-2026-53540)", [(b"content-length", b"-1")], Reason.HEADERS_MALFORMED),
    ("not a number", [(b"content-length", b"1e3")], Reason.HEADERS_MALFORMED),
    ("twice", [(b"content-length", b"1"), (b"content-length", b"1")], Reason.HEADERS_MALFORMED),
    ("a digit that is not ASCII", [(b"content-length", b"\xd9\xa1")], Reason.HEADERS_MALFORMED),
    ("a number too long to convert", [(b"content-length", b"9" * 5000)], Reason.HEADERS_MALFORMED),
]


@pytest.mark.parametrize(("name", "headers", "expected"), BODIES, ids=[name for name, *_ in BODIES])
def test_announced_bodies(name, headers, expected):
    """The announced length is one number, and no bigger than the limit."""
    assert body_problem(headers, 1000) is expected
