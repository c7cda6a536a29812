"""Each refusal: its status, its reason, and what the record says of it."""

import socket

import pytest

from tests.e2e.conftest import OUTSIDER, PROXY, STAFF
from tests.support.streamlit_client import StreamlitClient

HTTP = [
    # name, source, headers, path, status, reason
    ("a host that is not ours", STAFF, {"Host": "evil.test"}, "/", 421, "host-not-allowed"),
    ("a host with user information", STAFF, {"Host": "x@localhost"}, "/", 400, "host-malformed"),
    ("a host with a path (CVE-2026-48710)", STAFF, {"Host": "localhost/public?"}, "/", 400, "host-malformed"),
    ("an address outside", OUTSIDER, {}, "/", 403, "no-rule-matched"),
    (
        "an address outside that claims to be inside",
        OUTSIDER,
        {"X-Forwarded-For": "127.0.0.1"},
        "/",
        403,
        "no-rule-matched",
    ),
    ("the health probe's name (CVE-2026-34457)", OUTSIDER, {"User-Agent": "GoogleHC/1.0"}, "/", 403, "no-rule-matched"),
    ("a health path in the query (CVE-2025-54576)", OUTSIDER, {}, "/?x=/.gateway/healthz", 403, "no-rule-matched"),
    ("a proxy that names an outsider", PROXY, {"X-Forwarded-For": "192.0.2.7"}, "/", 403, "no-rule-matched"),
    (
        "a proxy that passes on a claim",
        PROXY,
        {"X-Forwarded-For": "203.0.113.5, 192.0.2.7"},
        "/",
        403,
        "no-rule-matched",
    ),
    ("a proxy that names nobody", PROXY, {"X-Forwarded-For": "unknown"}, "/", 403, "client-address-malformed"),
    ("a proxy that names itself", PROXY, {"X-Forwarded-For": "127.0.0.10"}, "/", 403, "client-address-all-trusted"),
    ("a proxy for itself", PROXY, {}, "/", 403, "no-rule-matched"),
    (
        "an original URL (CVE-2026-40575)",
        OUTSIDER,
        {"X-Original-URL": "/.gateway/healthz"},
        "/",
        403,
        "no-rule-matched",
    ),
    (
        "an identity by underscore (CVE-2025-64484)",
        STAFF,
        {"X_Forwarded_User": "admin"},
        "/",
        400,
        "identity-header-smuggled",
    ),
    ("an identity half by underscore", STAFF, {"X-Forwarded_User": "admin"}, "/", 400, "identity-header-smuggled"),
    ("a denied page", STAFF, {}, "/ledger", 403, "denied-by-rule"),
    ("a denied page with a slash", STAFF, {}, "/ledger/", 403, "denied-by-rule"),
    ("an encoded slash", STAFF, {}, "/x%2fledger", 400, "target-malformed"),
    ("an encoded NUL", STAFF, {}, "/ledger%00", 400, "target-malformed"),
    ("a UNC path (CVE-2026-33682)", STAFF, {}, "/%5c%5chost%5cshare", 400, "target-malformed"),
    ("two slashes", STAFF, {}, "/static//x", 400, "target-malformed"),
    ("a static file that is not there", STAFF, {}, "/static/js/none.js", 404, "not-found"),
    ("an unknown path", STAFF, {}, "/admin", 404, "not-found"),
    ("a header of 40 KB", STAFF, {"X-Long": "a" * 40_000}, "/", 431, "headers-too-large"),
]


@pytest.mark.parametrize(("name", "source", "headers", "path", "status", "reason"), HTTP, ids=[row[0] for row in HTTP])
def test_http_refusals(served, name, source, headers, path, status, reason):
    """A refusal has its status and reason in the answer and in the record, and the peer's address in the record."""
    with served.http(source) as client:
        request = client.build_request("GET", "/", headers={"Accept": "application/json", **headers})
        request.url = request.url.copy_with(raw_path=path.encode())
        response = client.send(request)
    assert (response.status_code, response.json()["reason"]) == (status, reason)
    decision, outcome = served.exchange(response.headers["x-request-id"])
    assert decision["action_id"] == outcome["action_id"] == 2  # OCSF: Denied
    assert outcome["unmapped"]["gateway"]["reason"] == reason
    assert decision["unmapped"]["gateway"]["inputs"]["peer"] == source


def test_a_trusted_proxy_names_the_client(served):
    """The address that counts is the one that the trusted proxy saw; the record names both."""
    response = served.get("/.gateway/whoami", PROXY, headers={"X-Forwarded-For": "192.0.2.1, 203.0.113.5"})
    assert response.json()["client"] == {"address": "203.0.113.5", "provenance": "forwarded"}
    decision, _ = served.exchange(response.headers["x-request-id"])
    assert decision["src_endpoint"]["ip"] == "203.0.113.5"
    assert decision["unmapped"]["gateway"]["inputs"]["peer"] == PROXY


def test_a_request_id_is_taken_only_from_a_trusted_proxy(served):
    """From anybody else a new one is made, so nobody can write into somebody else's exchange."""
    theirs = {"X-Request-Id": "chosen-by-the-client-1", "X-Forwarded-For": "203.0.113.5"}
    assert served.get("/.gateway/whoami", PROXY, headers=theirs).headers["x-request-id"] == "chosen-by-the-client-1"
    assert served.get("/.gateway/whoami", STAFF, headers=theirs).headers["x-request-id"] != "chosen-by-the-client-1"


