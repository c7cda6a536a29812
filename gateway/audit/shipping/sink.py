"""What the shipper hands over, and what it needs to know of a receiver."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.audit.directory import SegmentFiles


@dataclass(frozen=True, slots=True)
class Stored:
    """One event: its sequence, and its line without the newline, as it stands in the log."""

    sequence: int
    line: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """Events of one log without a gap: sequences `first` up to and without `end`.

    Either `events` has them, or `segment` is the sealed segment that does.
    """

    origin: str
    first: int
    end: int
    events: Sequence[Stored] = ()
    segment: SegmentFiles | None = None

    @property
    def count(self) -> int:
        """How many events."""
        return self.end - self.first


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has confirmed the batch. `rejected` of its events it did not want, for the reason in `message`."""

    rejected: int = 0
    message: str = ""


class Sink(Protocol):
    """A receiver. Used by one thread.

    `overlap`: a confirmation that is younger than so many seconds is worth nothing when the receiver goes away without
    a word: it may have had the events in memory only. 0 where a confirmation means that the receiver has kept them.
    """

    overlap: float

    def send(self, batch: Batch) -> Delivered:
        """Hand over a batch, and come back when the receiver has confirmed it.

        Raises:
            Undelivered: it has not; part of the batch may have arrived.
            Refused: it will not.
        """

    def check(self) -> None:
        """Raises Undelivered when the receiver has gone away since the last batch. Never waits."""

    def close(self) -> None:
        """Let go of the receiver, orderly."""
