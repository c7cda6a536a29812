"""Ending on SIGTERM and SIGINT: at once where nothing is lost by it, and never in the middle of the cursor."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(BaseException):
    """We were told to end while something was sent. It is not confirmed, and will be sent again."""


class Stop:
    """Whether we were told to end. For the main thread."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._sending = False

    @property
    def requested(self) -> bool:
        """Whether it is time to end."""
        return self._event.is_set()

    def request(self) -> None:
        """End soon."""
        self._event.set()

    def listen(self) -> None:
        """End when the process is told to, with SIGTERM or with Ctrl+C."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)

    def wait(self, seconds: float) -> None:
        """Sleep, and no longer than until it is time to end."""
        self._event.wait(seconds)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Inside, a signal raises Interrupted: a receiver that hangs must not hold us."""
        self._sending = True
        try:
            if self.requested:
                raise Interrupted
            yield
        finally:
            self._sending = False

    def _signalled(self, _number: int, _frame: FrameType | None) -> None:
        self._event.set()
        if self._sending:
            self._sending = False
            raise Interrupted
