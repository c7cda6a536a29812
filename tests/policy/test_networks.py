"""Addresses, CIDRs, and which networks hold an address."""

import re
from datetime import date, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from random import Random
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import NetworkEntry
from gateway.policy.networks import AddressSet, NetworkIndex, parse_address, parse_cidr

TODAY = date(2026, 3, 2)
DAY = timedelta(days=1)

ADDRESSES = [
    ("IPv4", "192.0.2.1", "192.0.2.1"),
    ("IPv6", "2001:db8::1", "2001:db8::1"),
    ("IPv6, long and in capitals (RFC 5952)", "2001:0DB8:0:0:0:0:0:1", "2001:db8::1"),
    ("IPv4-mapped", "::ffff:192.0.2.1", "192.0.2.1"),
    ("IPv4-mapped in hexadecimal", "::FFFF:c000:201", "192.0.2.1"),
    ("IPv4-mapped in full", "0:0:0:0:0:ffff:192.0.2.1", "192.0.2.1"),
    ("IPv4-mapped with zone", "::ffff:192.0.2.1%eth0", "192.0.2.1"),
    ("a zone", "fe80::1%eth0", "fe80::1"),
    ("IPv4-compatible (deprecated) is IPv6", "::192.0.2.1", "::c000:201"),
    ("NAT64 is IPv6 (RFC 6052)", "64:ff9b::192.0.2.1", "64:ff9b::c000:201"),
    ("6to4 is IPv6 (RFC 3056)", "2002:c000:201::1", "2002:c000:201::1"),
    ("empty", "", None),
    ("a word", "localhost", None),
    ("leading zeros: CVE-2021-29921", "010.0.0.1", None),
    ("leading zeros in a mapped address", "::ffff:010.0.0.1", None),
    ("octal: Traefik", "0127.2.3.1", None),
    ("three numbers", "10.0.1", None),
    ("one number", "2130706433", None),
    ("hexadecimal", "0x7f.0.0.1", None),
    ("an octet too large", "10.0.0.350", None),
    ("a port", "192.0.2.1:80", None),
    ("brackets", "[::1]", None),
    ("a prefix length", "192.0.2.1/32", None),
    ("a blank", " 192.0.2.1", None),
    ("a line break", "192.0.2.1\n", None),
    ("digits of another script", "\u0661.2.3.4", None),
    ("an empty zone", "fe80::1%", None),
    ("a zone on IPv4", "192.0.2.1%eth0", None),
    ("a zone that is too long", "fe80::1%" + "a" * 60, None),
    ("three colons", "fe:::80", None),
]


@pytest.mark.parametrize(("name", "text", "expected"), ADDRESSES, ids=[row[0] for row in ADDRESSES])
def test_parse_address(name, text, expected):
    """An address has one canonical form, whatever its spelling; what is not one address is refused."""
    if expected is None:
        with pytest.raises(ValueError, match="address"):
            parse_address(text)
    else:
        assert str(parse_address(text)) == expected


CIDRS = [
    ("IPv4", "10.0.0.0/8", "10.0.0.0/8"),
    ("IPv6", "2001:db8:40::/48", "2001:db8:40::/48"),
    ("everything", "0.0.0.0/0", "0.0.0.0/0"),
    ("a bare IPv4 address", "192.0.2.1", "192.0.2.1/32"),
    ("a bare IPv6 address", "::1", "::1/128"),
    ("one address", "192.0.2.1/32", "192.0.2.1/32"),
    ("NAT64", "64:ff9b::/96", "64:ff9b::/96"),
    ("a network around all mapped addresses is IPv6", "::/80", "::/80"),
]

