"""One connection to a syslog receiver, and how it ends: the end is all that syslog says about what has arrived."""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, Protocol

from gateway.audit.shipping.errors import Refused, Undelivered

CONNECT_TIMEOUT: Final = 10.0
IO_TIMEOUT: Final = 30.0
# A receiver whose machine is gone says nothing: the kernel asks after 10 s, and gives up within 25.
_KEEP_ALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
)


class Connection(Protocol):
    """What a batch is sent on."""

    def send(self, data: bytes) -> None:
        """Hand all of it to the kernel."""

    def finish(self, patience: float = IO_TIMEOUT) -> None:
        """End it orderly, within so many seconds; on return the receiver has read everything."""

    def check(self) -> None:
        """Raises Undelivered when the receiver has ended it. Never waits."""

    def abandon(self) -> None:
        """Close it without a word."""


def connector(host: str, port: int, context: ssl.SSLContext | None) -> Callable[[], Connection]:
    """What makes connections to this receiver: over TLS, or in the clear without a context.

    What it makes raises Undelivered when there is no connection to be had, Refused when the certificate is not the
    receiver's.
    """
    where = f"{host}:{port}"

    def connect() -> Connection:
        with _told(where):
            plain = socket.create_connection((host, port), CONNECT_TIMEOUT)
            for level, option, value in _KEEP_ALIVE:
                plain.setsockopt(level, option, value)
            return _Plain(plain, where) if context is None else _Tls(_secured(context, plain, host), where)

    return connect


def _secured(context: ssl.SSLContext, plain: socket.socket, host: str) -> ssl.SSLSocket:
    try:
        return context.wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise


class _Plain:
    def __init__(self, sock: socket.socket, where: str) -> None:
        sock.settimeout(IO_TIMEOUT)
        self._socket = sock
        self._where = where

    def send(self, data: bytes) -> None:
        with _told(self._where):
            self._socket.sendall(data)

    def finish(self, patience: float = IO_TIMEOUT) -> None:
        """Its end after ours: a receiver that ends with bytes unread sends a reset instead."""
        with _told(self._where):
            self._socket.settimeout(patience)
            self._socket.shutdown(socket.SHUT_WR)
            while self._socket.recv(4096):
                pass
        self._socket.close()

    def check(self) -> None:
        with _told(self._where):
            self._socket.setblocking(False)
            try:
                ended = not self._socket.recv(4096)
            except (BlockingIOError, ssl.SSLWantReadError):
                ended = False
            finally:
                self._socket.settimeout(IO_TIMEOUT)
        if ended:
            raise Undelivered(f"{self._where}: the receiver has ended the connection")

    def abandon(self) -> None:
        with suppress(OSError):
            self._socket.close()


class _Tls(_Plain):
    def __init__(self, sock: ssl.SSLSocket, where: str) -> None:
        super().__init__(sock, where)
        self._secure = sock

    def finish(self, patience: float = IO_TIMEOUT) -> None:
        """Its close_notify after ours. An end of the connection without one confirms nothing."""
        with _told(self._where):
            self._secure.settimeout(patience)
            self._secure.unwrap().close()


@contextmanager
def _told(where: str) -> Iterator[None]:
    """What went wrong on a socket, in our words."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise untrusted(where, error) from error
    except ssl.SSLError as error:
        raise Undelivered(f"{where}: TLS: {(error.reason or str(error)).lower().replace('_', ' ')}") from error
    except TimeoutError as error:
        raise Undelivered(f"{where}: no answer in time") from error
    except OSError as error:
        raise Undelivered(f"{where}: {(error.strerror or str(error) or 'connection lost').lower()}") from error


def untrusted(where: str, error: ssl.SSLCertVerificationError) -> Refused:
    """What to say about a certificate that we do not accept."""
    cause = error.verify_message[:1].lower() + error.verify_message[1:].rstrip(".")
    return Refused(
        f"{where}: the receiver's certificate is not accepted: {cause}",
        "write the name that stands in the certificate, and name its authority with --ca",
    )
