"""Response headers that h11 need not check twice.

h11 checks every header of every response with two regular expressions. Ours are the same twelve each time: with the
twenty headers of a typical answer that is a tenth of all the work of a small one. Here each pair is checked by h11 once
and remembered. What frames the body (Content-Length, Transfer-Encoding) is never remembered: h11 judges those together.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

import h11

Pair = tuple[bytes, bytes]

# The list that h11 keeps headers in has no public name; an event's own is one.
_Headers: Final[Any] = type(h11.EndOfMessage().headers)
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})


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
    framing, rest = [], []
    for pair in headers:
        if pair[0].lower() in _FRAMING:
            framing.append(pair)
        else:
            rest.append(_checked(*pair))
    if framing:
        rest += h11.EndOfMessage(headers=framing).headers._full_items  # noqa: SLF001  see _checked
    return SendableHeaders(rest)


@lru_cache(maxsize=2048)
def _checked(name: bytes, value: bytes) -> tuple[bytes, bytes, bytes]:
    # The one place that looks into h11's list; tests/server/test_replies.py watches it.
    [item] = h11.EndOfMessage(headers=[(name, value)]).headers._full_items  # noqa: SLF001
    return item
