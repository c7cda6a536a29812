"""How long to wait after a failure: longer each time, never all senders at once."""

from collections.abc import Callable
from typing import Final

FIRST: Final = 1.0


class BackOff:
    """Seconds to wait: about 1, 2, 4 … up to `longest`; `random` gives numbers from 0 to 1."""

    def __init__(self, longest: float, random: Callable[[], float]) -> None:
        self._longest = longest
        self._random = random
        self._failures = 0

    def failed(self, asked: float | None = None) -> float:
        """The wait after one more failure. What the receiver has asked for is waited for, and a little more."""
        bound = min(self._longest, FIRST * 2.0**self._failures)
        self._failures = min(self._failures + 1, 30)
        # From the half to the whole: replicas that have failed together do not come back together.
        return bound * (0.5 + self._random() / 2) if asked is None else asked + self._random()

    def succeeded(self) -> None:
        """Begin anew."""
        self._failures = 0
