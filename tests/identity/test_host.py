"""Which host a request is for (RFC 9110 §7.2, RFC 3986 §3.2.2), and whether we answer to it."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.identity.host import FoundHost, host_allowed, parse_authority, parse_host
from gateway.model import Reason

MALFORMED = FoundHost(None, None, Reason.HOST_MALFORMED)

HOSTS = [
    ("a name", ["tools.corp.example"], FoundHost("tools.corp.example")),
    ("a name of one label", ["tools"], FoundHost("tools")),
    ("a port", ["tools.corp.example:8443"], FoundHost("tools.corp.example", 8443)),
    ("the highest port", ["a:65535"], FoundHost("a", 65535)),
    ("an empty port, RFC 3986 §3.2.3", ["a:"], FoundHost("a")),
    ("upper case", ["Tools.CORP.Example"], FoundHost("tools.corp.example")),
    ("a trailing dot", ["tools.corp.example."], FoundHost("tools.corp.example")),
    ("a trailing dot and a port", ["a.:80"], FoundHost("a", 80)),
    ("an underscore", ["my_service"], FoundHost("my_service")),
    ("punycode", ["xn--bcher-kva.example"], FoundHost("xn--bcher-kva.example")),
    ("a label of 63", ["a" * 63], FoundHost("a" * 63)),
    ("a name of 253", [".".join(["a" * 63] * 3 + ["a" * 61])], FoundHost(".".join(["a" * 63] * 3 + ["a" * 61]))),
    ("IPv4", ["127.0.0.1:8501"], FoundHost("127.0.0.1", 8501)),
    ("IPv4 with a root dot", ["127.0.0.1."], FoundHost("127.0.0.1")),
    ("IPv6", ["[::1]"], FoundHost("::1")),
    ("IPv6 with port", ["[2001:DB8:0::1]:443"], FoundHost("2001:db8::1", 443)),
    ("IPv4-mapped IPv6", ["[::ffff:127.0.0.1]"], FoundHost("127.0.0.1")),
    ("missing", [], FoundHost(None, None, Reason.HOST_MISSING)),
    ("empty", [""], MALFORMED),
    ("two fields", ["a", "b"], MALFORMED),
    ("two equal fields", ["a", "a"], MALFORMED),
    ("a list", ["a, b"], MALFORMED),
    ("a blank", ["a b"], MALFORMED),
    ("a leading blank", [" a"], MALFORMED),
    ("a line break", ["a\n"], MALFORMED),
    ("NUL", ["a\0"], MALFORMED),
    ("user information", ["x@localhost"], MALFORMED),
    ("user information with password", ["x:y@localhost"], MALFORMED),
    ("a path: CVE-2026-48710", ["a/public?"], MALFORMED),
    ("a query", ["a?x"], MALFORMED),
    ("a fragment", ["a#x"], MALFORMED),
    ("a backslash", ["a\\b"], MALFORMED),
    ("percent-encoding", ["%61"], MALFORMED),
    ("sub-delimiters", ["a;b=c"], MALFORMED),
    ("a wildcard", ["*.corp.example"], MALFORMED),
    ("a scheme", ["http://a"], MALFORMED),
    ("not ASCII", ["bücher.example"], MALFORMED),
    ("a full-width dot", ["a\xb7b"], MALFORMED),
    ("only a dot", ["."], MALFORMED),
    ("two dots at the end", ["a.."], MALFORMED),
    ("a dot at the start", [".a"], MALFORMED),
    ("an empty label", ["a..b"], MALFORMED),
    ("a hyphen at the start", ["-a"], MALFORMED),
    ("a hyphen at the end of a label", ["a-.b"], MALFORMED),
    ("a label of 64", ["a" * 64], MALFORMED),
    ("a name of 254", [".".join(["a" * 63] * 3 + ["a" * 62])], MALFORMED),
    ("a name of 30 000", ["a." * 15_000], MALFORMED),
    ("only a port", [":80"], MALFORMED),
    ("port 0", ["a:0"], MALFORMED),
    ("port 65536", ["a:65536"], MALFORMED),
    ("a port with leading zero", ["a:080"], MALFORMED),
    ("a port with sign", ["a:+80"], MALFORMED),
    ("a port of another script", ["a:8\xb2"], MALFORMED),
    ("two ports", ["a:80:80"], MALFORMED),
    ("IPv6 without brackets", ["::1"], MALFORMED),
    ("IPv6 with an open bracket", ["[::1"], MALFORMED),
    ("IPv6 and more", ["[::1]x"], MALFORMED),
    ("IPv6 with zone, RFC 6874", ["[fe80::1%25eth0]"], MALFORMED),
    ("IPv6 with bare zone", ["[fe80::1%eth0]"], MALFORMED),
    ("IPvFuture", ["[v1.a:b]"], MALFORMED),
    ("IPv4 in brackets", ["[127.0.0.1]"], MALFORMED),
    ("short IPv4", ["127.1"], MALFORMED),
    ("IPv4 as one number", ["2130706433"], MALFORMED),
    ("IPv4 in hexadecimal", ["0x7f.0.0.1"], MALFORMED),
    ("IPv4 with a hexadecimal end", ["127.0.0.0x1"], MALFORMED),
    ("IPv4 in octal", ["0177.0.0.1"], MALFORMED),
    ("IPv4 with five numbers", ["1.2.3.4.5"], MALFORMED),
]


@pytest.mark.parametrize(("name", "lines", "expected"), HOSTS, ids=[row[0] for row in HOSTS])
def test_parse_host(name, lines, expected):
    """The host is a name or an address, in one spelling; anything else in its place is malformed."""
    assert parse_host([(b"accept", b"*/*"), *((b"host", line.encode("latin-1")) for line in lines)]) == expected


def test_other_headers_are_no_host():
    """X-Forwarded-Host and Forwarded name no host, whoever sends them."""
    headers = [
        (b"x-forwarded-host", b"evil.example"),
        (b"forwarded", b"host=evil.example"),
        (b"x-host", b"evil.example"),
    ]
    assert parse_host(headers).problem is Reason.HOST_MISSING


ALLOWED = [
    ("itself", ("tools.corp.example",), "tools.corp.example", True),
    ("upper case in the request", ("tools.corp.example",), "TOOLS.corp.example", True),
    ("upper case in the policy", ("Tools.Corp.Example",), "tools.corp.example", True),
    ("a trailing dot in the policy", ("a.",), "a", True),
    ("a trailing dot in the request", ("a",), "A.", True),
    ("another name", ("a.example",), "b.example", False),
    ("a longer name with the same end", ("corp.example",), "evilcorp.example", False),
    ("a name below", ("corp.example",), "a.corp.example", False),
    ("a name that begins alike", ("corp.example",), "corp.example.evil", False),
    ("a wildcard, one below", ("*.corp.example",), "a.corp.example", True),
    ("a wildcard, three below", ("*.corp.example",), "a.b.c.corp.example", True),
    ("a wildcard in another case: CVE-2026-48794", ("*.Corp.Example",), "FOO.CORP.EXAMPLE.", True),
    ("a wildcard, itself", ("*.corp.example",), "corp.example", False),
    ("a wildcard, the same end", ("*.corp.example",), "evilcorp.example", False),
    ("a wildcard, an empty name below", ("*.corp.example",), ".corp.example", False),
    ("a wildcard does not stand for an address", ("*.0.0.1",), "127.0.0.1", False),
    ("a wildcard below an address", ("*.127.0.0.1",), "x.127.0.0.1", False),
    ("a wildcard for everything", ("*",), "a", False),
    ("a wildcard for everything below the root", ("*.",), "a", False),
    ("a leading dot", (".corp.example",), "a.corp.example", False),
    ("a wildcard inside", ("a*.corp.example",), "ab.corp.example", False),
    ("two wildcards", ("*.*.example",), "a.b.example", False),
    ("an entry with a port", ("a:443",), "a", False),
    ("IPv4", ("127.0.0.1",), "127.0.0.1", True),
    ("IPv6", ("::1",), "::1", True),
    ("IPv6 in brackets", ("[::1]",), "::1", True),
    ("IPv6 in another spelling", ("0:0:0:0:0:0:0:1",), "::1", True),
    ("no entries", (), "a", False),
    ("empty entries", ("", " "), "", False),
    ("the second of two", ("a", "b"), "b", True),
]


@pytest.mark.parametrize(("name", "allowed", "host", "expected"), ALLOWED, ids=[row[0] for row in ALLOWED])
def test_host_allowed(name, allowed, host, expected):
    """`*.x` is every name below x and not x; case and a trailing dot do not matter; nothing else is a pattern."""
    assert host_allowed(allowed, host) is expected


@given(st.text(max_size=300))
@example("[" * 250)
def test_what_is_parsed_parses_again(text):
    """Whatever is sent, the result is canonical: to parse it again gives the same."""
    found = parse_authority(text)
    if found is not None:
        host, port = found
        assert host == host.lower()
        assert host.isascii()
        assert parse_authority(f"[{host}]" if ":" in host else host) == (host, None)
        assert port is None or 1 <= port <= 65535


@given(st.binary(max_size=300))
def test_any_bytes(value):
    """No bytes in Host are an error."""
    found = parse_host([(b"host", value)])
    assert (found.host is None) == (found.problem is not None)
