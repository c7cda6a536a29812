"""TLS: versions, suites, client certificates, and that silent sockets are counted before their handshake."""

import json
import socket
import ssl
import time
from functools import partial

import pytest
from cryptography.x509.oid import NameOID
from websockets.sync.client import connect

from tests.server.conftest import SHORT, closed_within, receive_all, served
from tests.support.certificates import Authority

GET = b"GET /facts HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def tls(authority) -> dict[str, str]:
    certificate, key = authority.issue((NameOID.COMMON_NAME, "localhost"))
    return {"tls_certificate": str(certificate), "tls_key": str(key)}


@pytest.fixture(scope="module")
def ada(authority):
    """The certificate and key of a client: CN=ada in an organisation."""
    return authority.issue((NameOID.ORGANIZATION_NAME, "Example"), (NameOID.COMMON_NAME, "ada"))


@pytest.fixture(scope="module")
def server(tls):
    with served(**tls, **SHORT, max_connections=50) as server:
        yield server


@pytest.fixture(scope="module")
def asking(tls, authority):
    """A server that asks for client certificates, and lets those without one in."""
    with served(**tls, tls_client_ca=str(authority.path), tls_client_optional=True) as server:
        yield server


def ask(server, context: ssl.SSLContext, sent: bytes = GET) -> bytes:
    with context.wrap_socket(server.connect(), server_hostname="localhost") as sock:
        sock.sendall(sent)
        return receive_all(sock)[0]


