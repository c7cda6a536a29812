"""Whether a request comes from its own origin (RFC 6454 §4 to §7)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.origin import origin_allowed
from gateway.model import Reason

OWN = {"scheme": "https", "host": "app.example.com", "port": None, "extra": ()}
PORTAL = {**OWN, "extra": ("https://portal.example:8443", "nonsense", "https://*.wild.example")}
NOT_ALLOWED = Reason.ORIGIN_NOT_ALLOWED

ORIGINS = [
    ("its own", "https://app.example.com", OWN, None),
    ("the default port said", "https://app.example.com:443", OWN, None),
    ("the default port said by Host", "https://app.example.com", {**OWN, "port": 443}, None),
    ("http, its own", "http://app.example.com", {**OWN, "scheme": "http"}, None),
    ("http, port 80 said", "http://app.example.com:80", {**OWN, "scheme": "http"}, None),
    ("another port, its own", "https://app.example.com:8443", {**OWN, "port": 8443}, None),
    ("upper case", "HTTPS://APP.example.com", OWN, None),
    ("a trailing dot", "https://app.example.com.", OWN, None),
    ("IPv6", "http://[::1]:8501", {**OWN, "scheme": "http", "host": "::1", "port": 8501}, None),
    ("IPv6 in another spelling", "http://[0:0::1]:8501", {**OWN, "scheme": "http", "host": "::1", "port": 8501}, None),
    ("an extra origin", "https://portal.example:8443", PORTAL, None),
    ("its own besides extra ones", "https://app.example.com", PORTAL, None),
    ("missing", None, OWN, Reason.ORIGIN_MISSING),
    ("missing, with extra ones", None, PORTAL, Reason.ORIGIN_MISSING),
    ("empty", "", OWN, NOT_ALLOWED),
    ("null", "null", OWN, NOT_ALLOWED),
    ("null, and null is an extra entry", "null", {**OWN, "extra": ("null",)}, NOT_ALLOWED),
    ("another scheme", "http://app.example.com", OWN, NOT_ALLOWED),
    ("another port", "https://app.example.com:8443", OWN, NOT_ALLOWED),
    ("the other scheme's default port", "https://app.example.com:80", OWN, NOT_ALLOWED),
    ("no port where one is due", "https://app.example.com", {**OWN, "port": 8443}, NOT_ALLOWED),
    ("a longer name: GHSA-793v-589g-574v", "https://app.example.com.evil", OWN, NOT_ALLOWED),
    ("a longer name before", "https://evilapp.example.com", OWN, NOT_ALLOWED),
    ("a name below", "https://x.app.example.com", OWN, NOT_ALLOWED),
    ("the name above", "https://example.com", OWN, NOT_ALLOWED),
    ("user information", "https://app.example.com@evil.example", OWN, NOT_ALLOWED),
    ("user information before its own", "https://evil@app.example.com", OWN, NOT_ALLOWED),
    ("a slash", "https://app.example.com/", OWN, NOT_ALLOWED),
    ("a path", "https://app.example.com/x", OWN, NOT_ALLOWED),
    ("a backslash", "https://app.example.com\\@evil.example", OWN, NOT_ALLOWED),
    ("a query", "https://app.example.com?x", OWN, NOT_ALLOWED),
    ("a fragment", "https://app.example.com#x", OWN, NOT_ALLOWED),
    ("two origins", "https://app.example.com https://evil.example", OWN, NOT_ALLOWED),
    ("two origins with comma", "https://app.example.com, https://evil.example", OWN, NOT_ALLOWED),
    ("a blank", " https://app.example.com", OWN, NOT_ALLOWED),
    ("a line break", "https://app.example.com\n", OWN, NOT_ALLOWED),
    ("not ASCII", "https://app.example.cöm", OWN, NOT_ALLOWED),
    ("a homograph", "https://\u0430pp.example.com", OWN, NOT_ALLOWED),
    ("a full-width dot", "https://app\uff0eexample.com", OWN, NOT_ALLOWED),
    ("percent-encoding", "https://app%2eexample.com", OWN, NOT_ALLOWED),
    ("no scheme", "app.example.com", OWN, NOT_ALLOWED),
    ("no scheme, two slashes", "//app.example.com", OWN, NOT_ALLOWED),
    ("an empty scheme", "://app.example.com", OWN, NOT_ALLOWED),
    ("a WebSocket scheme", "wss://app.example.com", OWN, NOT_ALLOWED),
    ("a browser extension", "chrome-extension://app.example.com", OWN, NOT_ALLOWED),
    ("a file", "file://", OWN, NOT_ALLOWED),
    ("one slash", "https:/app.example.com", OWN, NOT_ALLOWED),
    ("three slashes", "https:///app.example.com", OWN, NOT_ALLOWED),
    ("loopback is not special: Streamlit 1.67 lets it in", "http://localhost:3000", OWN, NOT_ALLOWED),
    ("an extra entry that is a pattern", "https://a.wild.example", PORTAL, NOT_ALLOWED),
    ("an extra entry that is nonsense", "nonsense", PORTAL, NOT_ALLOWED),
    ("an extra origin, another port", "https://portal.example", PORTAL, NOT_ALLOWED),
    ("no host to compare with", "https://app.example.com", {**OWN, "host": None}, NOT_ALLOWED),
    ("no host, an extra origin", "https://portal.example:8443", {**PORTAL, "host": None}, None),
]


@pytest.mark.parametrize(("name", "origin", "request_", "expected"), ORIGINS, ids=[row[0] for row in ORIGINS])
def test_origin(name, origin, request_, expected):
    """An origin is allowed when scheme, host and port are all the request's own, or those of an extra origin."""
    assert origin_allowed(origin, **request_) is expected


@given(st.text(max_size=80))
def test_appended_text_never_helps(text):
    """Nothing appended to a good origin makes another good one, save its own port and root dot."""
    if text not in ("", ".", ":", ":443", ".:443", ".:"):
        assert origin_allowed(f"https://app.example.com{text}", **OWN) is NOT_ALLOWED
