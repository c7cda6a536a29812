"""Random bytes from the system's generator, fetched in blocks.

A request needs a few random bytes for its names (request id, event ids); asking the kernel for each costs more than
the rest of the naming (41 µs a call on a virtual machine). Credentials do not come from here: they ask the kernel.
"""

import os
import threading

_BLOCK = 4096


class Entropy:
    """A block of random bytes that is used once, from front to back, and replaced. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._renew()
        # A forked child must not give out what its parent gives out.
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._block, self._at = os.urandom(_BLOCK), 0

    def take(self, count: int) -> bytes:
        """`count` random bytes, at most 64, that nobody else gets."""
        if not 0 < count <= 64:
            raise ValueError("1 to 64 bytes at a time")
        with self._lock:
            if self._at + count > _BLOCK:
                self._renew()
            self._at += count
            return self._block[self._at - count : self._at]


take = Entropy().take
