"""Who the client is. The vectors are in `tests/data/client-address.toml`, each group with its source."""

import re
import tomllib
from ipaddress import ip_address
from pathlib import Path
from time import process_time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.identity.client import ProxyTrust, client_scheme, find_client, request_id_from
from gateway.identity.forwarded import parse_forwarded, parse_node
from gateway.model import Client, Provenance, Proxies, Reason

DATA = tomllib.loads((Path(__file__).parent.parent / "data" / "client-address.toml").read_text("utf-8"))
VECTORS = [group | row for group in DATA["groups"] for row in group["rows"]]
CONFIGURATIONS = [row for group in DATA["configurations"] for row in group["rows"]]

TRUST = ProxyTrust.of(Proxies(("10.1.0.0/16",), "x-forwarded-for"))
PROXY, STRANGER = "10.1.0.1", "198.51.100.9"


def named(row):
    return f"{row.get('source', '')[:25]}: {row['name']}"


def proxies_of(row):
    return Proxies(tuple(row["trusted"]), row.get("client_address", "x-forwarded-for"), row.get("hops"))


def headers_of(row):
    selected = [(row.get("client_address", "x-forwarded-for"), line) for line in row.get("lines", ())]
    raw = [("Host", "tools.corp.example"), *map(tuple, row.get("others", ())), *selected]
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in raw]


@pytest.mark.parametrize("row", VECTORS, ids=named)
def test_vectors(row):
    """The client is the first address right to left that is no trusted proxy; what cannot be read is refused."""
    found = find_client(ProxyTrust.of(proxies_of(row)), row["peer"], headers_of(row))
    assert (found.client.address, found.client.problem) == (row.get("client"), row.get("reason"))
    assert (found.client.provenance is Provenance.UNKNOWN) == ("reason" in row)
    assert found.client.flags == tuple(row.get("flags", found.client.flags))
    assert found.forwarded == tuple(row.get("forwarded", found.forwarded))
    assert found.steps


@pytest.mark.parametrize("row", CONFIGURATIONS, ids=named)
def test_refused_configurations(row):
    """A configuration that cannot mean anything safe is refused when it is read, not when a request arrives."""
    with pytest.raises(ValueError, match=re.escape(row["error"])):
        ProxyTrust.of(proxies_of(row))


def test_unix_socket():
    """A unix socket has no address, and nothing that is sent through it can name one."""
    found = find_client(TRUST, None, [(b"x-forwarded-for", b"192.0.2.7")])
    assert found.client == Client(None, Provenance.UNKNOWN, Reason.CLIENT_ADDRESS_UNKNOWN)
    assert found.steps == ("The peer is a unix socket, which has no address.",)


def test_provenance():
    """The record says whether an address was seen on the socket or named by a proxy."""
    assert find_client(TRUST, STRANGER, []).client.provenance is Provenance.DIRECT
    assert find_client(TRUST, PROXY, []).client.provenance is Provenance.DIRECT
    assert find_client(TRUST, PROXY, [(b"x-forwarded-for", b"192.0.2.7")]).client.provenance is Provenance.FORWARDED


def test_header_name_in_any_case():
    """The policy may write the header's name in any case."""
    trust = ProxyTrust.of(Proxies(("10.1.0.0/16",), "X-Forwarded-For"))
    assert find_client(trust, PROXY, [(b"x-forwarded-for", b"192.0.2.7")]).client.address == "192.0.2.7"


def test_steps_are_safe_to_print():
    """An explanation quotes what was sent, escaped and cut: it cannot drive a terminal or fill a screen."""
    evil = b"\x1b]0;owned\x07{}{0}\xe2\x80\xa8" + b"A" * 10_000
    steps = find_client(TRUST, PROXY, [(b"x-forwarded-for", evil)]).steps
    assert all(step.isascii() and step.isprintable() and len(step) < 600 for step in steps)
    assert "\\x1b]0;owned" in steps[-1]


# --- whatever is sent -----------------------------------------------------------------------------------------

pieces = st.sampled_from(
    ["1.1.1.1", "10.1.0.5", "::ffff:10.1.0.5", "[::1]:80", "for=", '"', "\\", ",", ";", " ", "%", "unknown", "\t", "="]
)
values = st.one_of(st.binary(max_size=60), st.lists(pieces, max_size=12).map(lambda parts: "".join(parts).encode()))
names = st.sampled_from([b"x-forwarded-for", b"forwarded", b"x-real-ip", b"x-forwarded-proto", b"x-request-id"])
anything = st.lists(st.tuples(names, values), max_size=5)
trusts = st.sampled_from(
    [
        ProxyTrust.of(Proxies(("10.1.0.0/16", "::1"), name, hops))
        for name, hops in [
            ("none", None),
            ("x-forwarded-for", None),
            ("x-forwarded-for", 2),
            ("forwarded", None),
            ("x-real-ip", None),
        ]
    ]
)


@given(trusts, st.ip_addresses().map(str), anything)
def test_untrusted_peer_decides_nothing(trust, peer, headers):
    """Whatever an untrusted peer sends, it is known by its own address or not at all; scheme and id stay ours."""
    if trust.trusts(peer):
        return
    found = find_client(trust, peer, headers)
    address = ip_address(peer)
    canonical = str(getattr(address, "ipv4_mapped", None) or address)
    assert found.client.address in (canonical, None)
    assert (found.client.address is None) == (found.client.problem is not None)
    assert found.forwarded == ()
    assert client_scheme(trust, peer, headers, "http") == "http"
    assert request_id_from(trust, peer, headers) is None


