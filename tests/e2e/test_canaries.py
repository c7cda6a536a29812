"""Secrets and identities in every place where a client can put them, and a record that has none of them."""

import base64
import json
import secrets
import socket

import pytest

from gateway.audit.mask_keys import lookup
from gateway.state.pseudonym_keys import PseudonymKeys
from tests.e2e.conftest import COLLEAGUE, PROXY, STAFF, gateway_served, wait_for

SESSION = "9d0c3e3e-1111-4222-8333-abcdefabcdef"  # Streamlit's sessions are UUIDs
FILE = "c0ffee00-1111-4222-8333-abcdefabcdef"
VISITOR = "203.0.113.77"  # as the trusted proxy names it


def canary():
    return "canary" + secrets.token_hex(12)


def basic(password):
    return base64.b64encode(f"robot:{password}".encode()).decode()


SOCKET = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
STREAM = "GET /_stcore/stream HTTP/1.1"
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
MULTIPART = 'multipart/form-data; boundary="b"'


def report(secret):
    page = f"http://127.0.0.1/?token={secret}"
    about = {"document-uri": page, "effective-directive": "img-src", "blocked-uri": page, "script-sample": secret}
    return json.dumps({"csp-report": about | {"referrer": page, "source-file": page}})


# name: request line, more header lines, body; each with one place for a secret
PLACES = {
    "authorization": lambda s: ("GET / HTTP/1.1", f"Authorization: Bearer {s}\r\n", ""),
    "basic authorization": lambda s: ("GET / HTTP/1.1", f"Authorization: Basic {basic(s)}\r\n", ""),
    "proxy authorization": lambda s: ("GET / HTTP/1.1", f"Proxy-Authorization: Basic {basic(s)}\r\n", ""),
    "api key": lambda s: ("GET / HTTP/1.1", f"X-Api-Key: {s}\r\n", ""),
    "cookie": lambda s: ("GET / HTTP/1.1", f"Cookie: sso={s}; gateway-without-tls={s}\r\n", ""),
    "query": lambda s: ("GET /?token=" + s + " HTTP/1.1", "", ""),
    "query of a path that is not there": lambda s: ("GET /nothing?token=" + s + " HTTP/1.1", "", ""),
    "encoded query": lambda s: ("GET /nothing%3Ftoken=" + s + " HTTP/1.1", "", ""),
    "referer": lambda s: ("GET / HTTP/1.1", f"Referer: https://user:{s}@portal.example/?token={s}\r\n", ""),
    "userinfo of the origin": lambda s: ("POST / HTTP/1.1", f"Origin: https://user:{s}@portal.example\r\n", "x"),
    "userinfo of the target": lambda s: (f"GET http://user:{s}@127.0.0.1/ HTTP/1.1", "", ""),
    "body": lambda s: ("POST /api/x HTTP/1.1", f"Content-Type: {JSON}\r\n", json.dumps({"password": s})),
    "form": lambda s: ("POST / HTTP/1.1", f"Content-Type: {FORM}\r\n", f"password={s}"),
    "protocol of a socket": lambda s: (STREAM, f"{SOCKET}Sec-WebSocket-Protocol: streamlit, {s}, {s}\r\n", ""),
    "origin of a socket": lambda s: (STREAM, f"{SOCKET}Origin: https://user:{s}@127.0.0.1\r\n", ""),
    "query of a socket": lambda s: (f"GET /_stcore/stream?token={s} HTTP/1.1", SOCKET, ""),
    "content of an upload": lambda s: (
        f"PUT /_stcore/upload_file/{SESSION}/{FILE} HTTP/1.1",
        f"Content-Type: {MULTIPART}\r\n",
        f'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n{s}\r\n--b--\r\n',
    ),
    "content of a report": lambda s: (
        "POST /.gateway/csp-report HTTP/1.1", "Content-Type: application/csp-report\r\n", report(s)
    ),
    "claimed identity": lambda s: ("GET / HTTP/1.1", f"X-Forwarded-User: {s}\r\n", ""),
    "media": lambda s: (f"GET /media/{s}.csv HTTP/1.1", "", ""),
}  # fmt: skip


