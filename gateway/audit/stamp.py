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
_RANDOM_MAX = (1 << _RANDOM_BITS) - 1


class Stamp(Struct, frozen=True, gc=False):
    """`time` in milliseconds since 1970-01-01 UTC, as the clock was read; `uid` a ULID, unique for ever."""

    time: int
    uid: str


def ulid(milliseconds: int, random: int) -> str:
    """The ULID of an instant and 80 random bits (https://github.com/ulid/spec)."""
    number = (milliseconds << _RANDOM_BITS) | random
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in range(120, -1, -10)])


class Stamps:
    """Makes stamps, in order: within one process a later uid is always greater, also when the clock steps back."""

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._milliseconds = 0
        self._random = 0

    def __call__(self) -> Stamp:
        """The stamp of this moment. Callable from any thread."""
        now = self._clock() // 1_000_000
        with self._lock:
            if now > self._milliseconds:
                self._milliseconds, self._random = now, int.from_bytes(entropy.take(_RANDOM_BITS // 8))
            elif self._random == _RANDOM_MAX:
                self._milliseconds, self._random = self._milliseconds + 1, 0
            else:
                self._random += 1
            return Stamp(now, ulid(self._milliseconds, self._random))


stamp = Stamps()
