"""Sockets to listen on, and how many connections the process can have file descriptors for."""

import errno
import logging
import resource
import socket
from dataclasses import replace
from typing import Final

from gateway.errors import StartupError
from gateway.http1.connections import ConnectionLimits

_log: Final = logging.getLogger("gateway.server")
_OWN_DESCRIPTORS: Final = 256  # listeners, the record, Streamlit's files: all that is not a connection
# How much of an answer the kernel holds unsent. Its default grows to megabytes, which a slow reader of an idle page
# would pin for each connection, and which would make an honest slow reader look like one who does not read at all.
_UNSENT: Final = 128 * 1024
_TCP_NOTSENT_LOWAT: Final = 25  # linux/tcp.h; Python's socket module names it from 3.12 on


def bind(host: str, port: int) -> list[socket.socket]:
    """Sockets on every address of a host, all with one port, not listening yet.

    Bound before the application starts: a port that is taken is the commonest mistake, and the cheapest to tell.

    Raises:
        StartupError: the host has no address here, or the port is taken or not ours to take.
    """
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            chosen = sockets[0].getsockname()[1] if sockets else port
            sockets.append(_bound(socket.socket(family, kind, protocol), (str(address[0]), chosen, *address[2:])))
    except OSError as error:
        for listener in sockets:
            listener.close()
        raise cannot_listen(host, port, error) from error
    return sockets


def _bound(listener: socket.socket, address: tuple[object, ...]) -> socket.socket:
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if listener.family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # IPv4 peers never look like ::ffff:…
        listener.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, _UNSENT)  # accepted sockets inherit it
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def affordable(limits: ConnectionLimits) -> ConnectionLimits:
    """The limits, with no more connections than this process can have file descriptors for.

    Raises the soft limit of descriptors for that. Running out of them would stop `accept` for everybody, which is the
    outage that the cap on connections prevents.
    """
    needed = limits.max_connections + _OWN_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return limits
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard == resource.RLIM_INFINITY or hard >= needed:
        return limits
    fitting = max(hard - _OWN_DESCRIPTORS, hard // 2)
    _log.warning("only %d connections: the limit of open files is %d, and %d are needed", fitting, hard, needed)
    return replace(limits, max_connections=fitting)


def cannot_listen(host: str, port: int, error: OSError) -> StartupError:
    """The error that says why, and what to do about it."""
    hints = {
        errno.EADDRINUSE: "stop the program that uses the port (`ss -ltnp` names it), or choose another port",
        errno.EACCES: "choose a port above 1023, or give the process CAP_NET_BIND_SERVICE",
        errno.EADDRNOTAVAIL: "the host must be an address of this machine, or 0.0.0.0 or :: for all of them",
    }
    cause = (error.strerror or str(error)).lower()
    return StartupError(f"cannot listen on {host} port {port}: {cause}", hint=hints.get(error.errno or 0))