def ask(port, line, more, body, source):
    with socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(source, 0)) as connection:
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        close = "" if "Upgrade" in more else "Connection: close\r\n"
        connection.sendall(f"{line}\r\nHost: 127.0.0.1:{port}\r\n{more}{close}{length}\r\n{body}".encode())
        return connection.recv(65536)


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    """A gateway that masks users, clients and sessions."""
    env = {"GATEWAY_AUDIT__PSEUDONYMS": "user, client,session"}
    with gateway_served(tmp_path_factory.mktemp("masked"), env=env) as gateway:
        yield gateway


def files(gateway):
    return b"\n".join(path.read_bytes() for path in gateway.state.glob("audit/**/*") if path.is_file())


def test_no_secret_that_a_client_plants_reaches_the_record(masked):
    """Wherever a secret stands in a request, no file of the record has it, in clear or encoded; nor the process log."""
    port = int(masked.url.rpartition(":")[2])
    planted = {name: canary() for name in PLACES}
    before = len(masked.records())
    for name, secret in planted.items():
        assert ask(port, *PLACES[name](secret), STAFF).startswith(b"HTTP/1.1 "), name

    def ended():
        found = masked.records()[before:]
        return [each for each in found if each["unmapped"]["gateway"]["phase"] == "outcome"]

    wait_for(ended, lambda found: len(found) >= len(PLACES) - 1)  # the report's page may have been counted only
    written = files(masked) + masked.process.output().encode()
    for name, secret in planted.items():
        for form in (secret, basic(secret), secret.upper()):
            assert form.encode() not in written, name
    for uuid in (SESSION, FILE):
        assert uuid.encode() not in written


def test_no_identity_that_is_masked_reaches_the_record(masked):
    """With `client` among the pseudonyms no address of a visitor stands in the record; who knows it finds them all."""
    session = []
    with masked.http(COLLEAGUE) as client:
        client.get("/")
        client.get(
            f"/nothing/{COLLEAGUE}", headers={"User-Agent": f"from {COLLEAGUE}", "Origin": f"http://{COLLEAGUE}"}
        )
        session.append(client.get("/.gateway/whoami").json()["session"])
        last = client.get("/nothing").headers["x-request-id"]
    behind = masked.get("/", PROXY, headers={"X-Forwarded-For": f"{VISITOR}, {PROXY}"})
    masked.exchange(last)
    decision, _ = masked.exchange(behind.headers["x-request-id"])
    written = files(masked)
    for clear in (COLLEAGUE, VISITOR, *session):
        assert clear.encode() not in written
    assert [decision["src_endpoint"]["uid"]] == lookup(masked.state, "client", VISITOR)
    assert PROXY.encode() in written  # a trusted proxy is nobody's identity
    [pseudonym] = lookup(masked.state, "session", session[0])
    [address] = lookup(masked.state, "client", COLLEAGUE)
    sessions = [each["src_endpoint"]["uid"] for each in masked.records() if _session(each) == pseudonym]
    assert sessions and set(sessions) == {address}


def test_a_running_gateway_forgets(masked):
    """A second after a key is erased, events carry another key's pseudonyms, and what it had masked is not found."""
    keys = PseudonymKeys.below(masked.state)
    kid = keys.live()[-1].kid
    before = lookup(masked.state, "client", COLLEAGUE)
    masked.get("/nothing", COLLEAGUE)
    keys.erase(kid, 0)

    def masks():
        decision, _ = masked.exchange(masked.get("/nothing", COLLEAGUE).headers["x-request-id"])
        return decision["src_endpoint"]["uid"]

    wait_for(masks, lambda shown: shown not in before, seconds=5)
    assert lookup(masked.state, "client", COLLEAGUE) == [masks()]


def _session(event):
    return event.get("actor", {}).get("session", {}).get("uid")