BAD_CIDRS = [
    ("host bits", "10.0.0.1/24", "10.0.0.1/24 has host bits set; write 10.0.0.0/24 or 10.0.0.1/32"),
    ("host bits in IPv6", "2001:db8::1/64", "2001:db8::1/64 has host bits set; write 2001:db8::/64 or 2001:db8::1/128"),
    ("Traefik's subnet of 64", "::abcd:1111:2222:3333/64", "write ::/64 or ::abcd:1111:2222:3333/128"),
    ("Traefik's subnet of 80", "::abcd:1111:2222:3333/80", "write ::abcd:0:0:0/80 or"),
    ("Traefik's subnet of 96", "::abcd:1111:2222:3333/96", "write ::abcd:1111:0:0/96 or"),
    ("Traefik's subnet of 500", "::abcd:1111:2222:3333/500", "/500 is not a prefix length; write /0 to /128"),
    ("a mapped network", "::ffff:10.0.0.0/104", "::ffff:10.0.0.0/104 is IPv4 written as IPv6; write 10.0.0.0/8"),
    ("a mapped network with host bits", "::ffff:bc15:0006/104", "write 188.0.0.0/8"),
    ("a bare mapped address", "::ffff:10.0.0.1", "write 10.0.0.1/32"),
    ("all mapped addresses", "::ffff:0:0/96", "write 0.0.0.0/0"),
    ("a zone", "fe80::%eth0/64", "has a zone"),
    ("a zone after the length", "fe80::/64%eth0", "/64%eth0 is not a prefix length"),
    ("a zone without length", "fe80::1%eth0", "has a zone"),
    ("a netmask", "10.0.0.0/255.0.0.0", "/255.0.0.0 is not a prefix length; write /0 to /32"),
    ("a wildcard mask", "10.0.0.0/0.255.255.255", "is not a prefix length"),
    ("no length", "10.0.0.0/", "/ is not a prefix length"),
    ("a length too large", "10.0.0.0/33", "/33 is not a prefix length"),
    ("a negative length", "10.0.0.0/-8", "/-8 is not a prefix length"),
    ("a sign", "10.0.0.0/+8", "/+8 is not a prefix length"),
    ("a leading zero", "10.0.0.0/08", "/08 is not a prefix length"),
    ("a length of another script", "10.0.0.0/\u0668", "is not a prefix length"),
    ("a length beyond counting", "10.0.0.0/" + "9" * 5000, "is not a prefix length"),
    ("two lengths", "10.0.0.0/8/8", "/8/8 is not a prefix length"),
    ("leading zeros in the address", "010.0.0.0/8", "does not appear to be"),
    ("a short address", "10/8", "does not appear to be"),
    ("a blank", "10.0.0.0 /8", "does not appear to be"),
    ("a range", "10.0.0.0-10.0.0.9", "does not appear to be"),
    ("everybody", "*", "does not appear to be"),
    ("empty", "", "does not appear to be"),
    ("a word", "office", "does not appear to be"),
]


@pytest.mark.parametrize(("name", "text", "expected"), CIDRS, ids=[row[0] for row in CIDRS])
def test_parse_cidr(name, text, expected):
    """A CIDR is an address and a prefix length; a bare address is itself alone."""
    assert parse_cidr(text) == ip_network(expected)


@pytest.mark.parametrize(("name", "text", "expected"), BAD_CIDRS, ids=[row[0] for row in BAD_CIDRS])
def test_bad_cidrs(name, text, expected):
    """What could be meant in two ways is refused, with what to write instead."""
    with pytest.raises(ValueError, match=re.escape(expected)):
        parse_cidr(text)


INDEX = NetworkIndex.build(
    {
        "office": [NetworkEntry("203.0.113.0/24"), NetworkEntry("2001:db8:40::/48")],
        "floor": [NetworkEntry("203.0.113.64/26"), NetworkEntry("203.0.113.64/26")],
        "desk": [NetworkEntry("203.0.113.65")],
        "contractor": [
            NetworkEntry("198.51.100.7/32", expires=TODAY),
            NetworkEntry("203.0.113.65", expires=TODAY + DAY),
        ],
        "twice": [NetworkEntry("192.0.2.0/24", expires=TODAY - DAY), NetworkEntry("192.0.2.0/25", expires=TODAY)],
        "long": [NetworkEntry("192.0.2.0/24"), NetworkEntry("192.0.2.0/25", expires=TODAY)],
        "ends": [NetworkEntry("0.0.0.0/32"), NetworkEntry("255.255.255.255"), NetworkEntry("ffff::/16")],
        "six": [NetworkEntry("::/0")],
        "empty": [],
    }
)