@given(trusts, st.one_of(st.text(max_size=70), st.just(PROXY), st.none()), anything)
@example(TRUST, PROXY, [(b"x-forwarded-for", b"," * 30_000)])
@example(TRUST, "fe80::1%" + "a" * 30_000, [])
@example(ProxyTrust.of(Proxies((PROXY,), "forwarded")), PROXY, [(b"forwarded", b"for=" + b'"\\' * 15_000)])
def test_never_raises(trust, peer, headers):
    """Nothing that a peer can send is an error: it is a client, or a reason why there is none."""
    found = find_client(trust, peer, headers)
    client = found.client
    assert (client.address is None) == (client.provenance is Provenance.UNKNOWN) == (client.problem is not None)
    assert client.address is None or str(ip_address(client.address)) == client.address
    assert all(step.isprintable() for step in found.steps)
    assert client_scheme(trust, peer, headers, "https") in ("http", "https")
    request_id_from(trust, peer, headers)


@given(st.ip_addresses(), st.lists(st.sampled_from(["198.51.100.1", "evil", "", "10.1.0.9", '"'])))
def test_left_of_the_client_nothing_matters(client, prefix):
    """What stood in the header before our proxy appended to it cannot change the outcome."""
    line = ", ".join([*prefix, f"[{client}]" if client.version == 6 else str(client)])
    alone = find_client(TRUST, PROXY, [(b"x-forwarded-for", line.rpartition(", ")[2].encode())])
    if alone.client.problem is None:
        assert find_client(TRUST, PROXY, [(b"x-forwarded-for", line.encode())]) == alone


@given(st.ip_addresses(v=6), st.integers(0, 65535))
def test_spellings_of_one_address(address, port):
    """Every spelling of an address with or without port names the same client."""
    plain = parse_node(str(address))
    assert (
        plain == parse_node(address.exploded.upper()) == parse_node(f"[{address}]") == parse_node(f"[{address}]:{port}")
    )
    assert plain == parse_forwarded(f'proto=http;For="[{address}]:{port}"')


# --- scheme and request id ------------------------------------------------------------------------------------

SCHEMES = [
    ("the socket's", STRANGER, [], "https", "https"),
    ("a WebSocket's", STRANGER, [], "wss", "https"),
    ("an unknown socket scheme", STRANGER, [], "gopher", "http"),
    ("a stranger claims https", STRANGER, ["https"], "http", "http"),
    ("a stranger claims http", STRANGER, ["http"], "https", "https"),
    ("a proxy says https", PROXY, ["https"], "http", "https"),
    ("a proxy says http to a TLS socket", PROXY, ["http"], "https", "http"),
    ("a proxy says nothing", PROXY, [], "https", "https"),
    ("letter case", PROXY, ["HTTPS"], "http", "https"),
    ("blanks", PROXY, [" https\t"], "http", "https"),
    ("Traefik's word for a WebSocket over https", PROXY, ["wss"], "http", "https"),
    ("a list", PROXY, ["https, https"], "https", "http"),
    ("two lines that agree", PROXY, ["https", "https"], "https", "http"),
    ("two lines that do not", PROXY, ["https", "http"], "https", "http"),
    ("another word", PROXY, ["httpss"], "https", "http"),
    ("empty", PROXY, [""], "https", "http"),
    ("no peer", None, ["https"], "http", "http"),
]


@pytest.mark.parametrize(("name", "peer", "lines", "socket", "expected"), SCHEMES, ids=[row[0] for row in SCHEMES])
def test_scheme(name, peer, lines, socket, expected):
    """The scheme is the socket's unless a trusted proxy says one clear word; anything unclear is plain http."""
    headers = [(b"x-forwarded-proto", line.encode()) for line in lines]
    assert client_scheme(TRUST, peer, headers, socket) == expected


def test_other_scheme_headers_are_inert():
    """No other header says anything about the scheme."""
    headers = [
        (b"x-forwarded-ssl", b"on"),
        (b"front-end-https", b"on"),
        (b"forwarded", b"proto=https"),
        (b"x-forwarded-port", b"443"),
    ]
    assert client_scheme(TRUST, PROXY, headers, "http") == "http"


REQUEST_IDS = [
    ("a proxy's", PROXY, [b"0192f0c8-7c1e.A_b"], "0192f0c8-7c1e.A_b"),
    ("a stranger's", STRANGER, [b"0192f0c8-7c1e"], None),
    ("none", PROXY, [], None),
    ("two", PROXY, [b"0192f0c8-7c1e", b"0192f0c8-7c1e"], None),
    ("8 characters", PROXY, [b"a" * 8], "a" * 8),
    ("7 characters", PROXY, [b"a" * 7], None),
    ("128 characters", PROXY, [b"a" * 128], "a" * 128),
    ("129 characters", PROXY, [b"a" * 129], None),
    ("a line break", PROXY, [b"0192f0c8-7c1e\n"], None),
    ("a blank", PROXY, [b"0192f0c8 7c1e"], None),
    ("markup", PROXY, [b"<b>0192f0c8"], None),
    ("not ASCII", PROXY, ["0192f0c8é".encode("latin-1")], None),
]


@pytest.mark.parametrize(("name", "peer", "lines", "expected"), REQUEST_IDS, ids=[row[0] for row in REQUEST_IDS])
def test_request_id(name, peer, lines, expected):
    """A request id is taken from a trusted proxy only, and only if it can stand in any log unquoted."""
    assert request_id_from(TRUST, peer, [(b"x-request-id", line) for line in lines]) == expected


def test_direct_requests_are_cheap():
    """To find a client who connects directly takes a few microseconds; 50 on the slowest machine."""
    headers = [(f"x-header-{number}".encode(), b"value") for number in range(15)]
    started = process_time()
    for _ in range(2000):
        find_client(TRUST, STRANGER, headers)
    assert (process_time() - started) / 2000 < 50e-6
