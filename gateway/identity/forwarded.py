"""What one element of a forwarding header names: an address that a client can have, or nothing.

There is no standard for X-Forwarded-For; proxies write addresses bare or with a port. `Forwarded` has one (RFC 7239),
and it is read to the letter: what needs quotes has them, no blanks, no parameter twice. The well-kept Python parsers
for it are parts of web frameworks, and read from the left.
"""

import re
from functools import lru_cache
from ipaddress import IPv4Address
from typing import NamedTuple

from gateway.policy.networks import parse_address

_LONGEST = 100  # characters of a node: an address, a zone, brackets, a port. What is longer is never remembered
_BROADCAST = IPv4Address("255.255.255.255")

_HOST = r"(?:\[(?P<v6>[0-9A-Fa-f:.]{2,45}(?:%[^\[\]]*)?)\]|(?P<v4>[0-9.]{7,15}))"
_NODE = re.compile(_HOST + r"(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
_NODE_7239 = re.compile(_HOST + r"(?::(?:(?P<port>[0-9]{1,5})|_[A-Za-z0-9._-]+))?", re.ASCII)  # §6.3: obfport

# RFC 7239 §4; token and quoted-string of RFC 9110 §5.6.2 and §5.6.4.
# Every branch begins with a different character, so nothing is tried twice.
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PAIR = re.compile(rf'({_WORD})=(?:({_WORD})|"((?:[\t !#-\[\]-~]|\\[\t -~])*)")', re.ASCII)
_QUOTED_PAIR = re.compile(r"\\(.)")


class Node(NamedTuple):
    """An address in canonical text, and whether a zone was cut off it."""

    address: str
    zone: bool = False


def parse_peer(text: str) -> Node | None:
    """The address of a socket's peer: bare, maybe with a zone. None if a client cannot have it.

    Nobody can be at an unspecified, multicast or broadcast address (RFC 1122 §3.2.1.3, RFC 4291 §2.5.2 and §2.7).
    """
    return _usable(text) if len(text) <= _LONGEST else None


def parse_node(text: str) -> Node | None:
    """The address in an element of X-Forwarded-For or of a header with a single address; None if there is none.

    Bare, or as `192.0.2.1:80`, `[2001:db8::1]`, `[2001:db8::1]:80`. Never quoted, never a name.
    """
    return _usable(text) or _bracketed(_NODE, text) if len(text) <= _LONGEST else None


def parse_forwarded(element: str) -> Node | None:
    """The address of the `for` parameter in one element of Forwarded (RFC 7239 §4, §6); None if there is none.

    None for `unknown` and obfuscated names: they are legal, and no address. A quoted string with a comma in it
    never gets here in one piece, because the header is split at commas first. So a quote that a client leaves
    open cannot swallow what the proxies append; no value of `for`, `by`, `host` or `proto` has a comma.
    """
    node = _parameters(element).get("for")
    return None if node is None or len(node) > _LONGEST else _bracketed(_NODE_7239, node)


def _parameters(element: str) -> dict[str, str]:
    """The parameters by lower-case name; none at all if the syntax is broken anywhere or a name comes twice."""
    found: dict[str, str] = {}
    position = 0
    while position < len(element):
        pair = _PAIR.match(element, position)
        position = pair.end() if pair else position  # an empty pair, as in `for=192.0.2.1;`, is legal
        if position < len(element) and element[position] != ";":
            return {}
        position += 1
        if pair:
            name, token, quoted = pair.groups()
            if name.lower() in found:
                return {}
            found[name.lower()] = _QUOTED_PAIR.sub(r"\1", quoted) if token is None else token
    return found


@lru_cache(maxsize=8192)
def _usable(text: str) -> Node | None:
    try:
        address = parse_address(text)
    except ValueError:
        return None
    if address.is_unspecified or address.is_multicast or address == _BROADCAST:
        return None
    return Node(str(address), "%" in text)


def _bracketed(pattern: re.Pattern[str], text: str) -> Node | None:
    match = pattern.fullmatch(text)
    if match is None or int(match["port"] or 0) > 65535:
        return None
    if match["v6"] is None:
        return _usable(match["v4"])
    return _usable(match["v6"]) if ":" in match["v6"] else None
