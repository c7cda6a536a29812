"""Syslog: RFC 5424 messages with the frames of RFC 5425, over TLS.

Syslog has no acknowledgement. What stands in for one: a batch has a connection of its own, and counts when the receiver
has answered our close_notify with its own (RFC 5425 §4.4). TLS delivers in order, so by then it has read every byte.
Measured: rsyslog 8.2302 answers with its driver ossl and not with gtls; syslog-ng 3.38 answers.

It may still have them in memory only. So there is always a connection more than is in use: it was opened before the
last batch was closed, and nothing is sent on it until the next. When it ends and we have not ended it, the receiver is
gone; then everything that was confirmed in the last `overlap` seconds is sent again. The receiver tells copies by
`metadata.uid`.
"""

import re
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from gateway import __version__
from gateway.audit.formats import FORMATS
from gateway.audit.shipping.connection import Connection
from gateway.audit.shipping.errors import Undelivered
from gateway.audit.shipping.shorten import shorten
from gateway.audit.shipping.sink import Batch, Delivered, Stored

LONGEST: Final = 8192
"""Bytes of the longest message: what every receiver SHOULD take (RFC 5425 §4.3.1). 2048 is what it MUST take."""

_LEAVE: Final = 2.0  # seconds for an orderly end of a connection that nothing was sent on
_FACILITY: Final = 13  # log audit, RFC 5424 §6.2.1
# From OCSF (informational to fatal) to syslog (informational, notice, warning, error, critical, alert).
_SEVERITIES: Final = {1: 6, 2: 5, 3: 4, 4: 3, 5: 2, 6: 1}
_NOT_PRINTUSASCII: Final = re.compile(r"[^\x21-\x7e]")


class SyslogSink:
    """A receiver of syslog. `connect` makes a connection; `schema` is `ocsf` or `cef`."""

    def __init__(self, connect: Callable[[], Connection], schema: str, *, overlap: float, longest: int) -> None:
        self.overlap = overlap
        self._connect = connect
        self._format = FORMATS[schema]
        self._longest = longest
        self._host = _name(socket.getfqdn(), 255)
        self._waiting: Connection | None = None

    def send(self, batch: Batch) -> Delivered:
        """The batch on the connection that waits, and the next connection opened before this one is closed."""
        frames = b"".join(frame(self._message(each)) for each in batch.events)
        connection = self._waiting or self._connect()
        self._waiting = None
        try:
            connection.check()
            connection.send(frames)
            self._waiting = self._connect()
            connection.finish()
        except Undelivered as error:
            connection.abandon()
            raise Undelivered(str(error), rewind=True) from error
        except BaseException:
            connection.abandon()
            raise
        return Delivered()

    def check(self) -> None:
        """Raises Undelivered when the connection that waits has ended."""
        if self._waiting is None:
            return
        try:
            self._waiting.check()
        except Undelivered as error:
            self._waiting.abandon()
            self._waiting = None
            raise Undelivered(str(error), rewind=True) from error

    def close(self) -> None:
        """End the connection that waits, orderly if the receiver lets us."""
        if self._waiting is not None:
            try:
                self._waiting.finish(_LEAVE)
            except Undelivered:
                self._waiting.abandon()
            self._waiting = None

    def _message(self, stored: Stored) -> bytes:
        event: dict[str, Any] = msgspec.json.decode(stored.line)
        head = header(event, self._host)
        text = self._format.line(event, stored.line)
        if len(head) + len(text) > self._longest:
            event, line = shorten(event, stored.line, self._longest - len(head) - (len(text) - len(stored.line)))
            text = self._format.line(event, line)
        return head + text


def frame(message: bytes) -> bytes:
    """The message behind its length: octet counting, RFC 5425 §4.3."""
    return b"%d %b" % (len(message), message)


def header(event: dict[str, Any], host: str) -> bytes:
    """The header of RFC 5424 §6.2 and structured data: where the event stands in which log, and who wrote it.

    MSGID is the event's code, PROCID the worker. No BOM: the body is ASCII, or UTF-8 that says so itself (§6.4).
    """
    metadata = event["metadata"]
    log = str(metadata.get("log_name", ""))
    priority = _FACILITY * 8 + _SEVERITIES.get(event.get("severity_id", 1), 6)
    worker = _name(log.rpartition("/")[2], 128)
    code = _name(str(metadata.get("event_code", "")), 32)
    # sequenceId ends at 2147483647 and begins again at 1 (RFC 5424 §7.3.1); the body has the whole number.
    number = metadata["sequence"] % 2147483647 + 1
    return (
        f"<{priority}>1 {_timestamp(event['time'])} {host} streamlit-gateway {worker} {code} "
        f'[meta sequenceId="{number}"][origin software="streamlit-gateway" swVersion="{__version__}"] '
    ).encode()


def _name(text: str, longest: int) -> str:
    return _NOT_PRINTUSASCII.sub("_", text)[:longest] or "-"


def _timestamp(milliseconds: int) -> str:
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, OSError, ValueError):
        return "-"
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
