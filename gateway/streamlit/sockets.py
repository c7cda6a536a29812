"""The sockets that are open: looked at again and again, so that none outlives the permission it was opened with.

A socket is judged anew as soon as another policy is active, when time alone could change the answer, and when its
session ends; idle ones too. Whoever may no longer be here is closed with a code, a reason and a record. A reader that
does not read is closed as well: what waits for it takes memory that belongs to all.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final, Protocol

import structlog

from gateway.model import Policy

TICK: Final = 0.2
"""Seconds between two looks. A release closes sockets within this, the time to notice it, and their records."""

_AT_ONCE: Final = 256  # sockets judged together: one commit of the record takes them all

log = structlog.get_logger("gateway.sockets")


class Watched(Protocol):
    """An open socket, as far as watching it is concerned."""

    @property
    def policy(self) -> Policy: ...

    @property
    def due(self) -> datetime | None: ...

    async def rejudge(self, policy: Policy) -> None: ...

    @property
    def restless(self) -> bool: ...

    async def tick(self) -> None: ...


class OpenSockets:
    """All of the process. The watch runs while any is open, in the event loop, on the wall clock: leases end by it."""

    def __init__(self, active_policy: Callable[[], Policy], clock: Callable[[], datetime]) -> None:
        self._active_policy = active_policy
        self._clock = clock
        self._open: set[Watched] = set()
        self._watch: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    @contextmanager
    def watched(self, socket: Watched) -> Iterator[None]:
        """Watch that socket until the block ends."""
        self._open.add(socket)
        if self._watch is None or self._watch.done():
            self._watch = asyncio.get_running_loop().create_task(self._run(), name="gateway-sockets")
        try:
            yield
        finally:
            self._open.discard(socket)

    async def _run(self) -> None:
        while self._open:
            await asyncio.sleep(TICK)
            policy, now = self._active_policy(), self._clock()
            stale = [each for each in self._open if each.policy is not policy or (each.due and each.due <= now)]
            for start in range(0, len(stale), _AT_ONCE):
                await _together(each.rejudge(policy) for each in stale[start : start + _AT_ONCE])
            await _together(each.tick() for each in [each for each in self._open if each.restless])


async def _together(steps: Iterator) -> None:  # type: ignore[type-arg]
    """All of them; one that fails is logged and keeps none of the others from being done."""
    for outcome in await asyncio.gather(*steps, return_exceptions=True):
        if isinstance(outcome, Exception):
            log.error("socket.watch-failed", exc_info=outcome)