def facts(received: bytes) -> dict:
    return json.loads(received.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize(
    ("version", "number"), [(ssl.TLSVersion.TLSv1_2, 0x0303), (ssl.TLSVersion.TLSv1_3, 0x0304)], ids=["1.2", "1.3"]
)
def test_scope(server, authority, version, number):
    """The scope says https, and names the version and suite (ASGI TLS extension 0.2; numbers of RFC 8446, RFC 5289)."""
    context = authority.client_context()
    context.minimum_version = context.maximum_version = version
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    told = facts(ask(server, context))
    assert told["scheme"] == "https"
    assert told["tls"]["tls_version"] == number
    suites = {0x0303: {0xC02B}, 0x0304: {0x1301, 0x1302, 0x1303}}
    assert told["tls"]["cipher_suite"] in suites[number]
    assert told["tls"]["client_cert_name"] is None
    assert told["tls"]["client_cert_chain"] == []


def assert_no_handshake(server, context: ssl.SSLContext) -> None:
    begun = time.monotonic()
    with pytest.raises(ssl.SSLError):
        ask(server, context)
    assert time.monotonic() - begun < 0.8  # refused, and not merely timed out


@pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA", "AES128-GCM-SHA256"])
def test_weak_suites_are_refused(server, authority, suite):
    """No CBC suite and no RSA key exchange is agreed on."""
    context = authority.client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{suite}:@SECLEVEL=0")
    assert_no_handshake(server, context)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1")
def test_old_versions_are_refused(server, authority):
    """TLS 1.1 is refused."""
    context = authority.client_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    assert_no_handshake(server, context)


def test_only_http_1_1_is_agreed_on(server, authority):
    """ALPN offers http/1.1 and never h2."""
    context = authority.client_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with context.wrap_socket(server.connect(), server_hostname="localhost") as sock:
        assert sock.selected_alpn_protocol() == "http/1.1"


def test_client_certificate(asking, authority, ada):
    """A verified client certificate is in the scope: PEM, and the subject's name as RFC 4514 writes it."""
    told = facts(ask(asking, authority.client_context(ada)))["tls"]
    assert told["client_cert_chain"] == [ada[0].read_text()]
    assert told["client_cert_name"] == "CN=ada,O=Example"
    assert told["client_cert_error"] is None
    assert facts(ask(asking, authority.client_context()))["tls"]["client_cert_name"] is None


def test_client_certificate_of_another_authority(asking, authority, tmp_path):
    """A certificate of somebody else's authority ends the handshake, also where certificates are optional."""
    stranger = Authority(tmp_path, "stranger").issue((NameOID.COMMON_NAME, "ada"))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        assert ask(asking, authority.client_context(stranger)) == b""
        raise ConnectionError


def test_client_certificate_required(tls, authority, ada):
    """Without `tls_client_optional`, nobody comes in without a certificate."""
    with served(**tls, tls_client_ca=str(authority.path)) as server:
        assert ask(server, authority.client_context(ada)).startswith(b"HTTP/1.1 200 ")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            assert ask(server, authority.client_context()) == b""
            raise ConnectionError


def test_websocket(asking, authority, ada):
    """WebSockets work over TLS."""
    url = f"wss://localhost:{asking.port}/"
    with connect(url, proxy=None, ssl=authority.client_context(ada)) as ws:
        for message in ("text", b"x" * 300_000):
            ws.send(message)
            assert ws.recv(5) == message


def test_request_in_the_packet_of_the_handshake(server, authority):
    """A request that arrives together with the end of the handshake is not lost."""
    context = authority.client_context()

    def exchange(step, sock, incoming, outgoing):
        """Repeats a step of TLS with what it wants to send and receive."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                received = sock.recv(65536)
                assert received
                incoming.write(received)

    for _ in range(10):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with server.connect(timeout=0.4) as sock:
            exchange(tls.do_handshake, sock, incoming, outgoing)
            tls.write(GET)  # leaves in one packet with the client's last message of the handshake
            assert exchange(partial(tls.read, 65536), sock, incoming, outgoing).startswith(b"HTTP/1.1 200 ")


def test_plain_http_on_the_tls_port(server):
    """Plain HTTP on the TLS port ends the connection without an answer in clear."""
    with server.connect() as sock:
        sock.sendall(GET)
        received, closed = receive_all(sock)
    assert closed
    assert b"HTTP/" not in received


def test_handshake_that_never_begins(server):
    """A socket that never begins its handshake is ended after `idle_timeout`."""
    with server.connect() as sock:
        took = closed_within(sock, 5)
    assert took is not None
    assert 0.9 < took < 2.5


def test_silent_sockets_before_the_handshake_do_not_keep_others_out(server, authority):
    """Sockets count before their handshake, and give way like others."""
    silent = [server.connect("127.0.0.2") for _ in range(200)]
    time.sleep(0.2)
    try:
        assert ask(server, authority.client_context()).startswith(b"HTTP/1.1 200 ")
        still_open = 0
        for sock in silent:
            sock.setblocking(False)
            try:
                still_open += sock.recv(1) != b""
            except BlockingIOError:
                still_open += 1
            except OSError:
                pass
        assert still_open <= 50
    finally:
        for sock in silent:
            sock.close()


def test_refusals_over_tls(server, authority):
    """What never reaches the application is answered over TLS as well, and the time limits hold."""
    received = ask(server, authority.client_context(), b"GET / HTTP/1.1\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 400 ")
    assert b"\r\nx-frame-options: DENY" in received
    begun = time.monotonic()
    assert ask(server, authority.client_context(), b"GET / HT").startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - begun < 3


def test_no_exception_was_logged(server):
    """Broken handshakes are everyday events and leave no stack trace in the log. (Runs last.)"""
    for sent in (b"\x16\x03\x01", b"garbage garbage garbage", b""):
        with server.connect() as sock:
            sock.sendall(sent)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    time.sleep(0.5)
    assert "Traceback" not in server.process.output()
    assert "never retrieved" not in server.process.output()


def test_encrypted_key(authority, tls):
    """A key with a password is refused at the start; nothing waits at a prompt."""
    certificate, key = authority.issue((NameOID.COMMON_NAME, "locked"), password=b"secret")
    with (
        pytest.raises(AssertionError, match="exit code 3") as error,
        served(tls_certificate=str(certificate), tls_key=str(key)),
    ):
        pass
    assert "the key has no password" in str(error.value)
