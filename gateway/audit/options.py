"""How big, how long, how many: the log's own limits."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LedgerOptions:
    """Sizes in bytes, times in seconds. A segment ends at `segment_size` or after `segment_age`, whichever is first."""

    segment_size: int = 64 * 1024 * 1024
    segment_age: float = 24 * 3600.0
    ack_timeout: float = 2.0
    queue_events: int = 10_000
    queue_bytes: int = 16 * 1024 * 1024
    reserve: int = 1024 * 1024
    probe_interval: float = 1.0
    clock_step: float = 1.0


DEFAULTS = LedgerOptions()
