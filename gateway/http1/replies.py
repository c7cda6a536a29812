"""Response headers on their way out, checked for less.

h11 checks name and value of every header of every response; with the twenty headers of a typical answer that is a tenth
of all the work of a small one. Here a name is checked by h11 once and remembered, and a value that is beyond doubt is
seen to be so by one expression. Everything else, and whatever frames the body, goes to h11 as always.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

import h11

Pair = tuple[bytes, bytes]

# The list that h11 keeps headers in has no public name; an event's own is one.
_Headers: Final[Any] = type(h11.EndOfMessage().headers)
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})
# Values that h11 accepts beyond doubt: printable ASCII, no blank at either end. It is asked about all others.
_PLAIN: Final = re.compile(rb"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")


class DefaultHeaders(list[Pair]):
    """uvicorn's default headers, which it puts before a response's own; together they are ready to be sent."""

    def __add__(self, more: Iterable[Pair]) -> "SendableHeaders":  # type: ignore[override]
        return sendable([*self, *more])


class SendableHeaders(_Headers):  # type: ignore[misc]  # the class is only known when it runs
    """Headers that h11 has checked. uvicorn adds `Connection: close` to them, which gives such headers again."""

    __slots__ = ()

    def __add__(self, more: Iterable[Pair]) -> "SendableHeaders":
        return sendable([*self, *more])


def sendable(headers: Iterable[Pair]) -> SendableHeaders:
    """The headers, checked. Raises h11.LocalProtocolError, as h11 does, for a name or value that cannot be sent."""
    framing, ready = [], []
    for name, value in headers:
        if name.lower() in _FRAMING:
            framing.append((name, value))
        elif _PLAIN.fullmatch(value):
            ready.append((*_names(name), value))
        else:
            ready += _as_h11_keeps([(name, value)])
    if len(framing) == 1 and framing[0][0] == b"content-length" and framing[0][1].isdigit():
        ready.append((b"content-length", *framing[0]))
    elif framing:
        ready += _as_h11_keeps(framing)  # what frames the body, h11 judges together
    return SendableHeaders(ready)


@lru_cache(maxsize=512)
def _names(name: bytes) -> tuple[bytes, bytes]:
    """The name as it is sent, and in lower case."""
    [(raw, lower, _)] = _as_h11_keeps([(name, b"")])
    return raw, lower


def _as_h11_keeps(headers: list[Pair]) -> list[tuple[bytes, bytes, bytes]]:
    # The one place that looks into h11's list; tests/server/test_replies.py watches it.
    kept: list[tuple[bytes, bytes, bytes]] = h11.EndOfMessage(headers=headers).headers._full_items  # noqa: SLF001
    return kept