def test_the_plain_spelling_of_an_identity_is_removed(served):
    """An honest proxy sends X-Forwarded-User; it is taken out, noted in the record, and grants nothing."""
    response = served.get("/.gateway/whoami", headers={"X-Forwarded-User": "admin", "Remote-User": "admin"})
    assert response.json()["principal"]["id"] == "anonymous"
    decision, _ = served.exchange(response.headers["x-request-id"])
    assert "identity-header-removed" in decision["unmapped"]["gateway"]["inputs"]["client"]["flags"]


def test_two_identities_are_refused(served):
    """Two lines of one identity header: one reader takes the first, another the last."""
    with served.http() as client:
        response = client.get("/", headers=[("X-Forwarded-User", "me"), ("X-Forwarded-User", "admin")])
    assert response.status_code == 400


def test_a_body_that_announces_nothing_is_still_counted(served):
    """A chunked body over the limit is cut off and answered with 413."""

    def chunks():
        for _ in range(40):
            yield b"a" * 8192

    with served.http() as client:
        token = {"X-Xsrftoken": "x", "Cookie": "_streamlit_xsrf=x"}
        response = client.put("/_stcore/upload_file/session/file", content=chunks(), headers=token)
    assert response.status_code in (400, 403, 413)  # Streamlit may refuse the session before it has read that much
    assert served.exchange(response.headers["x-request-id"])


UPGRADE = (
    b"GET /_stcore/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nOrigin: http://localhost\r\n\r\n"
)

SOCKETS = [
    ("no origin", STAFF, {"origin": None}, 403, "origin-missing"),
    ("a foreign origin", STAFF, {"origin": "https://evil.test"}, 403, "origin-not-allowed"),
    ("a null origin", STAFF, {"origin": "null"}, 403, "origin-not-allowed"),
    ("a development page's origin", STAFF, {"origin": "http://localhost:3000"}, 403, "origin-not-allowed"),
    ("an origin that begins like ours", STAFF, {"origin": "http://127.0.0.1.evil.test"}, 403, "origin-not-allowed"),
    ("our host over https", STAFF, {"origin": "https://127.0.0.1"}, 403, "origin-not-allowed"),
    ("an address outside", OUTSIDER, {}, 403, "no-rule-matched"),
    ("a host that is not ours", STAFF, {"host": "evil.test"}, 421, "host-not-allowed"),
    ("an identity by underscore", STAFF, {"headers": {"X_Forwarded_User": "admin"}}, 400, "identity-header-smuggled"),
]


@pytest.mark.parametrize(("name", "source", "options", "status", "reason"), SOCKETS, ids=[row[0] for row in SOCKETS])
def test_socket_refusals(served, name, source, options, status, reason):
    """A refused handshake is a real HTTP response with page, headers, reason and record."""
    from websockets.exceptions import InvalidStatus

    with pytest.raises(InvalidStatus) as refused:
        StreamlitClient(served.visitor(source, **options))
    response = refused.value.response
    assert response.status_code == status
    assert reason in response.body.decode()
    assert response.headers["x-content-type-options"] == "nosniff"
    decision, outcome = served.exchange(response.headers["x-request-id"])
    assert outcome["unmapped"]["gateway"]["reason"] == reason
    assert decision["action_id"] == 2


@pytest.mark.parametrize("path", ["", "/home", "/favicon.png", "/.gateway/whoami", "/_stcore/health", "/nothing"])
def test_a_socket_is_opened_only_where_one_is_served(served, path):
    """A handshake with a page, a file or an endpoint is a 404, with page, headers and record."""
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    address = served.url.replace("http:", "ws:") + path
    with pytest.raises(InvalidStatus) as refused:
        connect(address, origin=served.url, proxy=None)
    response = refused.value.response
    assert (response.status_code, response.headers["x-frame-options"]) == (404, "DENY")
    assert served.exchange(response.headers["x-request-id"])


def test_an_origin_that_the_policy_names_is_let_in(served):
    """`hosts.origins` adds to the host's own; Streamlit sees its own origin and looks nothing up on the network."""
    with StreamlitClient(served.visitor(origin="https://portal.example")) as client:
        assert client.rerun().text


@pytest.mark.parametrize(
    ("name", "bytes_sent", "status"),
    [
        ("no host in HTTP/1.1", b"GET / HTTP/1.1\r\n\r\n", 400),
        ("no host in HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n", 400),
        ("two hosts", b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
        ("absolute form", b"GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (
            "a length and a coding",
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        ("TRACE", b"TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        ("CONNECT", b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        (
            "an upgrade in HTTP/1.0",
            UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0"),
            400,
        ),
        (
            "an upgrade without a key",
            UPGRADE.replace(b"Sec-WebSocket-Key", b"X-Key"),
            400,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_raw_refusals(served, name, bytes_sent, status):
    """What a client library would not send: refused, with our headers, and the connection is closed."""
    with socket.create_connection(("127.0.0.1", int(served.url.rpartition(":")[2]))) as raw:
        raw.settimeout(10)
        raw.sendall(bytes_sent)
        answer = b""
        while chunk := raw.recv(65536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 %d" % status), answer[:200]
    assert b"x-content-type-options: nosniff" in answer.lower()
    assert b"x-request-id: " in answer.lower()
