"""TLS, ended by the gateway or by a trusted proxy: headers, cookies, sockets, redirects, and who may speak at all.

Expected values: RFC 6797 (HSTS), RFC 6265bis §4.1.3.2 (`__Host-`), RFC 9110 §15.4.9 (308), OWASP ASVS 5.0 V3.3, V3.4.
"""

import socket
import ssl
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest
from cryptography.x509.oid import NameOID
from websockets.exceptions import InvalidStatus

from gateway.audit.mask_keys import lookup
from tests.e2e.conftest import COLLEAGUE, POLICY, PROXY, STAFF, Served, gateway_served, write_policies
from tests.e2e.test_start import start
from tests.server.conftest import Reply, replies
from tests.support.certificates import Authority
from tests.support.processes import free_port
from tests.support.streamlit_client import StreamlitClient, visit

REQUIRED = POLICY.replace(
    'https = "optional"', 'https = "required"\nhsts = { max_age = "730d", include_subdomains = true, preload = false }'
)
TWO_YEARS = "max-age=63072000; includeSubDomains"  # 730 days of 86 400 seconds
SERVER = (NameOID.COMMON_NAME, "tools.example")
FORWARDED_FOR = {"X-Forwarded-For": "203.0.113.5"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    """The authority that the clients of this file trust, and no other."""
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def tls(authority) -> dict[str, str]:
    """The settings of a gateway that ends TLS itself."""
    certificate, key = authority.issue(SERVER)
    return {"GATEWAY_SERVER__TLS_CERTIFICATE": str(certificate), "GATEWAY_SERVER__TLS_KEY": str(key)}


@pytest.fixture(scope="module")
def secure(tmp_path_factory, tls) -> Iterator[Served]:
    """A gateway that ends TLS itself, under a policy that requires https."""
    directory = tmp_path_factory.mktemp("secure")
    with gateway_served(directory, policy=REQUIRED, env=tls, scheme="https") as gateway:
        yield gateway


@pytest.fixture(scope="module")
def behind(tmp_path_factory) -> Iterator[Served]:
    """A gateway in plain http behind a proxy that ends TLS, under the same policy."""
    with gateway_served(tmp_path_factory.mktemp("behind"), policy=REQUIRED) as gateway:
        yield gateway


def client(gateway: Served, context: ssl.SSLContext | bool = True, source: str = STAFF) -> httpx.Client:
    """A client that checks the gateway's certificate, and follows no redirect."""
    transport = httpx.HTTPTransport(local_address=source, verify=context)
    return httpx.Client(base_url=gateway.url, transport=transport, trust_env=False, timeout=20)


def cookies(response: httpx.Response) -> dict[str, dict[str, str]]:
    """The attributes of the cookies that an answer sets, by name, as the standard library reads them."""
    found: dict[str, dict[str, str]] = {}
    for line in response.headers.get_list("set-cookie"):
        for name, morsel in SimpleCookie(line).items():
            found[name] = {key: value for key, value in morsel.items() if value != ""}
    return found


# --- TLS of our own ---------------------------------------------------------------------------------------------


def test_the_page_over_https(secure, authority):
    """HSTS as the policy says, and a session cookie for this host, over https, out of the reach of scripts."""
    with client(secure, authority.client_context()) as visitor:
        response = visitor.get("/")
    assert response.status_code == 200
    assert response.headers.get_list("strict-transport-security") == [TWO_YEARS]
    ours = cookies(response)["__Host-gateway"]
    assert int(ours.pop("max-age")) <= 12 * 3600  # the policy's lifetime of a session
    assert ours == {"path": "/", "secure": True, "httponly": True, "samesite": "Lax"}  # and no Domain
    assert "gateway-without-tls" not in response.text + str(response.headers)


# name, method, path, headers, status
ANSWERS = [
    ("a page", "GET", "/", {}, 200),
    ("Streamlit's health, which sets its cookie", "GET", "/_stcore/health", {}, 200),
    ("Streamlit's host configuration", "GET", "/_stcore/host-config", {}, 200),
    ("a static file", "GET", "/favicon.png", {}, 200),
    ("our own", "GET", "/.gateway/whoami", {}, 200),
    ("an unknown path", "GET", "/nothing", {}, 404),
    ("a denied page", "GET", "/ledger", {}, 403),
    ("a malformed target", "GET", "/a%2fb", {}, 400),
    ("a method that is not known there", "POST", "/", {}, 405),
    ("a host that is not ours", "GET", "/", {"Host": "evil.test"}, 421),
    ("an upload without its token", "PUT", "/_stcore/upload_file/session/file", {}, 403),
]


@pytest.mark.parametrize(("name", "method", "path", "headers", "status"), ANSWERS, ids=[row[0] for row in ANSWERS])
def test_every_answer_over_https(secure, authority, name, method, path, headers, status):
    """HSTS is on every answer, once, and every cookie that any of them sets is Secure."""
    with client(secure, authority.client_context()) as visitor:
        response = visitor.request(method, path, headers=headers)
    assert response.status_code == status
    assert response.headers.get_list("strict-transport-security") == [TWO_YEARS]
    set_by = cookies(response)
    assert all(attributes.get("secure") for attributes in set_by.values()), response.headers
    if "sets its cookie" in name:
        assert "_streamlit_xsrf" in set_by
    if status >= 400:
        assert "__Host-gateway" not in set_by


def test_bytes_that_are_no_request_over_https(secure, authority):
    """What never becomes a request is answered with HSTS as well."""
    raw = socket.create_connection(("127.0.0.1", int(secure.url.rpartition(":")[2])), timeout=10)
    with authority.client_context().wrap_socket(raw, server_hostname="localhost") as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        [reply] = replies(sock)
    assert reply.status == 400
    assert reply.header(b"strict-transport-security") == TWO_YEARS.encode()


def test_a_socket_belongs_to_the_session_of_its_page(secure, authority):
    """The WebSocket works over TLS with the page's cookie, and the record has both under one session."""
    visitor = visit(secure.url, tls=authority.client_context(), source_address=COLLEAGUE)
    assert "__Host-gateway" in visitor.cookies
    since = len(secure.records())
    with StreamlitClient(visitor) as stream:
        assert stream.rerun().texts[0] == "Home"
        assert stream.socket.response.headers["strict-transport-security"] == TWO_YEARS
        for line in stream.socket.response.headers.get_all("set-cookie"):
            assert "secure" in line.lower()
        request_id = stream.socket.response.headers["x-request-id"]
    with visitor.http() as again:
        session = again.get("/.gateway/whoami").json()["session"]
    decision, outcome = secure.exchange(request_id)
    assert session is not None
    # The record shows sessions as pseudonyms; who knows one finds it.
    [pseudonym] = lookup(secure.state, "session", session)
    assert decision["actor"]["session"]["uid"] == outcome["actor"]["session"]["uid"] == pseudonym
    assert decision["url"]["scheme"] == "wss"
    [cookie] = [value for name, value in visitor.cookies.items() if name == "__Host-gateway"]
    assert cookie not in str(secure.records()[since:])


def test_the_cookie_of_plain_http_is_no_session_over_https(secure, authority):
    """Whoever can write cookies over plain http (a neighbour's host, a network) cannot plant a session in https."""
    context = authority.client_context()
    with client(secure, context) as visitor:
        value = visitor.get("/").cookies["__Host-gateway"]
    with client(secure, context) as other:
        planted = other.get("/.gateway/whoami", headers={"Cookie": f"gateway-without-tls={value}"})
        own = other.get("/.gateway/whoami", headers={"Cookie": f"__Host-gateway={value}"})
    assert planted.json()["session"] is None
    assert own.json()["session"] is not None


def test_a_client_without_the_authority_refuses_us(secure):
    """The chain is really checked by the clients of these tests."""
    with client(secure) as stranger, pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        stranger.get("/")


def test_a_proxy_that_says_http_is_believed(secure, authority):
    """The connection from the proxy to us is https, the visitor's was not: what counts is the visitor's."""
    with client(secure, authority.client_context(), PROXY) as proxy:
        response = proxy.get("/", headers={**FORWARDED_FOR, "Host": "tools.example", "X-Forwarded-Proto": "http"})
    assert (response.status_code, response.headers["location"]) == (308, "https://tools.example/")
    assert "strict-transport-security" not in response.headers  # RFC 6797 §7.2
    assert cookies(response) == {}


# --- TLS of a proxy ---------------------------------------------------------------------------------------------


def raw(gateway: Served, sent: bytes, source: str = PROXY) -> Reply:
    """The one answer to these bytes from that address."""
    with socket.create_connection(("127.0.0.1", int(gateway.url.rpartition(":")[2])), 10, (source, 0)) as sock:
        sock.sendall(sent)
        [reply] = replies(sock)
    return reply


# name, method, target, Host, Location
REDIRECTED = [
    ("a page", "GET", "/", "tools.example", "https://tools.example/"),
    ("its head", "HEAD", "/", "tools.example", "https://tools.example/"),
    ("path and query", "GET", "/ledger?a=1&b=%20c%2Fd", "tools.example", "https://tools.example/ledger?a=1&b=%20c%2Fd"),
    ("an escaped path", "GET", "/caf%C3%A9%20bar", "tools.example", "https://tools.example/caf%C3%A9%20bar"),
    ("an unknown path", "GET", "/nothing", "tools.example", "https://tools.example/nothing"),
    ("an empty query", "GET", "/?", "tools.example", "https://tools.example/"),
    ("a target in the query", "GET", "/?next=//evil.test", "tools.example", "https://tools.example/?next=//evil.test"),
    ("upper case and a dot", "GET", "/", "TOOLS.example.", "https://tools.example/"),
    ("the port of plain http", "GET", "/", "tools.example:8080", "https://tools.example/"),
]


@pytest.mark.parametrize(
    ("name", "method", "target", "host", "location"), REDIRECTED, ids=[row[0] for row in REDIRECTED]
)
def test_plain_http_is_sent_to_https(behind, name, method, target, host, location):
    """A visitor who came to the proxy in plain http is sent to the same place in https, which is remembered (308)."""
    head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: 203.0.113.5\r\nX-Forwarded-Proto: http\r\n"
    reply = raw(behind, f"{head}Connection: close\r\n\r\n".encode())
    assert reply.status == 308
    assert reply.header(b"location") == location.encode()
    assert reply.header(b"strict-transport-security") is None
    assert reply.header(b"set-cookie") is None
    decision, outcome = behind.exchange(reply.header(b"x-request-id").decode())
    assert decision["status_detail"] == outcome["status_detail"] == "https-required"
    assert outcome["http_response"]["code"] == 308


# name, first line, further lines, status
NEVER_ELSEWHERE = [
    ("a host that is not ours", "GET / HTTP/1.1", "Host: evil.test", 421),
    ("our host as user information", "GET / HTTP/1.1", "Host: tools.example@evil.test", 400),
    ("our host as the beginning", "GET / HTTP/1.1", "Host: tools.example.evil.test", 421),
    ("a path in the host", "GET / HTTP/1.1", "Host: evil.test/tools.example", 400),
    ("two slashes", "GET //evil.test/ HTTP/1.1", "Host: tools.example", 400),
    ("a slash and a backslash", "GET /\\evil.test/ HTTP/1.1", "Host: tools.example", 400),
    ("an absolute target", "GET http://evil.test/ HTTP/1.1", "Host: tools.example", 400),
    ("a forwarded host", "GET / HTTP/1.1", "Host: tools.example\r\nX-Forwarded-Host: evil.test", 308),
    ("a forwarded port", "GET / HTTP/1.1", "Host: tools.example\r\nX-Forwarded-Port: 666", 308),
    ("the standard's forwarded host", "GET / HTTP/1.1", "Host: tools.example\r\nForwarded: host=evil.test", 308),
    ("a line break in the query", "GET /?a=%0d%0aLocation:%20https://evil.test HTTP/1.1", "Host: tools.example", 308),
]


@pytest.mark.parametrize(("name", "first", "lines", "status"), NEVER_ELSEWHERE, ids=[row[0] for row in NEVER_ELSEWHERE])
def test_nobody_is_sent_elsewhere(behind, name, first, lines, status):
    """A redirect leads to a host that the policy allows, whatever the request says of itself."""
    proxied = "X-Forwarded-For: 203.0.113.5\r\nX-Forwarded-Proto: http\r\nConnection: close"
    reply = raw(behind, f"{first}\r\n{lines}\r\n{proxied}\r\n\r\n".encode())
    assert reply.status == status
    locations = [value for found, value in reply.headers if found == b"location"]
    assert len(locations) == (status == 308)
    for location in locations:
        assert httpx.URL(location.decode()).host == "tools.example"
        assert httpx.URL(location.decode()).port is None


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_what_changes_something_is_refused_in_plain_http(behind, method):
    """A form is not sent on: its body has been in the open already, and the mistake must be seen."""
    with client(behind, source=PROXY) as proxy:
        headers = {**FORWARDED_FOR, "X-Forwarded-Proto": "http", "Accept": "application/json"}
        response = proxy.request(method, "/_stcore/upload_file/session/file", headers=headers)
    assert (response.status_code, response.json()["reason"]) == (403, "https-required")
    assert "location" not in response.headers


def test_a_socket_in_plain_http_is_refused(behind):
    """A handshake cannot follow a redirect (RFC 6455 §4.1): it is refused with the reason."""
    visitor = behind.visitor(PROXY, headers={**FORWARDED_FOR, "X-Forwarded-Proto": "http"})
    with pytest.raises(InvalidStatus) as refused:
        StreamlitClient(visitor)
    assert refused.value.response.status_code == 403
    assert "https-required" in refused.value.response.body.decode()


def test_a_proxy_that_ends_tls(behind):
    """What a trusted proxy says came over https is https: page, cookie, HSTS, origin and socket."""
    headers = {**FORWARDED_FOR, "X-Forwarded-Proto": "https"}
    with client(behind, source=PROXY) as proxy:
        response = proxy.get("/", headers=headers)
        health = proxy.get("/_stcore/health", headers=headers)
    assert response.status_code == 200
    assert response.headers.get_list("strict-transport-security") == [TWO_YEARS]
    set_by = {**cookies(response), **cookies(health)}
    assert {"__Host-gateway", "_streamlit_xsrf"} <= set(set_by)
    assert all(attributes.get("secure") for attributes in set_by.values())
    authority = behind.url.removeprefix("http://")
    kept = {"__Host-gateway": response.cookies["__Host-gateway"]}
    with behind.connect(PROXY, headers=headers, origin=f"https://{authority}", cookies=kept) as stream:
        assert stream.rerun().texts[0] == "Home"
    with pytest.raises(InvalidStatus, match="403"):  # the origin in plain http is another one (RFC 6454 §5)
        StreamlitClient(behind.visitor(PROXY, headers=headers, origin=f"http://{authority}", cookies=kept))


# name, peer, headers that say how the visitor came
NOT_HTTPS = [
    ("an untrusted peer that says https", STAFF, [("X-Forwarded-Proto", "https")]),
    ("an untrusted peer that says it differently", STAFF, [("Forwarded", "proto=https"), ("X-Forwarded-Ssl", "on")]),
    ("an untrusted peer with other names for it", STAFF, [("Front-End-Https", "on"), ("X-Url-Scheme", "https")]),
    ("a trusted proxy that says nothing", PROXY, []),
    ("a trusted proxy that says both", PROXY, [("X-Forwarded-Proto", "https"), ("X-Forwarded-Proto", "http")]),
    ("a trusted proxy that says a list", PROXY, [("X-Forwarded-Proto", "https, http")]),
    ("a trusted proxy that says something else", PROXY, [("X-Forwarded-Proto", "httpss")]),
]


@pytest.mark.parametrize(("name", "peer", "said"), NOT_HTTPS, ids=[row[0] for row in NOT_HTTPS])
def test_who_is_not_believed_to_speak_https(behind, name, peer, said):
    """Only one clear word of a trusted proxy makes a request https; no HSTS and no cookie for any other."""
    with client(behind, source=peer) as visitor:
        response = visitor.get("/", headers=[*FORWARDED_FOR.items(), *said, ("Host", "tools.example")])
    assert response.status_code == 308
    assert "strict-transport-security" not in response.headers
    assert cookies(response) == {}


def test_an_optional_policy_still_believes_nobody(served):
    """Where plain http is allowed, an untrusted X-Forwarded-Proto brings neither HSTS nor the `__Host-` cookie."""
    response = served.get("/", COLLEAGUE, headers={"X-Forwarded-Proto": "https"})
    assert response.status_code == 200
    assert "strict-transport-security" not in response.headers
    assert "__Host-gateway" not in cookies(response)


# --- client certificates, and files that cannot be used ---------------------------------------------------------


def test_clients_need_a_certificate(tmp_path, tls, authority):
    """With an authority for clients, nobody speaks to us without its certificate: no page, no refusal, no byte."""
    ada = authority.issue((NameOID.COMMON_NAME, "ada"))
    (tmp_path / "stranger").mkdir()
    strange = Authority(tmp_path / "stranger", "stranger").issue((NameOID.COMMON_NAME, "eve"))
    env = {**tls, "GATEWAY_SERVER__TLS_CLIENT_CA": str(authority.path)}
    with gateway_served(tmp_path, policy=REQUIRED, env=env, scheme="https") as gateway:
        with client(gateway, authority.client_context(ada)) as visitor:
            assert visitor.get("/").status_code == 200
        for refused in (None, strange):
            before = len(gateway.records())
            with client(gateway, authority.client_context(refused)) as visitor, pytest.raises(httpx.TransportError):
                visitor.get("/.gateway/healthz")
            assert len(gateway.records()) == before
        visitor = visit(gateway.url, tls=authority.client_context(ada))
        with StreamlitClient(visitor) as stream:
            assert stream.rerun().texts[0] == "Home"


@pytest.fixture(scope="module")
def files(tmp_path_factory, authority, tls) -> dict[str, Path]:
    """TLS files, good and bad, by name."""
    directory = tmp_path_factory.mktemp("files")
    other_key = authority.issue((NameOID.COMMON_NAME, "other"))[1]
    locked = authority.issue((NameOID.COMMON_NAME, "locked"), password=b"a secret password")
    text, opened = directory / "text.pem", directory / "open.key"
    text.write_text("this is no PEM\n")
    text.chmod(0o600)
    good = Path(tls["GATEWAY_SERVER__TLS_KEY"])
    opened.write_bytes(good.read_bytes())
    opened.chmod(0o644)
    return {
        "certificate": Path(tls["GATEWAY_SERVER__TLS_CERTIFICATE"]),
        "key": good,
        "another's key": other_key,
        "locked certificate": locked[0],
        "locked key": locked[1],
        "open key": opened,
        "no PEM": text,
        "directory": directory,
        "not there": directory / "missing.pem",
    }


# name, certificate, key, authority of clients, words of the message
UNUSABLE = [
    ("no certificate file", "not there", "key", None, ["TLS_CERTIFICATE", "missing.pem", "no such file"]),
    ("no key file", "certificate", "not there", None, ["TLS_KEY", "missing.pem", "no such file"]),
    ("two files missing", "not there", "not there", None, ["TLS_CERTIFICATE", "TLS_KEY"]),
    ("no key named", "certificate", None, None, ["TLS_KEY", "missing beside the certificate"]),
    ("no certificate named", None, "key", None, ["TLS_CERTIFICATE", "missing beside the key"]),
    ("no PEM as certificate", "no PEM", "key", None, ["text.pem", "both are PEM files"]),
    ("no PEM as key", "certificate", "no PEM", None, ["text.pem", "both are PEM files"]),
    ("the key of another certificate", "certificate", "another's key", None, ["other.key", "key values mismatch"]),
    ("a key with a password", "locked certificate", "locked key", None, ["locked.key", "the key has no password"]),
    ("a key that others can read", "certificate", "open key", None, ["TLS_KEY", "open.key"]),
    ("a directory as certificate", "directory", "key", None, ["TLS_CERTIFICATE"]),
    ("no PEM as authority of clients", "certificate", "key", "no PEM", ["text.pem", "client certificate authority"]),
    ("no file as authority of clients", "certificate", "key", "not there", ["TLS_CLIENT_CA", "missing.pem"]),
    ("an authority of clients without TLS", None, None, "certificate", ["TLS_CLIENT_CA", "need TLS"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "certificate", "key", "client_ca", "words"), UNUSABLE, ids=[row[0] for row in UNUSABLE]
)
def test_tls_files_that_cannot_be_used(tmp_path_factory, files, name, certificate, key, client_ca, words):
    """A TLS file that cannot be used ends the start: exit code 3, a text that names it, a hint; never plain http."""
    given = {"TLS_CERTIFICATE": certificate, "TLS_KEY": key, "TLS_CLIENT_CA": client_ca}
    env = {f"GATEWAY_SERVER__{setting}": str(files[file]) for setting, file in given.items() if file is not None}
    ended = start(released(tmp_path_factory), "--port", str(free_port()), env=env)
    assert ended.returncode == 3
    assert [word for word in words if word.lower() not in ended.stderr.lower()] == []
    assert "hint: " in ended.stderr
    assert "serving" not in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "PRIVATE KEY" not in ended.stderr
    assert "password" not in ended.stderr.replace("the key has no password", "")


def released(tmp_path_factory) -> Path:
    """One directory with a released policy for all rows: releasing takes longer than refusing to start."""
    directory = tmp_path_factory.getbasetemp() / "tls-start"
    if not directory.exists():
        write_policies(directory / "policies", REQUIRED)
    return directory