MEMBERS = [
    ("in one", "203.0.113.1", TODAY, {"office"}),
    ("in a nested one", "203.0.113.64", TODAY, {"office", "floor"}),
    ("in three, one with a date", "203.0.113.65", TODAY, {"office", "floor", "desk", "contractor"}),
    ("on its last day", "203.0.113.65", TODAY + DAY, {"office", "floor", "desk", "contractor"}),
    ("after its last day", "203.0.113.65", TODAY + 2 * DAY, {"office", "floor", "desk"}),
    ("just behind a nested one", "203.0.113.128", TODAY, {"office"}),
    ("just before", "203.0.112.255", TODAY, set()),
    ("just behind", "203.0.114.0", TODAY, set()),
    ("a single address, last day", "198.51.100.7", TODAY, {"contractor"}),
    ("a single address, expired", "198.51.100.7", TODAY + DAY, set()),
    ("its neighbour", "198.51.100.8", TODAY, set()),
    ("the wide entry expired, the narrow one not", "192.0.2.1", TODAY, {"twice", "long"}),
    ("only the expired entry holds it", "192.0.2.200", TODAY, {"long"}),
    ("the expired entry on its last day", "192.0.2.200", TODAY - DAY, {"twice", "long"}),
    ("a date on a part does not end the whole", "192.0.2.1", TODAY + DAY, {"long"}),
    ("IPv6", "2001:db8:40::1", TODAY, {"office", "six"}),
    ("IPv6 outside", "2001:db8:41::", TODAY, {"six"}),
    ("IPv4-mapped", "::ffff:203.0.113.1", TODAY, {"office"}),
    ("with zone", "2001:db8:40::1%eth0", TODAY, {"office", "six"}),
    ("the first IPv4 address", "0.0.0.0", TODAY, {"ends"}),
    ("the last IPv4 address", "255.255.255.255", TODAY, {"ends"}),
    ("the last IPv6 address", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", TODAY, {"ends", "six"}),
    ("IPv4 is not in ::/0", "8.8.8.8", TODAY, set()),
]


@pytest.mark.parametrize(("name", "address", "on", "expected"), MEMBERS, ids=[row[0] for row in MEMBERS])
def test_membership(name, address, on, expected):
    """A network holds an address while any entry that contains it has not expired; the last day counts."""
    assert INDEX.names(address, on) == expected
    assert INDEX.names(address, on) == expected, "the remembered answer"
    for network in (
        "office",
        "floor",
        "desk",
        "contractor",
        "twice",
        "long",
        "ends",
        "six",
        "empty",
        "no such network",
    ):
        assert INDEX.contains(address, (network,), on) is (network in expected)
    assert INDEX.contains(address, ("empty", *sorted(expected)), on) is bool(expected)
    assert INDEX.contains(address, (), on) is False


EXPIRIES = [
    ("no end", "203.0.113.1", "office", TODAY, None),
    ("an end", "203.0.113.65", "contractor", TODAY, TODAY + DAY),
    ("the latest of two", "192.0.2.1", "twice", TODAY, TODAY),
    ("no end around an end", "192.0.2.1", "long", TODAY, None),
    ("over: nothing will end", "198.51.100.7", "contractor", TODAY + DAY, None),
    ("not held: nothing will end", "203.0.113.1", "contractor", TODAY, None),
    ("no such network", "203.0.113.1", "nowhere", TODAY, None),
]


@pytest.mark.parametrize(("name", "address", "network", "on", "expected"), EXPIRIES, ids=[row[0] for row in EXPIRIES])
def test_expiry(name, address, network, on, expected):
    """An index says until when a network will hold an address that it holds now."""
    assert INDEX.expiry(address, network, on) == expected


@pytest.mark.parametrize("address", ["", "unknown", "10.0.0", "203.0.113.1:80", "fe80::1%" + "a" * 100])
def test_what_is_no_address(address):
    """To ask about something that is no address is an error: the answer `in no network` could allow."""
    with pytest.raises(ValueError, match="address"):
        INDEX.names(address, TODAY)
    with pytest.raises(ValueError, match="address"):
        AddressSet(["10.0.0.0/8"]).contains(address)


def test_bad_entry():
    """An index is not built from an entry that is no CIDR."""
    with pytest.raises(ValueError, match="host bits"):
        NetworkIndex.build({"office": [NetworkEntry("10.0.0.0/8"), NetworkEntry("10.0.0.1/24")]})


SETS = [
    ("IPv4", ["1.2.3.0/24"], ["1.2.3.0", "1.2.3.1", "1.2.3.255"], ["1.2.4.0", "1.2.16.1", "127.0.0.1"]),
    ("one address", ["8.8.8.8"], ["8.8.8.8", "::ffff:8.8.8.8"], ["8.8.8.7", "8.8.8.9", "8.8.8.0", "::8.8.8.8"]),
    (
        "IPv6",
        ["2a03:4000:6:d080::/64"],
        ["2a03:4000:6:d080:dead:beef:ffff:ffff"],
        ["2a03:4000:7:d080::1", "fe80::", "4242::1"],
    ),
    ("both", ["fe80::/16", "8.0.0.0/8"], ["fe80::fe80", "fe80::1%eth0", "8.255.255.255"], ["9.0.0.0", "fe81::"]),
    ("none", [], [], ["127.0.0.1", "::1", "0.0.0.0"]),
]


@pytest.mark.parametrize(("name", "cidrs", "inside", "outside"), SETS, ids=[row[0] for row in SETS])
def test_address_set(name, cidrs, inside, outside):
    """A set of CIDRs holds what they hold, mapped addresses included (CVE-2024-24790); an empty one holds nothing."""
    addresses = AddressSet(cidrs)
    assert [addresses.contains(address) for address in (*inside, *outside)] == [True] * len(inside) + [False] * len(
        outside
    )


# --- against a naive scan -------------------------------------------------------------------------------------

# Few high bits and few distinct low ones, so that nesting, equal starts and equal ends are common.
bits = st.integers(0, 7).map(lambda n: n << 29) | st.integers(0, 7) | st.integers(0, 2**32 - 1)


@st.composite
def networks(draw):
    if draw(st.booleans()):
        return str(IPv4Network((draw(bits), draw(st.integers(0, 32))), strict=False))
    return str(IPv6Network(((0x2001 << 112) | draw(bits), draw(st.integers(0, 128))), strict=False))


days = st.none() | st.integers(-2, 2).map(lambda n: TODAY + n * DAY)
entries = st.lists(st.builds(NetworkEntry, networks(), expires=days), max_size=12)


def scan(named, address, on):
    """The definition, entry by entry, with nothing but the standard library."""
    target = ip_address(address)
    return {
        name
        for name, listed in named.items()
        for entry in listed
        if target in ip_network(entry.cidr) and (entry.expires is None or on <= entry.expires)
    }


def edges(named):
    """Both ends of every network, and their neighbours."""
    for listed in named.values():
        for entry in listed:
            network = ip_network(entry.cidr)
            for number in (int(network[0]), int(network[0]) - 1, int(network[-1]), int(network[-1]) + 1):
                if 0 <= number < 2**network.max_prefixlen:
                    yield type(network[0])(number)


@settings(max_examples=200, deadline=None)
@given(st.fixed_dictionaries({"a": entries, "b": entries, "c": entries}))
def test_same_as_a_scan(named):
    """The index gives the answers of a scan through all entries, at every edge of every network, on every day."""
    index = NetworkIndex.build(named)
    for address in {str(address) for address in edges(named) if getattr(address, "ipv4_mapped", None) is None}:
        for on in (TODAY - DAY, TODAY, TODAY + DAY):
            expected = scan(named, address, on)
            assert index.names(address, on) == expected
            for name in named:
                last = index.expiry(address, name, on)
                if last is not None:
                    assert name in scan(named, address, last)
                    assert name not in scan(named, address, last + DAY)


def test_a_hundred_thousand_networks():
    """100 000 CIDRs are indexed in a few seconds at most and asked in microseconds, with the answers of a scan."""
    random = Random(7)
    cidrs = [str(IPv4Network((random.getrandbits(32), random.randint(12, 32)), strict=False)) for _ in range(100_000)]
    named = {
        "a": [NetworkEntry(cidr) for cidr in cidrs[::2]],
        "b": [NetworkEntry(cidr, expires=TODAY) for cidr in cidrs[1::2]],
    }
    started = process_time()
    index = NetworkIndex.build(named)
    built = process_time()
    addresses = [str(ip_address(random.getrandbits(32))) for _ in range(20_000)]
    found = [index.names(address, TODAY) for address in addresses]
    asked = process_time()
    spans = [
        (int(network[0]), int(network[-1]), name) for name, listed in named.items() for network in map(_network, listed)
    ]
    for address, names in zip(addresses[:50], found[:50], strict=True):
        number = int(ip_address(address))
        assert names == {name for first, last, name in spans if first <= number <= last}
    assert built - started < 5  # measured: 0.5 s
    assert (asked - built) / len(addresses) < 100e-6  # measured: 5 microseconds


def _network(entry):
    return ip_network(entry.cidr)
