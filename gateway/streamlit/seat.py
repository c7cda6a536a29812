"""The place of one socket in the line for a script, and the slot that it holds. See `governor.py` for the whole."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamlit.proto.BackMsg_pb2 import BackMsg

from gateway.streamlit.coalescing import Pending, pend

if TYPE_CHECKING:
    from gateway.streamlit.governor import Governor

FORWARDS = 3  # restarts of a run by its own session while others wait
END = 0.1  # seconds after a run that may have another one behind it, in the same thread


@dataclass(eq=False, slots=True)
class Hold:
    """One slot in use. `seat` is None once its socket has closed."""

    owner: str
    since: float
    seat: "Seat | None"
    started: bool = False
    forwards: int = 0
    follows: bool = False  # a rerun was sent that may run after the present one, in the same thread
    ending: bool = False


class Seat:
    """The place of one socket. `owner` is whom its runs are counted for."""

    def __init__(self, governor: "Governor", owner: str, release: Callable[[BackMsg], None]) -> None:
        self.owner = owner
        self._governor = governor
        self._release = release
        self._pending: Pending = ()
        self._hold: Hold | None = None
        self._since: float | None = None
        self._waited = 0.0
        self._closed = False

    def submit(self, rerun: BackMsg) -> None:
        """Release the rerun, now or when its turn comes. What waits is merged and keeps its order."""
        if self._closed:
            return
        self._pending = pend(self._pending, rerun)
        if self._hold is None:
            self._governor.join(self)
        else:
            self.forward()

    def cancel_waiting(self) -> bool:
        """Drop what waits; whether something did."""
        dropped = bool(self._pending)
        self._pending = ()
        self._governor.leave(self)
        return dropped

    def started(self) -> None:
        """A run of this socket's session has begun: `new_session` went out."""
        if self._closed:
            return
        if self._hold is None:
            # Streamlit's own doing, such as a changed secrets file: nobody asked here, and it runs already.
            self._governor.leave(self)
            self.take()
        if self._hold is not None:
            self._hold.started = True
            self._hold.ending = False
            self.forward()

    def finished(self) -> None:
        """A run has ended, and not for a rerun: `script_finished` went out."""
        hold = self._hold
        if hold is None:
            return
        if not hold.follows:
            self._governor.free(hold)
            return
        hold.follows, hold.ending = False, True
        self._governor.later(END, lambda: self._governor.free(hold) if hold.ending else None)

    def close(self) -> None:
        """The socket is gone. Its slot is free when its thread has ended."""
        self._closed = True
        self.cancel_waiting()
        if self._hold is not None:
            self._governor.orphan(self._hold)
            self._hold = None

    @property
    def waiting(self) -> int | None:
        """How many grants come before this one (0: it is next); None when nothing waits for a slot."""
        return None if self._since is None else self._governor.before(self)

    @property
    def waited(self) -> float:
        """Seconds that it waits, or waited for its last slot."""
        return self._waited if self._since is None else self._governor.clock() - self._since

    @property
    def weight(self) -> int:
        """Bytes that wait. Merging keeps all clicks, so a client that invents widgets makes it grow."""
        return sum(message.ByteSize() for message in self._pending)

    # --- for the governor ---

    @property
    def stands(self) -> bool:
        """Whether it is in the line."""
        return self._since is not None

    def take(self) -> None:
        """Hold a slot, and release what waits."""
        self._hold = self._governor.hold(self)
        # Streamlit starts a run for the first; the others run after it, if it does not merge them.
        self._hold.follows = len(self._pending) > 1
        self._let_go()

    def forward(self) -> None:
        """Release what waits into the run that goes on, unless it has been restarted often enough."""
        hold = self._hold
        if not self._pending or hold is None or hold.ending:
            return
        if hold.forwards < FORWARDS or not self._governor.contended:
            hold.forwards += 1
            hold.follows = True
            self._let_go()

    def lose(self) -> None:
        """The slot is gone; what is left waits for another."""
        self._hold = None
        if self._pending:
            self._governor.join(self)

    def stand(self, since: float | None) -> None:
        """In the line since then, or out of it."""
        if since is None and self._since is not None:
            self._waited = self._governor.clock() - self._since
        self._since = since

    def _let_go(self) -> None:
        messages, self._pending = self._pending, ()
        for message in messages:
            self._release(message)
