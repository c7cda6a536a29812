"""What waits to be written: a bounded queue of receipts between all threads and the one writer.

One lock guards the queue and every receipt in it. It is held for a few list operations and never during one of the
disk's, so that `put` on the event loop cannot wait for the disk.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, Literal, NoReturn

from gateway.audit.event import Durability, Event, Unbuilt
from gateway.errors import AuditUnavailable

Cause = Literal["disk-full", "disk-error", "timeout", "closed", "queue-full", "log-replaced", "event-error"]
Entry = Event | Unbuilt[Any]

_DURABLE: Final = "durable"
_LINGER: Final = 0.02  # seconds: how long events that nobody waits for may gather before they are written by themselves
_Waiter = tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | threading.Event


class Receipt:
    """The promise that one event is, or will be, on the disk."""

    __slots__ = ("_lock", "_outcome", "_waiters", "durability", "event", "queued_at", "size")

    def __init__(self, lock: threading.Lock, event: Entry, durability: Durability) -> None:
        self.event = event
        self.size = event.size
        self.durability = durability
        self.queued_at = time.monotonic()
        self._lock = lock
        self._outcome: str | None = None
        self._waiters: list[_Waiter] | None = None

    async def durable(self) -> None:
        """Return when the event is on the disk. Never blocks the loop.

        Raises:
            AuditUnavailable: it will never be: `disk-full`, `disk-error`, `log-replaced`, `timeout` or `closed`.
        """
        if self._outcome is None:
            loop = asyncio.get_running_loop()
            future = loop.create_future()
            if self._enlist((loop, future)):
                await future
        self._judge()

    def wait(self, timeout: float | None = None) -> None:
        """Block this thread until the event is on the disk, at most `timeout` seconds. Not for the event loop's thread.

        Raises:
            AuditUnavailable: as `durable`; `timeout` also when the time has passed.
        """
        done = threading.Event()
        if self._outcome is None and self._enlist(done) and not done.wait(timeout):
            raise AuditUnavailable("timeout")
        self._judge()

    def _enlist(self, waiter: _Waiter) -> bool:
        with self._lock:
            if self._outcome is not None:
                return False
            if self._waiters is None:
                self._waiters = [waiter]
            else:
                self._waiters.append(waiter)
            return True

    def _judge(self) -> None:
        if self._outcome != _DURABLE:
            raise AuditUnavailable(self._outcome or "closed")

    def settle(self, outcome: str) -> list[_Waiter] | None:
        """Fix the outcome and hand over who waits for it. Only under the lock."""
        self._outcome = outcome
        waiters, self._waiters = self._waiters, None
        return waiters


class Suppressed:
    """How many events were refused or lost since it was last asked for, and from when to when (milliseconds)."""

    __slots__ = ("count", "first", "last")

    def __init__(self) -> None:
        self.count = 0
        self.first = 0
        self.last = 0

    def add(self, time_of_event: int) -> None:
        """Count one."""
        self.first = self.first if self.count else time_of_event
        self.last = time_of_event
        self.count += 1


class Inbox:
    """The bounded queue. `put` from any thread, everything else from the writer and its watchdog."""

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self.lock = threading.Lock()
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._queue: deque[Receipt] = deque()
        self._taken: list[Receipt] = []
        self._bytes = 0
        self._refusal: Cause | None = None
        self._wake = threading.Event()
        self._urgent = False  # somebody waits, or will, for something in the queue
        self._calling = False  # the event loop has been asked to wake the writer at its next turn
        self._suppressed = Suppressed()

    def put(self, event: Entry, durability: Durability) -> Receipt:
        """Queue an event for the next commit.

        Raises:
            AuditUnavailable: at once, when the log is failed or closed, or `queue-full`. The event is counted.
        """
        receipt = Receipt(self.lock, event, durability)
        urgent = durability is not Durability.ASYNC
        queue = self._queue
        with self.lock:
            size = self._bytes + receipt.size
            full = len(queue) + len(self._taken) >= self._max_events or size > self._max_bytes
            if full or self._refusal is not None:
                self._turn_away(receipt)
            queue.append(receipt)
            self._bytes = size
            wakes = len(queue) == 1 or (urgent and not self._urgent)
            self._urgent |= urgent
        if wakes:
            self._call()
        return receipt

    def _call(self) -> None:
        """Wake the writer: from an event loop at its next turn, so that one commit takes what this turn brings."""
        loop = asyncio._get_running_loop()  # noqa: SLF001  documented; the public one raises in other threads
        if loop is None:
            self._wake.set()
        elif not self._calling:
            self._calling = True
            loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._calling = False
        self._wake.set()

    def _turn_away(self, receipt: Receipt) -> NoReturn:
        self._suppressed.add(receipt.event.time)
        raise AuditUnavailable(self._refusal or "queue-full")

    def take(self, max_bytes: int, timeout: float) -> list[Receipt]:
        """All that waits, oldest first, up to `max_bytes`; empty when nothing came within `timeout` seconds."""
        if not self._urgent:
            self._wake.wait(timeout)
            self._wake.clear()
            self._let_gather()
        self._wake.clear()
        with self.lock:
            size = 0
            self._urgent = False
            while self._queue and (not self._taken or size + self._queue[0].size <= max_bytes):
                receipt = self._queue.popleft()
                size += receipt.size
                self._taken.append(receipt)
            self._urgent = bool(self._queue)  # more than one batch: at once again
            return self._taken

    def _let_gather(self) -> None:
        if self._queue and not self._urgent and self._refusal is None:
            self._wake.wait(_LINGER)

    def disown(self, receipt: Receipt) -> None:
        """Give up one event of the taken batch, which cannot be built; the others are not concerned."""
        with self.lock:
            if receipt not in self._taken:
                return  # the whole batch was given up meanwhile
            self._taken.remove(receipt)
            self._suppressed.add(receipt.event.time)
            waiters = self._settle([receipt], "event-error")
        _notify(waiters)

    def acknowledge(self) -> bool:
        """Tell who waits for the taken batch that it is durable. False: it was given up meanwhile, and they know."""
        with self.lock:
            if self._refusal is not None and not self._taken:
                return False
            waiters = self._settle(self._taken, _DURABLE)
            self._taken = []
        _notify(waiters)
        return True

    def refuse(self, cause: Cause, before_telling: Callable[[], None] = lambda: None) -> bool:
        """Give up what was taken and what waits, refuse what comes, for this cause. False when it was so already.

        `before_telling` runs before anybody who waits is told, so that what they then look at agrees with it.
        """
        with self.lock:
            if self._refusal not in (None, "closed"):
                return False
            self._refusal = cause
            lost = [*self._taken, *self._queue]
            for receipt in lost:
                self._suppressed.add(receipt.event.time)
            waiters = self._settle(lost, cause)
            self._taken = []
            self._queue.clear()
        before_telling()
        _notify(waiters)
        return True

    def accept(self) -> None:
        """Take events again, unless it was closed meanwhile."""
        with self.lock:
            if self._refusal != "closed":
                self._refusal = None

    def close(self) -> None:
        """Refuse what comes from now on; what waits is still written."""
        with self.lock:
            self._refusal = "closed"
        self._wake.set()

    def take_suppressed(self) -> Suppressed:
        """What was refused or lost since the last call."""
        with self.lock:
            result, self._suppressed = self._suppressed, Suppressed()
            return result

    def put_back(self, suppressed: Suppressed) -> None:
        """Count again what could not be reported."""
        with self.lock:
            now = self._suppressed
            suppressed.count += now.count
            suppressed.last = now.last or suppressed.last
            self._suppressed = suppressed

    @property
    def suppressed(self) -> int:
        """How many events were refused or lost since that was last reported."""
        return self._suppressed.count

    def waits_since(self) -> float | None:
        """When the oldest event that is not yet durable was queued, on the monotonic clock."""
        with self.lock:
            if self._taken:
                return self._taken[0].queued_at
            return self._queue[0].queued_at if self._queue else None

    def _settle(self, receipts: Iterable[Receipt], outcome: str) -> list[_Waiter]:
        waiters: list[_Waiter] = []
        size = 0
        for receipt in receipts:
            size += receipt.size
            if found := receipt.settle(outcome):
                waiters += found
        self._bytes -= size
        return waiters


def _notify(waiters: Iterable[_Waiter]) -> None:
    """One call into each event loop, however many wait on it: a call is a system call and a wake-up."""
    loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for waiter in waiters:
        if isinstance(waiter, threading.Event):
            waiter.set()
        else:
            loops.setdefault(waiter[0], []).append(waiter[1])
    for loop, futures in loops.items():
        with suppress(RuntimeError):  # the loop was closed while somebody waited: nobody is left to tell
            loop.call_soon_threadsafe(_release, futures)


def _release(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():  # cancelled: the visitor left
            future.set_result(None)
