"""When an event happened and what it is called: the two things an event cannot know by itself.

A uid is a ULID (48 bits of milliseconds, 80 random bits, Crockford base32): 26 characters that sort by time. None of
our dependencies makes them, and the whole of it is one number written in base 32.
"""

import threading
import time
from collections.abc import Callable

from msgspec import Struct

from gateway import entropy

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# Ten bits at a time: 13 look-ups instead of 26.
_PAIRS = tuple(high + low for high in _ALPHABET for low in _ALPHABET)
_RANDOM_BITS = 80
_COUNTED = 1 << 20  # the four last characters


class Stamp(Struct, frozen=True, gc=False):
    """`time` in milliseconds since 1970-01-01 UTC, as the clock was read; `uid` a ULID, unique for ever."""

    time: int
    uid: str


def ulid(milliseconds: int, random: int) -> str:
    """The ULID of an instant and 80 random bits (https://github.com/ulid/spec)."""
    number = (milliseconds << _RANDOM_BITS) | random
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in range(120, -1, -10)])


class Stamps:
    """Makes stamps, in order: within one process a later uid is always greater, also when the clock steps back.

    Stamps of one millisecond differ in their last four characters only, which count up from a random start.
    """

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._milliseconds = 0
        self._prefix = ""
        self._last = _COUNTED - 1

    def __call__(self) -> Stamp:
        """The stamp of this moment. Callable from any thread."""
        now = self._clock() // 1_000_000
        with self._lock:
            if now > self._milliseconds or self._last == _COUNTED - 1:
                self._begin(max(now, self._milliseconds + 1))
            else:
                self._last += 1
            return Stamp(now, self._prefix + _PAIRS[self._last >> 10] + _PAIRS[self._last & 1023])

    def _begin(self, milliseconds: int) -> None:
        random = int.from_bytes(entropy.take(_RANDOM_BITS // 8))
        self._milliseconds = milliseconds
        self._prefix = ulid(milliseconds, random)[:-4]
        self._last = random & (_COUNTED // 2 - 1)  # the lower half: at least half a million more fit


stamp = Stamps()
