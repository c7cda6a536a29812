"""Addresses and networks in one spelling, and which named networks hold an address, in O(log n).

An IPv4-mapped IPv6 address (`::ffff:192.0.2.1`, RFC 4291 §2.5.5.2) is the IPv4 address it stands for, in every
comparison. So an IPv6 network never holds an IPv4 address: `::/0` is every IPv6 address and nothing else. NAT64 and
6to4 addresses stay the IPv6 addresses that they are.

CIDR blocks are nested or disjoint, never half overlapping. That is what the tables below rest on: the blocks, sorted,
form a forest, and one walk cuts the address space into stretches on which the holding networks do not change.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from operator import attrgetter
from typing import NamedTuple

from gateway.model import NetworkEntry

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

REMEMBERED = 8192  # addresses an index keeps the answer for: a few thousand visitors, well under 2 MB
_LONGEST = 64  # characters: 45 of IPv6 at its longest, `%`, 15 of an interface name on Linux, and a little room
_MAPPED = 0xFFFF  # the upper 96 bits of ::ffff:0:0/96
_NEVER_ENDS = date.max
_BEYOND = 1 << 129  # behind the last address of either family

# --- text -----------------------------------------------------------------------------------------------------


def parse_address(text: str) -> IPAddress:
    """The address that the text spells, canonical: IPv4-mapped IPv6 becomes IPv4, a zone (`%eth0`) is dropped.

    Neither ports nor brackets belong to an address; IPv4 octets have no leading zeros (CVE-2021-29921).

    Raises:
        ValueError: the text is not one address, or has more than 64 characters: what is remembered stays small.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"{text[:_LONGEST]}... is too long for an address")
    address = ip_address(text)
    if isinstance(address, IPv4Address):
        return address
    # `ipaddress` compares addresses with zones as different from those without, so none may survive.
    return address.ipv4_mapped or (IPv6Address(int(address)) if address.scope_id is not None else address)


def parse_cidr(text: str) -> IPNetwork:
    """The network that the text spells; a bare address means that address alone (`/32` or `/128`).

    Refused are what `ipaddress` would guess about: host bits, netmasks (`/255.0.0.0`), zones, prefix lengths
    with signs or leading zeros, and IPv4-mapped networks, for which there is one spelling, the IPv4 one.

    Raises:
        ValueError: with a text that says what to write instead.
    """
    address, prefix = _parse_parts(text)
    return (IPv4Network if isinstance(address, IPv4Address) else IPv6Network)((int(address), prefix))


def _parse_parts(text: str) -> tuple[IPAddress, int]:
    """First address and prefix length, checked. Apart, because network objects cost half of building an index."""
    base, slash, length = text.partition("/")
    if "%" in base:
        raise ValueError(f"{text} has a zone, which names an interface of one machine; leave it out")
    address = ip_address(base)
    bits = address.max_prefixlen
    prefix = _parse_length(length, bits) if slash else bits
    number = int(address)
    if bits == 128 and number >> 32 == _MAPPED and prefix >= 96:
        mapped = IPv4Network((number & 0xFFFF_FFFF, prefix - 96), strict=False)
        raise ValueError(f"{text} is IPv4 written as IPv6; write {mapped}")
    if number & ((1 << bits - prefix) - 1):
        network = ip_network((number, prefix), strict=False)
        raise ValueError(f"{text} has host bits set; write {network} or {address}/{bits}")
    return address, prefix


def _parse_length(text: str, bits: int) -> int:
    if not (text.isascii() and text.isdigit() and str(int(text[:4])) == text) or int(text) > bits:
        raise ValueError(f"/{text[:40]} is not a prefix length; write /0 to /{bits}")
    return int(text)


# --- tables ---------------------------------------------------------------------------------------------------

_Holders = Mapping[str, date]  # network name -> the last day on which it holds this stretch of addresses
_NOBODY: _Holders = {}


class _Block(NamedTuple):
    """One CIDR as a range of integers, both ends included."""

    first: int
    last: int
    name: str
    expires: date


