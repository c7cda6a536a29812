"""Every response, whoever gives it: all security headers, one request id, one decision, one closing record."""

import socket

import pytest

from tests.e2e.conftest import COLLEAGUE, OUTSIDER

# OWASP ASVS 5.0 V3.4 and the hardening list of docs/operator.md: what a response over plain http must carry.
REQUIRED = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "origin-agent-cluster": "?1",
    "x-permitted-cross-domain-policies": "none",
    "x-dns-prefetch-control": "off",
}

# name, method, path, headers, source, status
RESPONSES = [
    ("a page", "GET", "/", {}, COLLEAGUE, 200),
    ("the head of a page", "HEAD", "/", {}, COLLEAGUE, 200),
    ("a page that is not there", "GET", "/home/", {}, COLLEAGUE, 404),
    ("Streamlit's health", "GET", "/_stcore/health", {}, COLLEAGUE, 200),
    ("Streamlit's host configuration", "GET", "/_stcore/host-config", {}, COLLEAGUE, 200),
    ("a static file", "GET", "/favicon.png", {}, COLLEAGUE, 200),
    ("a part of a static file", "GET", "/favicon.png", {"Range": "bytes=0-9"}, COLLEAGUE, 206),
    ("a media file that is not there", "GET", "/media/0123abcd.png", {}, COLLEAGUE, 404),
    ("a component that is not there", "GET", "/component/x.y/index.html", {}, COLLEAGUE, 404),
    ("our own health", "GET", "/.gateway/healthz", {}, COLLEAGUE, 200),
    ("our own identity page", "GET", "/.gateway/whoami", {}, COLLEAGUE, 200),
    ("an unknown path of ours", "GET", "/.gateway/other", {}, COLLEAGUE, 404),
    ("an unknown path", "GET", "/wp-login.php", {}, COLLEAGUE, 404),
    ("an unknown path below Streamlit's", "GET", "/_stcore/other", {}, COLLEAGUE, 404),
    ("Streamlit's socket without a handshake", "GET", "/_stcore/stream", {}, COLLEAGUE, 404),
    ("metrics", "GET", "/_stcore/metrics", {}, COLLEAGUE, 404),
    ("the agent interface", "GET", "/_stcore/agent/openapi.json", {}, COLLEAGUE, 404),
    ("a malformed target", "GET", "/a%2fb", {}, COLLEAGUE, 400),
    ("a method that the target does not know", "POST", "/", {}, COLLEAGUE, 405),
    ("a method that nobody knows", "PROPFIND", "/", {}, COLLEAGUE, 405),
    ("a body that is too large", "POST", "/_stcore/health", {"body": "70000"}, COLLEAGUE, 413),
    ("a host that is not ours", "GET", "/", {"Host": "evil.test"}, COLLEAGUE, 421),
    ("a denied page", "GET", "/ledger", {}, COLLEAGUE, 403),
    ("an address outside", "GET", "/", {}, OUTSIDER, 403),
    ("an address outside asking for what is not there", "GET", "/wp-login.php", {}, OUTSIDER, 403),
    ("a target that is too long", "GET", "/" + "a" * 9000, {}, COLLEAGUE, 414),
    ("too many headers", "GET", "/", {f"x-{n}": "1" for n in range(120)}, COLLEAGUE, 431),
    ("a handshake without an origin", "GET", "/_stcore/stream", {"ws": "1"}, COLLEAGUE, 403),
]


def is_part(path):
    """Whether a file of Streamlit's front end is there, which no browser opens as a document."""
    return path in ("/_stcore/health", "/_stcore/host-config", "/favicon.png")


def handshake(headers):
    if "ws" not in headers:
        return headers
    key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"}
    return {"Connection": "Upgrade", "Upgrade": "websocket", **key, **{k: v for k, v in headers.items() if k != "ws"}}


@pytest.mark.parametrize(
    ("name", "method", "path", "headers", "source", "status"), RESPONSES, ids=[row[0] for row in RESPONSES]
)
def test_every_response(served, name, method, path, headers, source, status):
    """All security headers are present, the request id is there once, and exactly one closing record is left."""
    with served.http(source) as client:
        content = b"a" * int(headers.get("body", 0)) or None
        response = client.request(method, path, headers=handshake(headers), content=content)
    assert response.status_code == status
    assert {key: response.headers.get(key) for key in REQUIRED} == REQUIRED
    # It says what a document may do (W3C Permissions Policy), so parts of one go without.
    permissions = response.headers.get("permissions-policy", "")
    assert permissions.count("geolocation=()") == (0 if is_part(path) and status < 400 else 1)
    assert response.headers.get_list("content-security-policy") != []
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "server" not in response.headers
    assert "access-control-allow-origin" not in response.headers
    assert "strict-transport-security" not in response.headers  # only over https (RFC 6797 §7.2)

    [request_id] = response.headers.get_list("x-request-id")
    decision, outcome = served.exchange(request_id)
    assert decision["unmapped"]["gateway"]["policy_digest"].startswith("sha256:")
    recorded = (
        outcome["http_response"]["code"] if "http_response" in outcome else outcome["unmapped"]["gateway"]["status"]
    )
    assert recorded == status
    assert outcome["src_endpoint"]["ip"] == source


def test_a_304_carries_the_headers(served):
    """A conditional request for a static file is answered 304 with everything that a 200 has."""
    first = served.get("/favicon.png")
    again = served.get("/favicon.png", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert {key: again.headers.get(key) for key in REQUIRED} == REQUIRED


def test_a_document_is_never_answered_304(served):
    """Each copy of the document has its own nonce, so a stored one would be blank under the new header."""
    responses = [
        served.get("/", headers={"If-None-Match": '"x"', "If-Modified-Since": "Sun, 22 Nov 2037 00:00:00 GMT"})
        for _ in range(2)
    ]
    policies = {response.headers["content-security-policy"] for response in responses}
    assert [response.status_code for response in responses] == [200, 200]
    assert len(policies) == 2
    assert all(response.headers["cache-control"] == "no-store" for response in responses)


def test_bytes_that_are_no_request(served):
    """What never becomes a request is answered with our page and headers too, and recorded once."""
    with socket.create_connection(
        ("127.0.0.1", int(served.url.rpartition(":")[2])), source_address=(COLLEAGUE, 0)
    ) as raw:
        raw.settimeout(10)
        raw.sendall(b"\x16\x03\x01\x00\xa5 this is not HTTP\r\n\r\n")
        answer = b""
        while chunk := raw.recv(65536):
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:])
    assert head.startswith(b"HTTP/1.1 400")
    assert {key: lines.get(key.encode(), b"").decode() for key in REQUIRED} == {
        k: v.lower() for k, v in REQUIRED.items()
    }
    assert b"request-malformed" in body
    _, outcome = served.exchange(lines[b"x-request-id"].decode())
    assert outcome["http_response"]["code"] == 400


def test_host_config_names_no_foreign_origins(served):
    """Streamlit's cloud may not frame an internal tool."""
    assert served.get("/_stcore/host-config").json()["allowedOrigins"] == ["https://portal.example"]


def test_an_error_page_is_html_for_people_and_json_for_programs(served):
    """The same refusal, by content negotiation, with the reference in both."""
    page = served.get("/nothing", headers={"Accept": "text/html,application/xhtml+xml;q=0.9"})
    problem = served.get("/nothing", headers={"Accept": "application/json"})
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["x-request-id"] in page.text
    assert "not-found" in page.text
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json()["request_id"] == problem.headers["x-request-id"]
