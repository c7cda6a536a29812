"""How big, how long, how many: the log's own limits."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class LedgerOptions:
    """Sizes in bytes, times in seconds. A segment ends at `segment_size` or after `segment_age`, whichever is first.

    After `heartbeat` without an event the log writes one itself: silence is evidence, too. `on_damage` says what a
    start does with a log that has lost or changed something acknowledged: refuse, or set it aside and begin a new one.
    Without `announce` the log does not record that it was opened and closed: for a log of single events.
    """

    segment_size: int = 64 * 1024 * 1024
    segment_age: float = 24 * 3600.0
    ack_timeout: float = 2.0
    queue_events: int = 10_000
    queue_bytes: int = 16 * 1024 * 1024
    reserve: int = 1024 * 1024
    probe_interval: float = 1.0
    clock_step: float = 1.0
    heartbeat: float = 60.0
    on_damage: Literal["refuse", "set-aside"] = "refuse"
    announce: bool = True


DEFAULTS = LedgerOptions()
