"""Who is behind the peer: the client's address, walked back through trusted proxies only.

Proxies append, so the right end of X-Forwarded-For (and of Forwarded, RFC 7239) was written by the machine in front
of us and the left end by anybody. The walk goes from the peer leftwards and stops at the first address that is no
trusted proxy: that is the client, and nothing to its left is even read. An element that is no address ends the
walk in a refusal: to skip it, or to fall back, would let whoever wrote it choose the outcome.

The same rule for the rest of what a proxy may say (scheme, request id): from a trusted peer, in one way, or not at all.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from gateway.identity.forwarded import Node, parse_forwarded, parse_node, parse_peer
from gateway.model import Client, Provenance, Proxies, Reason
from gateway.policy.networks import AddressSet, parse_cidr

Headers = Sequence[tuple[bytes, bytes]]  # as ASGI gives them: names in lower case
Note = tuple[str, str]  # a sentence with one `{}`, and the value that goes in

# What an untrusted peer has no business to send: worth a flag, whichever header is selected.
FORWARDING_HEADERS = (b"x-forwarded-for", b"forwarded")

FROM_UNTRUSTED = "forwarded-from-untrusted"
NO_HEADER = "no-forwarded-header"
ZONE_STRIPPED = "zone-stripped"

_HEADER_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,128}")
# Traefik writes `wss` where a WebSocket came over https, and ASGI says so in `scope["scheme"]`.
_SCHEMES: dict[str, Literal["http", "https"]] = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


# --- what is trusted ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ProxyTrust:
    """`model.Proxies`, checked and ready to use: whom we believe, and in which one header."""

    proxies: Proxies
    trusted: AddressSet = field(repr=False, compare=False)
    header: bytes | None
    shape: Literal["none", "list", "single"]
    suspicious: frozenset[bytes]

    @classmethod
    def of(cls, proxies: Proxies) -> "ProxyTrust":
        """The compiled form.

        Raises:
            ValueError: what is configured cannot mean anything safe: a header without a proxy that may send it, the
                whole address space as proxies, `hops` without a header that lists them, no such header name.
        """
        name = proxies.client_address.lower()
        shape = _shape(name)
        _refuse_nonsense(proxies, shape)
        header = None if shape == "none" else name.encode("ascii")
        suspicious = frozenset((*FORWARDING_HEADERS, *([header] if header else [])))
        return cls(proxies, AddressSet(proxies.trusted), header, shape, suspicious)

    def trusts(self, peer: str | None) -> bool:
        """Whether the peer is one of our proxies. What is no address is not."""
        node = None if peer is None else parse_peer(peer)
        return node is not None and self.trusted.contains(node.address)


def _shape(name: str) -> Literal["none", "list", "single"]:
    if name == "none":
        return "none"
    if _HEADER_NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} is not the name of a header; write none, x-forwarded-for, forwarded or x-real-ip")
    return "list" if name.encode("ascii") in FORWARDING_HEADERS else "single"


def _refuse_nonsense(proxies: Proxies, shape: str) -> None:
    for cidr in proxies.trusted:
        if parse_cidr(cidr).prefixlen == 0:
            raise ValueError(f"{cidr} trusts everybody, so anybody could claim any address; name the proxies")
    if shape != "none" and not proxies.trusted:
        raise ValueError(f"{proxies.client_address} is believed from nobody; name the trusted proxies, or write none")
    if proxies.hops is not None and (shape != "list" or proxies.hops < 1):
        raise ValueError("hops counts the proxies in x-forwarded-for or forwarded; it is 1 or more")


# --- what was found -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FoundClient:
    """The client, the proxies in between (nearest first), and how it was found.

    `notes` are sentences with the values that go in: most requests are never explained, so the text is not made
    until somebody reads `steps`.
    """

    client: Client
    forwarded: tuple[str, ...] = ()
    notes: tuple[Note, ...] = field(default=(), repr=False)

    @property
    def steps(self) -> tuple[str, ...]:
        """One sentence a step, in order. Values from the wire are escaped and cut: safe for a terminal."""
        return tuple(sentence.format(_shown(value)) for sentence, value in self.notes)


def _shown(value: str) -> str:
    return ascii(value if len(value) <= 100 else f"{value[:100]}...")[1:-1]


def find_client(trust: ProxyTrust, peer: str | None, headers: Headers) -> FoundClient:
    """Who the client is, given the socket's peer (None on a unix socket) and the raw headers.

    Never raises for anything that a peer can send. `client.flags` may hold `forwarded-from-untrusted` (an untrusted
    peer sent a forwarding header, which was ignored), `no-forwarded-header` (a proxy asked for itself, such as its
    health check) and `zone-stripped`.
    """
    node = None if peer is None else parse_peer(peer)
    if node is None:
        note = ("The peer is a unix socket{}, which has no address.", "") if peer is None else (_NO_ADDRESS, peer)
        return FoundClient(_nobody(Reason.CLIENT_ADDRESS_UNKNOWN), notes=(note,))
    if not trust.trusted.contains(node.address):
        return _untrusted(trust, node, headers)
    return _Walk(trust, node).find(headers)


_NO_ADDRESS = "The peer {} has no address that a client can have."
_UNTRUSTED = "The peer {} is not a trusted proxy, so it is the client."
_IGNORED = "It sent a forwarding header{}, which is ignored."


def _untrusted(trust: ProxyTrust, peer: Node, headers: Headers) -> FoundClient:
    """The path of nearly every request to a gateway without proxies: two small objects, nothing formatted."""
    for name, _ in headers:
        if name in trust.suspicious:
            notes: tuple[Note, ...] = ((_UNTRUSTED, peer.address), (_IGNORED, ""))
            return FoundClient(_direct(peer, FROM_UNTRUSTED), notes=notes)
    return FoundClient(_direct(peer), notes=((_UNTRUSTED, peer.address),))


@lru_cache(maxsize=8192)
def _direct(peer: Node, *flags: str) -> Client:
    return Client(peer.address, Provenance.DIRECT, flags=flags + ((ZONE_STRIPPED,) if peer.zone else ()))


def _nobody(problem: Reason, flags: tuple[str, ...] = ()) -> Client:
    return Client(None, Provenance.UNKNOWN, problem, flags)


class _Walk:
    """One walk from a trusted peer towards the client, and what was met on the way."""

    __slots__ = ("notes", "passed", "trust", "zone")

    def __init__(self, trust: ProxyTrust, peer: Node) -> None:
        self.trust = trust
        self.passed = [peer]
        self.zone = peer.zone
        self.notes: list[Note] = [("The peer {} is a trusted proxy.", peer.address)]

    def find(self, headers: Headers) -> FoundClient:
        if self.trust.header is None:
            return self._itself("No header is selected, so the proxy {} is the client.")
        lines = [value.decode("latin-1").strip(" \t") for name, value in headers if name == self.trust.header]
        return self._single(lines) if self.trust.shape == "single" else self._listed(lines)

    def _single(self, lines: list[str]) -> FoundClient:
        """Exactly one line with exactly one address: two lines are two opinions."""
        if not lines:
            return self._refused(Reason.CLIENT_ADDRESS_UNKNOWN, "It sent no {} header.", self._header)
        if len(lines) > 1:
            return self._refused(Reason.CLIENT_ADDRESS_AMBIGUOUS, "It sent more than one {} header.", self._header)
        node = parse_node(lines[0])
        return self._malformed(lines[0]) if node is None else self._found(node)

    def _listed(self, lines: list[str]) -> FoundClient:
        """The list in all lines, from its right end to the first address that is no trusted proxy (RFC 7239 §7.4)."""
        hops = self.trust.proxies.hops
        if not any(lines):
            return (
                self._too_short()
                if hops
                else self._itself("It sent no forwarding header: {} asks for itself.", NO_HEADER)
            )
        parse: Callable[[str], Node | None] = parse_forwarded if self.trust.header == b"forwarded" else parse_node
        for depth, text in enumerate(reversed(",".join(lines).split(",")), start=1):
            node = parse(text.strip(" \t"))
            if node is None:
                return self._malformed(text)
            trusted = self.trust.trusted.contains(node.address)
            if depth == hops or not (trusted or hops):
                return self._found(node)
            if not trusted:
                sentence = (
                    "{} stands where a trusted proxy should: the number of hops and the trusted proxies disagree."
                )
                return self._refused(Reason.CLIENT_ADDRESS_AMBIGUOUS, sentence, node.address)
            self._pass(node)
        return self._too_short() if hops else self._all_trusted()

    def _pass(self, node: Node) -> None:
        self.passed.append(node)
        self.zone = self.zone or node.zone
        self.notes.append(("Before it came {}, a trusted proxy.", node.address))

    @property
    def _header(self) -> str:
        return self.trust.proxies.client_address

    def _itself(self, sentence: str, *flags: str) -> FoundClient:
        self.notes.append((sentence, self.passed[0].address))
        return FoundClient(_direct(self.passed[0], *flags), notes=tuple(self.notes))

    def _found(self, node: Node) -> FoundClient:
        self.zone = self.zone or node.zone
        self.notes.append(("Before it came {}: the client.", node.address))
        return self._end(Client(node.address, Provenance.FORWARDED, flags=self._flags))

    def _malformed(self, text: str) -> FoundClient:
        sentence = "Before it came '{}', which is not an address that a client can have."
        return self._refused(Reason.CLIENT_ADDRESS_MALFORMED, sentence, text.strip(" \t"))

    def _too_short(self) -> FoundClient:
        sentence = "The list ends before the configured number of hops, {}."
        return self._refused(Reason.CLIENT_ADDRESS_CHAIN_TOO_SHORT, sentence, str(self.trust.proxies.hops))

    def _all_trusted(self) -> FoundClient:
        sentence = "Every address in {} is a trusted proxy, so none is the client."
        return self._refused(Reason.CLIENT_ADDRESS_ALL_TRUSTED, sentence, self._header)

    def _refused(self, problem: Reason, sentence: str, value: str) -> FoundClient:
        self.notes.append((sentence, value))
        return self._end(_nobody(problem, self._flags))

    def _end(self, client: Client) -> FoundClient:
        return FoundClient(client, tuple(node.address for node in self.passed), tuple(self.notes))

    @property
    def _flags(self) -> tuple[str, ...]:
        return (ZONE_STRIPPED,) if self.zone else ()


# --- what else a trusted proxy may say ------------------------------------------------------------------------


def client_scheme(
    trust: ProxyTrust, peer: str | None, headers: Headers, socket_scheme: str
) -> Literal["http", "https"]:
    """The scheme that the client used: the socket's, unless a trusted peer names one in X-Forwarded-Proto.

    From a trusted peer, two lines, a list, or any other word than http, https, ws or wss mean plain http: a proxy
    that does not know how the client came must not make us send Secure cookies into the open (CVE-2026-54764).
    """
    socket = _SCHEMES.get(socket_scheme, "http")
    lines = [value for name, value in headers if name == b"x-forwarded-proto"]
    if not lines or not trust.trusts(peer):
        return socket
    return _SCHEMES.get(lines[0].decode("latin-1").strip(" \t").lower(), "http") if len(lines) == 1 else "http"


def request_id_from(trust: ProxyTrust, peer: str | None, headers: Headers) -> str | None:
    """The X-Request-Id of a trusted peer: one line of 8 to 128 letters, digits, `.`, `_`, `-`. Else None: make one."""
    lines = [value for name, value in headers if name == b"x-request-id"]
    if len(lines) != 1 or _REQUEST_ID.fullmatch(lines[0]) is None or not trust.trusts(peer):
        return None
    return lines[0].decode("ascii")
