"""Every open connection of a server: how many there may be, who gives way, and who is too slow.

One sweep a second looks at all of them, so a connection costs no timer and a read no bookkeeping but an addition;
time limits are therefore kept to about a second. The two ways in which silent sockets could shut others out are closed
here: one address cannot hold more than its share, and when all places are taken, a connection that only waits
(for a request, or in its TLS handshake) gives way to a new one, first from the address that holds most of them.
"""

import asyncio
import ipaddress
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

_log: Final = logging.getLogger("gateway.server")
_NAMED_AT_MOST: Final = 10  # addresses named in one sweep's warning, so that a flood cannot flood the log


def _nobody(_peer: str) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """How many connections, and how long each may take. Times in seconds, sizes in bytes.

    `exempt` says which peers (trusted proxies) have no cap of their own. `body_timeout` is how long a request body may
    stand still; bytes buy the time back at `body_rate` a second, so a slow but honest upload of any size arrives.
    `write_timeout` is how long a peer may leave our answer unread.
    """

    max_connections: int = 4096
    max_connections_per_address: int = 256
    exempt: Callable[[str], bool] = _nobody
    idle_timeout: float = 10.0  # from the connection to its first byte, or to the end of the TLS handshake
    head_timeout: float = 10.0  # from the first byte of a head to its blank line
    body_timeout: float = 30.0
    body_rate: int = 1024
    write_timeout: float = 30.0
    keep_alive: float = 5.0  # from an answer to the next request
    max_head: int = 64 * 1024


class Connection(Protocol):
    """What the table asks of a connection."""

    def look(self, now: float) -> None:
        """End it if it is too slow. Called about once a second."""

    def drop(self) -> None:
        """End it at once, without an answer."""


@dataclass(slots=True)
class BodyMeter:
    """Seconds that a request body has left. It starts with `most`, loses one a second, and bytes buy some back."""

    most: float
    rate: int
    request: object = None
    received: int = 0
    looked: float = 0.0
    left: float = 0.0

    def is_late(self, request: object, received: int, now: float, *, counts: bool) -> bool:
        """Whether nothing is left. The time since the last look costs, and what was received since then earns."""
        if request is not self.request:
            self.request, self.left = request, self.most
        elif counts:
            earned, spent = (received - self.received) / self.rate, now - self.looked
            self.left = min(self.most, self.left + earned) - spent
        self.received, self.looked = received, now
        return self.left < 0


class Connections:
    """The table of open connections. Belongs to one event loop."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        shortest = min(limits.idle_timeout, limits.head_timeout, limits.body_timeout, limits.write_timeout)
        self._interval = min(1.0, shortest / 4)
        self._block: dict[Connection, str] = {}
        self._count: Counter[str] = Counter()
        self._exempt: set[str] = set()
        # Both levels keep the order of arrival: the first of an inner dict has waited longest.
        self._waiting: dict[str, dict[Connection, None]] = {}
        self._refused: Counter[str] = Counter()
        self._displaced = 0
        self._sweep_handle: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._block)

    def admit(self, connection: Connection, peer: str | None) -> bool:
        """Whether the connection may stay; it then waits. One that was admitted before may."""
        if connection in self._block:
            return True
        block = address_block(peer)
        exempt = peer is not None and self.limits.exempt(peer)
        if not exempt and self._count[block] >= self.limits.max_connections_per_address:
            self._refused[block] += 1
            return False
        if len(self) >= self.limits.max_connections and not self._make_room():
            self._refused[block] += 1
            return False
        if exempt:
            self._exempt.add(block)
        self._block[connection] = block
        self._count[block] += 1
        self.wait(connection)
        self._arm()
        return True

    def wait(self, connection: Connection) -> None:
        """The connection is between requests, or before its first: it gives way when places are short."""
        if (block := self._block.get(connection)) is not None:
            self._waiting.setdefault(block, {})[connection] = None

    def serve(self, connection: Connection) -> None:
        """The connection has a request: it keeps its place until it is done."""
        if (block := self._block.get(connection)) is None:
            return
        waiting = self._waiting.get(block, {})
        waiting.pop(connection, None)
        if not waiting:
            self._waiting.pop(block, None)

    def hand_over(self, old: Connection, new: Connection) -> None:
        """`new` speaks on the socket of `old` from now on (TLS after its handshake, WebSocket after HTTP)."""
        self.serve(old)
        if (block := self._block.pop(old, None)) is not None:
            self._block[new] = block

    def leave(self, connection: Connection) -> None:
        """The connection is gone. May be called twice."""
        self.serve(connection)
        if (block := self._block.pop(connection, None)) is None:
            return
        self._count[block] -= 1
        if not self._count[block]:
            del self._count[block]
            self._exempt.discard(block)

    def _make_room(self) -> bool:
        """Ends the connection that has waited longest, of the address that holds most; a proxy's come last."""
        candidates = [block for block in self._waiting if block not in self._exempt] or self._waiting
        if not candidates:
            return False
        block = max(candidates, key=lambda block: len(self._waiting[block]))
        longest = next(iter(self._waiting[block]))
        self.leave(longest)
        longest.drop()
        self._displaced += 1
        return True

    def _arm(self) -> None:
        if self._sweep_handle is None:
            self._sweep_handle = asyncio.get_running_loop().call_later(self._interval, self._sweep)

    def _sweep(self) -> None:
        self._sweep_handle = None
        if self._block:
            self._arm()
        self._warn()
        now = asyncio.get_running_loop().time()
        for connection in list(self._block):
            try:
                connection.look(now)
            except Exception:  # one connection in a state nobody thought of must not switch the time limits off
                _log.exception("a connection could not be checked and was ended")
                connection.drop()

    def _warn(self) -> None:
        for block, times in self._refused.most_common(_NAMED_AT_MOST):
            _log.warning("%d connections from %s refused: its share or all places are taken", times, block)
        if self._displaced:
            _log.warning("all places taken: %d waiting connections gave way to new ones", self._displaced)
        self._refused.clear()
        self._displaced = 0


def address_block(peer: str | None) -> str:
    """What one visitor has many of at no cost: an IPv4 address, or the /64 around an IPv6 one (RFC 6177 §2)."""
    try:
        address = ipaddress.ip_address(peer or "")
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address), 64), strict=False))
