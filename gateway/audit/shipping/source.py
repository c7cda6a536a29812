"""The acknowledged events of one log, from a sequence on, over all its segments: live, rolled, sealed.

Acknowledged is what the checkpoint file covers. It is written after the bytes are on the disk, at most once a second;
so what is shipped is never taken back by a crash, and is at most about a second old.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from gateway.audit.contents import lines_from, opened
from gateway.audit.directory import SegmentFiles, checkpoint_path, known
from gateway.audit.note import size_of_checkpoint
from gateway.audit.shipping.errors import LostEvents
from gateway.audit.shipping.sink import Batch, Stored
from gateway.audit.statements import DamagedLogError

_EVENT: Final = re.compile(rb'\{"metadata":\{"sequence":(\d{1,18}),')
_OTHER: Final = (b'{"cp":', b'{"log":')
GO_ON: Final = "prune later than you ship; --begin oldest with a new --name begins behind the gap"
_VERIFY: Final = "gateway audit verify tells what is left; the receiver has everything before"


class Checkpoint:
    """What the log has acknowledged: `size` events, under the name `origin`."""

    def __init__(self, origin: str, size: int) -> None:
        self.origin = origin
        self.size = size


def acknowledged(directory: Path) -> Checkpoint | None:
    """The checkpoint of a log; None while it has none, in its first second.

    Raises:
        LostEvents: there should be one, and it is missing or unreadable.
    """
    segments = known(directory)
    newest = segments[-1].start if segments else 0
    try:
        note = checkpoint_path(directory).read_text()
        size = size_of_checkpoint(note)
    except FileNotFoundError:
        if newest > 0:
            raise LostEvents(f"{directory}: the checkpoint is missing", _VERIFY) from None
        return None
    except ValueError:
        raise LostEvents(f"{checkpoint_path(directory)}: not a checkpoint", _VERIFY) from None
    # A segment is begun only when everything before it is on the disk.
    return Checkpoint(note.partition("\n")[0], max(size, newest))


Begin = Literal["first", "oldest", "now"]


def beginning(directory: Path, begin: Begin, size: int) -> int:
    """Where a receiver that is new to the log begins: its first event, the oldest one that is left, or the next one."""
    match begin:
        case "first":
            return 0
        case "oldest":
            return _left_up_to(directory, 0, size)
        case "now":
            return size


def _left_up_to(directory: Path, sequence: int, end: int) -> int:
    """The first event from `sequence` on, from which on nothing up to `end` is gone."""
    start = end
    for segment in reversed([each for each in known(directory) if each.start <= end]):
        if not (segment.lines.exists() or segment.packed.exists()):
            break
        start = min(end, max(sequence, segment.start))
        if segment.start <= sequence:
            break
    return start


class Tail:
    """Reads on from `sequence`. Each `take` gives the next events; it never looks beyond what is acknowledged."""

    def __init__(self, directory: Path, sequence: int) -> None:
        self.directory = directory
        self.sequence = sequence
        self._segment = -1
        self._at = 0  # bytes of its lines that are behind us, sealed or not

    def take(self, limit: int, events: int, size: int) -> list[Stored]:
        """At most so many events and about so many bytes of those before `limit`, which is acknowledged.

        Raises:
            LostEvents: the next one is not there.
            OSError: the log cannot be read.
        """
        taken: list[Stored] = []
        space = size
        while self.sequence < limit and len(taken) < events and space > 0:
            before = self.sequence
            for stored in self._some(limit):
                taken.append(stored)
                space -= len(stored.line)
                if len(taken) >= events or space <= 0:
                    break
            if self.sequence == before:
                raise LostEvents(f"{self.directory}: event {self.sequence} is missing", _VERIFY)
        return taken

    def _some(self, limit: int) -> Iterator[Stored]:
        """Events of the segment that holds the next one, up to the end of what it has now."""
        segment = self._holder()
        if segment.start != self._segment:
            self._segment, self._at = segment.start, 0
        try:
            with opened(segment) as found:
                if found is not None:
                    yield from self._events(self._counted(lines_from(found, self._at)), limit)
        except DamagedLogError as error:
            raise LostEvents(str(error), _VERIFY) from error

    def _holder(self) -> SegmentFiles:
        """The segment that holds the next event.

        Raises:
            LostEvents: it is gone.
        """
        segments = known(self.directory)
        at = next((n for n in reversed(range(len(segments))) if segments[n].start <= self.sequence), None)
        if at is None:
            raise LostEvents(f"{self.directory}: the segment with event {self.sequence} is missing", _VERIFY)
        if segments[at].lines.exists() or segments[at].packed.exists():
            return segments[at]
        last = f" to {segments[at + 1].start - 1}" if at + 1 < len(segments) else " and later ones"
        raise LostEvents(
            f"{self.directory}: events {self.sequence}{last} were removed before they were shipped",
            GO_ON,
        )

    def _counted(self, lines: Iterator[bytes]) -> Iterator[bytes]:
        for line in lines:
            self._at += len(line) + 1
            yield line

    def _events(self, lines: Iterator[bytes], limit: int) -> Iterator[Stored]:
        for line in lines:
            found = _EVENT.match(line)
            if found is None:
                if not line.startswith(_OTHER):
                    raise LostEvents(f"{self.directory}: a line before event {self.sequence} is damaged", _VERIFY)
                continue
            number = int(found[1])
            if number < self.sequence:
                continue
            if number > self.sequence:
                raise LostEvents(f"{self.directory}: event {self.sequence} is missing", _VERIFY)
            self.sequence += 1
            yield Stored(number, line)
            if self.sequence >= limit:
                return


class Events:
    """The feed of a sink that takes events: batches of at most `events` events and about `size` bytes."""

    def __init__(self, directory: Path, sequence: int, events: int, size: int) -> None:
        self._directory = directory
        self._events, self._size = events, size
        self._tail = Tail(directory, sequence)

    def next(self, checkpoint: Checkpoint, limit: int) -> Batch | None:
        """The next batch of what comes before `limit`; None when there is nothing."""
        taken = self._tail.take(min(limit, checkpoint.size), self._events, self._size)
        if not taken:
            return None
        return Batch(checkpoint.origin, taken[0].sequence, taken[-1].sequence + 1, taken)

    def rewind(self, sequence: int, confirmed: int) -> None:
        """Go on from `sequence`, or from the first event after it from which on nothing up to `confirmed` is gone."""
        start = _left_up_to(self._directory, sequence, confirmed)
        self._tail = Tail(self._directory, start)
