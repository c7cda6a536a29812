"""Who may run a script now: at most so many at once, the others in a line that is fair between owners.

Python runs one thread at a time, and the event loop is one of them. With forty scripts running, it gets its turn too
late for anybody: bare Streamlit's health route then answers after seconds. So a rerun waits here for a slot; what
waits for one session is merged as Streamlit merges it (`coalescing.py`). Everything happens on the event loop: no
locks, no awaiting.

- **Fair.** Owners (people, sessions) take turns, then the sockets of an owner. Nobody holds more than half of the slots
  while others wait.
- **One slot, one thread.** A session's further reruns go to Streamlit at once, which interrupts the run for them. Under
  contention that happens a few times (`seat.py`); then they wait for the end of the run, so that nobody keeps a slot by
  clicking.
- **The threads count, not the messages.** A socket that closes leaves its slot to the thread that still runs; a rerun
  that started nothing, or whose messages are stuck, does not keep one. While somebody waits, the holds are compared
  with the threads that are alive.
- **Runs that compute nothing lend their slots.** A script that waits for a database, or a dashboard that sleeps and
  draws for ever, costs the loop nothing: others may run beside it, and also beside a run that is longer than `LONG`;
  `LENT` times as many as there are slots at the most. Without that, four dashboards would close a tool.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Protocol

from streamlit.proto.BackMsg_pb2 import BackMsg

from gateway.model import ScriptLimits
from gateway.streamlit.machine import Machine, processors
from gateway.streamlit.seat import Hold, Seat

# Slots, whatever the number of processors: only one script has the interpreter, and each one makes the loop wait longer
# for its turn; with fewer, short runs wait for each other's last message. Two hundred visitors pressing rerun on two
# processors, health route: 55 ms (99th percentile) with 2 slots, 85 ms with 4. Four visitors with short scripts: 155
# runs a second with 2, 220 with 4, 224 with 8.
SLOTS = 4
LENT = 3  # slots lent at the most, for each slot

# Seconds.
POLL = 0.25  # between two looks at the threads, only while somebody waits or a closed socket's run goes on
BEGIN = 2.0  # within which a released rerun has its thread; Streamlit starts it in the same turn of the loop
LONG = 15.0  # of a run, after which others may run beside it

# Share of the time that a thread uses the processor when it computes; with ten of them, each has a tenth. Of what a
# container has, when that is less than one processor.
COMPUTES = 0.08


class Timer(Protocol):
    """Something to be called later; what `asyncio` gives."""

    def cancel(self) -> None: ...


Later = Callable[[float, Callable[[], None]], Timer]


class Governor:
    """One for the process. Seats talk to it; it talks to nobody but them."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        machine: Machine | None = None,
        later: Later | None = None,
    ) -> None:
        self._machine = machine or replace(Machine(), clock=clock)
        self.clock = self._machine.clock
        self._later = later
        self._computes = COMPUTES * min(1.0, processors())
        self._at_once = at_once(ScriptLimits())
        self._line: dict[str, deque[Seat]] = {}  # owners in the order of their turns
        self._places: dict[Seat, int] | None = None
        self._holds: dict[Hold, None] = {}
        self._held: Counter[str] = Counter()
        self._watching = False
        self._seen: tuple[float, Mapping[int, float]] = (0.0, {})  # the threads at the last look, and when that was
        self._lent = 0  # by threads that did not compute between the last two looks
        self._missed = 0  # slots without a thread, at the last look

    def seat(self, owner: str, limits: ScriptLimits, release: Callable[[BackMsg], None]) -> Seat:
        """A place for one socket. The newest limits hold for all."""
        self._at_once = at_once(limits)
        return Seat(self, owner, release)

    @property
    def running(self) -> int:
        """Slots in use."""
        return len(self._holds)

    @property
    def contended(self) -> bool:
        """Whether somebody waits."""
        return bool(self._line)

    # --- for its seats ---

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call back on the loop."""
        (self._later or asyncio.get_running_loop().call_later)(seconds, call)

    def join(self, seat: Seat) -> None:
        """Wait for a slot, unless it does already."""
        if not seat.stands:
            self._line.setdefault(seat.owner, deque()).append(seat)
            self._places = None
            seat.stand(self.clock())
        self._dispatch()

    def leave(self, seat: Seat) -> None:
        """Wait no more."""
        if seat.stands:
            queue = self._line[seat.owner]
            queue.remove(seat)
            self._places = None
            seat.stand(None)
            if not queue:
                del self._line[seat.owner]
            self._dispatch()  # an owner who is alone now may have more

    def hold(self, seat: Seat) -> Hold:
        """A slot in use."""
        hold = Hold(seat.owner, self.clock(), seat)
        self._holds[hold] = None
        self._held[hold.owner] += 1
        return hold

    def free(self, hold: Hold) -> None:
        """A slot that is used no more."""
        self._drop(hold)
        self._dispatch()

    def orphan(self, hold: Hold) -> None:
        """A slot whose socket is gone: it belongs to the thread now."""
        hold.seat, hold.ending = None, False
        self._look()

    def before(self, seat: Seat) -> int:
        """How many grants come before that of a seat that waits."""
        if self._places is None:
            # Of all at once: every open socket asks several times a second, and few of the answers change in between.
            self._places = {each: place for place, each in enumerate(_in_turn(self._line.values()))}
        return self._places[seat]

    # --- turns ---

    def _dispatch(self) -> None:
        while (seat := self._next()) is not None:
            queue = self._line.pop(seat.owner)
            queue.popleft()
            self._places = None
            if queue:
                self._line[seat.owner] = queue  # behind all the others
            seat.stand(None)
            seat.take()
        if not self._line:
            for hold in tuple(self._holds):
                if hold.seat is not None:
                    hold.seat.forward()
        self._look()

    def _next(self) -> Seat | None:
        free = self._at_once - len(self._holds)
        if free + self._allowance() <= 0:
            return None
        share = max(1, self._at_once // 2)
        fair = next((queue[0] for owner, queue in self._line.items() if self._held[owner] < share), None)
        # Nobody gains from an empty slot; but what is lent is for those who have less than their share.
        return next((queue[0] for queue in self._line.values()), None) if fair is None and free > 0 else fair

    def _allowance(self) -> int:
        """Slots that are lent now, beyond those that there are."""
        now = self.clock()
        long = sum(hold.started and now - hold.since > LONG for hold in self._holds)
        return min(max(self._lent, long), LENT * self._at_once)

    def _drop(self, hold: Hold) -> None:
        if hold not in self._holds:
            return
        del self._holds[hold]
        self._held[hold.owner] -= 1
        if not self._held[hold.owner]:
            del self._held[hold.owner]
        if hold.owner in self._line:
            self._line[hold.owner] = self._line.pop(hold.owner)  # it has just had its turn
            self._places = None
        if hold.seat is not None:
            hold.seat.lose()

    # --- the machine ---

    def _look(self) -> None:
        if self._watching:
            return
        if self._line or any(hold.seat is None for hold in self._holds):
            self._watching = True
            self.later(POLL, self._poll)
        else:
            self._missed = self._lent = 0
            self._seen = (0.0, {})

    def _poll(self) -> None:
        threads = self._machine.threads()
        missing = max(0, sum(not self._begins(hold) for hold in self._holds) - len(threads))
        # Twice in a row: the end of a run may have been on its way.
        stale = self._stalest(min(missing, self._missed))
        self._missed = missing - len(stale)
        self._lent = self._idle(threads)
        self._watching = False
        for hold in stale:
            self._drop(hold)
        self._dispatch()

    def _idle(self, threads: Mapping[int, float]) -> int:
        """How many of the threads have computed nothing since the last look. A new one has not shown it yet."""
        (at, before), self._seen = self._seen, (self.clock(), threads)
        computed = self._computes * (self.clock() - at)
        return sum(used - before[thread] < computed for thread, used in threads.items() if thread in before)

    def _begins(self, hold: Hold) -> bool:
        return not hold.started and self.clock() - hold.since < BEGIN

    def _stalest(self, count: int) -> list[Hold]:
        """The slots that most likely have no thread. A wrong guess does no harm: what counts is how many they are."""
        idle = (hold for hold in self._holds if not self._begins(hold))
        return sorted(idle, key=lambda hold: (hold.seat is not None, hold.started, hold.since))[:count]


def _in_turn(queues: Iterable[deque[Seat]]) -> Iterator[Seat]:
    """The seats as owners take turns: the first of each, then the second of each, and so on."""
    turns = deque(iter(queue) for queue in queues)
    while turns:
        seats = turns.popleft()
        if (seat := next(seats, None)) is not None:
            yield seat
            turns.append(seats)


def at_once(limits: ScriptLimits) -> int:
    """How many scripts may run at once: what the policy says, else four."""
    return limits.at_once or SLOTS