class _Table:
    """Who holds which stretch of one address family: sorted starts, and the holders from each start on."""

    __slots__ = ("_holders", "_shared", "_starts")

    def __init__(self, blocks: Iterable[_Block]) -> None:
        self._starts: list[int] = [0]
        self._holders: list[_Holders] = [_NOBODY]
        self._shared: dict[tuple[int, str, date], _Holders] = {}
        around: list[tuple[int, _Holders]] = []  # last address and holders of the blocks around the current one
        for block in sorted(sorted(blocks, key=attrgetter("last"), reverse=True), key=attrgetter("first")):
            self._leave(around, block.first)
            holders = self._with(around[-1][1] if around else _NOBODY, block)
            around.append((block.last, holders))
            self._mark(block.first, holders)
        self._leave(around, _BEYOND)

    def _leave(self, around: list[tuple[int, _Holders]], upto: int) -> None:
        """Close the blocks that end before `upto`: behind each, what is around it holds again."""
        while around and around[-1][0] < upto:
            last, _ = around.pop()
            self._mark(last + 1, around[-1][1] if around else _NOBODY)

    def _with(self, around: _Holders, block: _Block) -> _Holders:
        """What is around, and this block: a name holds until the last of its entries ends.

        Equal answers are one object: 100 000 entries have few different combinations of names and days.
        `_shared` keeps each of them alive, so an `id` is never used again for another.
        """
        known = around.get(block.name)
        if known is not None and known >= block.expires:
            return around
        key = (id(around), block.name, block.expires)
        if key not in self._shared:
            self._shared[key] = {**around, block.name: block.expires}
        return self._shared[key]

    def _mark(self, start: int, holders: _Holders) -> None:
        if self._starts[-1] == start:
            self._holders[-1] = holders
        else:
            self._starts.append(start)
            self._holders.append(holders)

    def find(self, address: int) -> _Holders:
        return self._holders[bisect_right(self._starts, address) - 1]


def _block(name: str, entry: NetworkEntry) -> tuple[int, _Block]:
    address, prefix = _parse_parts(entry.cidr)
    first = int(address)
    last = first | (1 << address.max_prefixlen - prefix) - 1
    return address.version, _Block(first, last, name, entry.expires or _NEVER_ENDS)


def _finder(blocks: Iterable[tuple[int, _Block]]) -> Callable[[str], _Holders]:
    """A function from an address's text to its holders, which remembers the addresses it met last.

    What is remembered carries its last days with it, so no answer can outlive an entry.
    """
    families: dict[int, list[_Block]] = {4: [], 6: []}
    for version, block in blocks:
        families[version].append(block)
    tables = {version: _Table(family) for version, family in families.items()}

    @lru_cache(maxsize=REMEMBERED)
    def find(text: str) -> _Holders:
        address = parse_address(text)
        return tables[address.version].find(int(address))

    return find


# --- what others use ------------------------------------------------------------------------------------------


class NetworkIndex:
    """Which named networks hold an address on a day: `model.NetworkMembership` over any number of entries.

    Memory and building time grow with the entries, a question takes their logarithm. Instances do not change.
    Each method raises ValueError for a text that is no address: the caller, who cannot know what the address
    would have matched, must deny.
    """

    __slots__ = ("_find",)

    def __init__(self, find: Callable[[str], _Holders]) -> None:
        self._find = find

    @classmethod
    def build(cls, networks: Mapping[str, Sequence[NetworkEntry]]) -> "NetworkIndex":
        """The index over these networks.

        Raises:
            ValueError: an entry is not a CIDR, see `parse_cidr`.
        """
        return cls(_finder(_block(name, entry) for name, entries in networks.items() for entry in entries))

    def names(self, address: str, on: date) -> frozenset[str]:
        """The networks whose entries, not expired on that day, contain the address."""
        return frozenset(name for name, last in self._find(address).items() if last >= on)

    def expiry(self, address: str, name: str, on: date) -> date | None:
        """The last day on which `name` holds the address; None when it has no end.

        None too when it does not hold the address on that day: then there is nothing that time will end.
        """
        last = self._find(address).get(name, _NEVER_ENDS)
        return last if on <= last < _NEVER_ENDS else None

    def contains(self, address: str, names: tuple[str, ...], on: date) -> bool:
        """Whether any of the named networks holds the address on that day. No names: no."""
        holders = self._find(address)
        return any(holders.get(name, date.min) >= on for name in names) if holders else False


class AddressSet:
    """Whether an address is in one of a few networks without names or dates, such as the trusted proxies."""

    __slots__ = ("_find",)

    def __init__(self, cidrs: Iterable[str]) -> None:
        """The set of all addresses in these CIDRs.

        Raises:
            ValueError: an entry is not a CIDR, see `parse_cidr`.
        """
        self._find = _finder(_block("", NetworkEntry(cidr)) for cidr in cidrs)

    def contains(self, address: str) -> bool:
        """Whether one of the networks holds the address; an empty set holds none.

        Raises:
            ValueError: the text is no address.
        """
        return bool(self._find(address))
