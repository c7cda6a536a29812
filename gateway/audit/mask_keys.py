"""The key that masks at this moment, kept current while the gateway runs; and every key, to find what they have masked.

A command may replace or erase a key in the directory at any time. The running gateway looks once a second, when it
makes an event, so an erased key masks nothing a second later.
"""

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Literal

import structlog

from gateway.audit.masks import CLEAR, Kind, MaskKey, Masks, canonical
from gateway.errors import AuditUnavailable, StartupError
from gateway.state.pseudonym_keys import PseudonymKeys

log = structlog.get_logger("gateway.audit")

CAUSE: Final = "no-pseudonym-key"
DAY: Final = 24 * 3600 * 1000
LOOK_AGAIN: Final = 1.0
"""Seconds between two looks at the directory of the keys."""


def masks_of(state: Path, kinds: Iterable[Kind | Literal["none"]], days: int) -> Masks:
    """The masks of a gateway with this state directory; its first key is made if there is none. `none` is no kind.

    Raises:
        StartupError: a key cannot be read, or made.
    """
    wanted = frozenset(kind for kind in kinds if kind != "none")
    return Masks(wanted, CurrentKey(PseudonymKeys.below(state), days * DAY)) if wanted else CLEAR


def live_keys(state: Path) -> tuple[MaskKey, ...]:
    """Every key that there is, oldest first, to find what it has masked.

    Raises:
        StartupError: a key cannot be read.
    """
    return tuple(MaskKey(each.kid, each.secret) for each in PseudonymKeys.below(state).live())


def lookup(state: Path, kind: Kind, value: str) -> list[str]:
    """The pseudonyms of a known value under every key that there is, oldest first. None: of a client, no address.

    Who calls this writes down that it was asked (`audit.hash`, `audit.query`).

    Raises:
        StartupError: a key cannot be read.
    """
    try:
        known = canonical(kind, value)
    except ValueError:
        return []
    return [key.pseudonym(kind, known) for key in live_keys(state)]


class CurrentKey:
    """The newest key of a directory. Calling it gives the key of this moment, from any thread.

    A key older than `longest` milliseconds, an erased one and a missing one are replaced by a new one. When there is no
    key to be had, calling it raises AuditUnavailable, until there is: nothing is masked with a key that may be erased,
    and nothing is written in clear.
    """

    def __init__(
        self,
        keys: PseudonymKeys,
        longest: int,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = keys
        self._longest = longest
        self._clock = clock
        self._ticks = ticks
        self._lock = threading.Lock()
        self._key: MaskKey | None = None
        self._names: frozenset[str] = frozenset()
        self._since = 0
        self._look()  # whoever starts is told here, not by the first event
        self._due = ticks() + LOOK_AGAIN

    def __call__(self) -> MaskKey:
        if self._ticks() >= self._due:
            self._look_again()
        key = self._key
        if key is None:
            raise AuditUnavailable(CAUSE)
        return key

    def _look_again(self) -> None:
        with self._lock:
            if self._ticks() < self._due:
                return  # another thread has looked meanwhile
            try:
                self._look()
            except StartupError as error:
                if self._key is not None:
                    # One line when it begins. No trace: the hint says what to do.
                    log.error("audit.no-pseudonym-key", problem=str(error), hint=error.hint)  # noqa: TRY400
                self._key = None
                self._names = frozenset()
            self._due = self._ticks() + LOOK_AGAIN

    def _look(self) -> None:
        now = self._clock()
        names = self._keys.names()
        if self._key is not None and names == self._names and now - self._since < self._longest:
            return
        live = self._keys.live()
        newest = live[-1] if live and now - live[-1].since < self._longest else self._keys.add(now)
        if self._key is None or self._key.kid != newest.kid:
            # The former key goes with everything that it remembers.
            self._key = MaskKey(newest.kid, newest.secret)
        self._since, self._names = newest.since, self._keys.names()
