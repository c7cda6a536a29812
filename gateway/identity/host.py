"""The host a request is for, and whether we answer to it.

Host decides what the browser believes our origin is, so it is read strictly: a name, an IPv4 address or an IPv6
literal, and a port. What RFC 3986 would also allow in its place (percent-encoding, sub-delimiters, non-ASCII) has
no use in an internal host name, and every use in confusing whoever reads the name next (CVE-2026-48710).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address

from gateway.model import Reason
from gateway.policy.networks import parse_address

_LONGEST = 260  # characters: a name of 253, its root dot, a port. What is longer is never remembered
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[^:\[\]]{1,254})(?::([0-9]{0,5}))?", re.ASCII)
# Letters, digits, hyphens (RFC 1123 §2.1), and the underscore that container networks use.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class FoundHost:
    """The host and port that the Host field names, or why it names none.

    `host` is lower case, without trailing dot, IPv6 without brackets; None exactly when `problem` is set.
    `port` is None when the client named none: then it is the scheme's.
    """

    host: str | None
    port: int | None = None
    problem: Reason | None = None


_MISSING = FoundHost(None, problem=Reason.HOST_MISSING)
_MALFORMED = FoundHost(None, problem=Reason.HOST_MALFORMED)


def parse_host(headers: Iterable[tuple[bytes, bytes]]) -> FoundHost:
    """What the one Host field of these raw ASGI headers (lower-case names) names.

    Two Host fields are malformed even when they agree (RFC 9110 §7.2, RFC 9112 §3.2).
    """
    fields = [value for name, value in headers if name == b"host"]
    if len(fields) != 1:
        return _MALFORMED if fields else _MISSING
    named = parse_authority(fields[0].decode("latin-1"))
    return FoundHost(*named) if named else _MALFORMED


def parse_authority(text: str) -> tuple[str, int | None] | None:
    """Host and port of `uri-host [":" port]` (RFC 3986 §3.2.2, §3.2.3), canonical; None if it is anything else.

    An empty port is no port. Port 0, ports above 65535 and ports with leading zeros are refused, as are user
    information, IPv6 zones and IPvFuture literals. An IPv4-mapped IPv6 literal is the IPv4 address.
    """
    return _parse_authority(text) if len(text) <= _LONGEST else None


@lru_cache(maxsize=1024)
def _parse_authority(text: str) -> tuple[str, int | None] | None:
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        return None
    name, port = match.groups()
    host = _parse_literal(name[1:-1]) if name.startswith("[") else _parse_name(name.lower())
    if host is None or (port and (port[0] == "0" or int(port) > 65535)):
        return None
    return host, int(port) if port else None


def _parse_literal(text: str) -> str | None:
    try:
        return str(parse_address(text)) if ":" in text else None
    except ValueError:
        return None


def _parse_name(text: str) -> str | None:
    """The name without its root dot. A name that ends in a number must be IPv4 in its only canonical form.

    Otherwise `127.1`, `0x7f.1` and `2130706433` would be names to us and 127.0.0.1 to a browser (WHATWG URL,
    "ends in a number").
    """
    name = text.removesuffix(".")
    labels = name.split(".")
    if len(name) > 253 or not all(map(_LABEL.fullmatch, labels)):
        return None
    return name if _NUMBER.fullmatch(labels[-1]) is None or _is_ipv4(name) else None


def _is_ipv4(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True


def host_allowed(allowed: tuple[str, ...], host: str) -> bool:
    """Whether one of the entries names the host. Case and one trailing dot do not matter; an empty list allows none.

    `*.x` stands for every name below `x`, however deep, and not for `x` itself nor for an address. No other
    wildcard means anything: `*`, `.x` and `a*.x` match nothing.
    """
    names, suffixes = _compiled(allowed)
    canonical = host.lower().removesuffix(".")
    return canonical in names or (canonical.endswith(suffixes) and _LABEL.match(canonical) is not None)


@lru_cache(maxsize=64)
def _compiled(allowed: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    wildcards = tuple(entry[2:] for entry in allowed if entry.startswith("*."))
    below = (named for named in map(parse_authority, wildcards) if named and not _is_ipv4(named[0]))
    exact = (parse_authority(f"[{entry}]" if entry.count(":") > 1 and entry[0] != "[" else entry) for entry in allowed)
    return _hosts(exact), tuple(f".{host}" for host in _hosts(below) if ":" not in host)


def _hosts(named: Iterable[tuple[str, int | None] | None]) -> frozenset[str]:
    """The hosts without ports: an entry with a port is no entry of a host list."""
    return frozenset(entry[0] for entry in named if entry is not None and entry[1] is None)
