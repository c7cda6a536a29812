"""One connection to a syslog receiver, and how it ends: the end is all that syslog says about what has arrived."""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, Protocol

from gateway.audit.shipping.errors import Refused, Undelivered

CONNECT_TIMEOUT: Final = 10.0
IO_TIMEOUT: Final = 30.0
_BLOCK: Final = 64 * 1024
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


def connector(
    host: str, port: int, context: ssl.SSLContext | None, *, trust_any_end: bool = False
) -> Callable[[], Connection]:
    """What makes connections to this receiver: over TLS, or in the clear without a context.

    With `trust_any_end` the receiver's bare end of a TLS connection confirms as its close_notify does: there are
    receivers that send none, and there may be somebody in between who sends the other.

    What it makes raises Undelivered when there is no connection to be had, Refused when the certificate is not the
    receiver's.
    """
    where = f"{host}:{port}"

    def connect() -> Connection:
        with _told(where):
            plain = socket.create_connection((host, port), CONNECT_TIMEOUT)
            try:
                for level, option, value in _KEEP_ALIVE:
                    plain.setsockopt(level, option, value)
                if context is None:
                    return _Plain(plain, where)
                return _Tls(plain, where, context, host, trust_any_end=trust_any_end)
            except BaseException:
                plain.close()
                raise

    return connect


class _Plain:
    def __init__(self, sock: socket.socket, where: str) -> None:
        self._socket = sock
        self._where = where

    def send(self, data: bytes) -> None:
        with _told(self._where):
            self._write(data)

    def finish(self, patience: float = IO_TIMEOUT) -> None:
        """Its end after ours: a receiver that ends with bytes unread sends a reset instead."""
        with _told(self._where):
            self._socket.settimeout(patience)
            self._socket.shutdown(socket.SHUT_WR)
            while self._socket.recv(_BLOCK):
                pass
        self._socket.close()

    def check(self) -> None:
        with _told(self._where):
            self._socket.settimeout(0)
            # To the end of what is there: behind the tickets of TLS 1.3 may stand the end.
            with suppress(BlockingIOError):
                while True:
                    self._read(self._socket.recv(_BLOCK))

    def abandon(self) -> None:
        with suppress(OSError):
            self._socket.close()

    def _read(self, data: bytes) -> None:
        """What the receiver has sent: syslog has nothing to say, so only its end means something."""
        if not data:
            raise Undelivered(f"{self._where}: the receiver has ended the connection")

    def _write(self, data: bytes) -> None:
        # In pieces: a time-out is for a whole sendall, and a slow receiver is no dead one.
        self._socket.settimeout(IO_TIMEOUT)
        view = memoryview(data)
        for at in range(0, len(view), _BLOCK):
            self._socket.sendall(view[at : at + _BLOCK])


class _Tls(_Plain):
    """TLS over buffers of our own.

    `SSLSocket.unwrap` is no use here: OpenSSL's SSL_shutdown takes a fatal alert for the other side's close_notify, and
    returns success. A receiver that refuses our certificate would so have confirmed what it never read (measured: 192
    of 300 times with rsyslog 8.2302, TLS 1.3).
    """

    def __init__(
        self, sock: socket.socket, where: str, context: ssl.SSLContext, host: str, *, trust_any_end: bool
    ) -> None:
        super().__init__(sock, where)
        self._trust_any_end = trust_any_end
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        while not self._shake_hands():
            self._receive()

    def send(self, data: bytes) -> None:
        with _told(self._where):
            view = memoryview(data)
            for at in range(0, len(view), _BLOCK):
                self._tls.write(view[at : at + _BLOCK])
                self._flush()

    def finish(self, patience: float = IO_TIMEOUT) -> None:
        """Its close_notify after ours. An end of the connection without one confirms nothing, unless it is to."""
        with _told(self._where):
            self._drain()
            # Nothing is left to be read, so this only writes our close_notify, and asks for more.
            with suppress(ssl.SSLWantReadError):
                self._tls.unwrap()
            self._flush()
            self._socket.settimeout(patience)
            try:
                while True:
                    self._receive()
                    self._drain()
            except ssl.SSLZeroReturnError:
                pass
            except ssl.SSLEOFError:
                if not self._trust_any_end:
                    raise Undelivered(f"{self._where}: {_BARE_END}") from None
        self._socket.close()

    def _read(self, data: bytes) -> None:
        self._take(data)
        self._drain()

    def _shake_hands(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self._flush()  # also the alert that says why there is no connection
        return True

    def _receive(self) -> None:
        self._take(self._socket.recv(_BLOCK))

    def _take(self, data: bytes) -> None:
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _drain(self) -> None:
        """Read all that is there.

        Raises:
            ssl.SSLZeroReturnError: close_notify was in it.
            ssl.SSLEOFError: the end of the connection was.
            ssl.SSLError: an alert was.
        """
        try:
            while self._tls.read(_BLOCK):
                pass
        except ssl.SSLWantReadError:
            return
        raise ssl.SSLZeroReturnError

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self._write(data)


_BARE_END: Final = (
    "the receiver ends the connection without close_notify (RFC 5425 section 4.4), so nothing is confirmed; "
    "rsyslog does so with the driver gtls and not with ossl: change it, or trust it with --trust-any-end"
)


@contextmanager
def _told(where: str) -> Iterator[None]:
    """What went wrong on a socket, in our words."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise untrusted(where, error) from error
    except (ssl.SSLZeroReturnError, ssl.SSLEOFError) as error:
        raise Undelivered(f"{where}: the receiver has ended the connection") from error
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
