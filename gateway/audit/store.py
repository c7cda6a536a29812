"""The events of one log by their sequence, whatever form its segments are in: one of them, a range, newest first.

    with Store(directory) as store:
        line = store.event(123_456)
        for sequence, line in store.events(100, 200): ...

Only what is signed for is given: an event behind the last commit may still be taken back. What is given is what stands
there; that it is what was written is for `gateway audit verify` to say.
"""

from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol, Self

from gateway.audit.contents import PlainFile, lines_from
from gateway.audit.directory import SegmentFiles, known
from gateway.audit.sealing.frames import FRAME_EVENTS, PackedFile
from gateway.audit.sealing.seal import read_seal
from gateway.audit.statements import DamagedLogError, read_commit

OPEN: Final = 16
"""Segments that are kept open: a file descriptor each, and 8 bytes an event of those that are not sealed."""

_EVENT: Final = b'{"metadata":'


class PrunedError(LookupError):
    """The events from `start` up to `end` are gone; `path` is the seal that says why."""

    def __init__(self, path: Path, start: int, end: int) -> None:
        self.path, self.start, self.end = path, start, end
        super().__init__(f"the events {start} to {end - 1} were pruned: {path}")


class Events(Protocol):
    """The events of one open segment: from `start` up to `end`."""

    start: int
    end: int

    def refresh(self) -> None: ...
    def event(self, sequence: int) -> bytes: ...
    def close(self) -> None: ...


class Store:
    """A log, open for reading. Not to be shared between threads. It sees what is written and sealed meanwhile."""

    def __init__(self, directory: Path) -> None:
        """Look at the log.

        Raises:
            OSError: the directory cannot be read.
        """
        self._directory = directory
        self._open: OrderedDict[int, Events] = OrderedDict()
        self._starts: list[int] = []
        self.refresh()

    def refresh(self) -> None:
        """Look again, for what was written since."""
        self._starts = [each.start for each in known(self._directory)]
        for each in self._open.values():
            each.refresh()

    @property
    def end(self) -> int:
        """The sequence behind the last event, as of the last look.

        Raises:
            DamagedLogError: the last segment is not what it should be.
            OSError: it cannot be read.
        """
        if not self._starts:
            return 0
        try:
            return self._segment(self._starts[-1]).end
        except PrunedError as error:
            return error.end

    def event(self, sequence: int) -> bytes:
        """The line of one event, without its newline. Within a millisecond, once its segment has been opened.

        Raises:
            PrunedError: it is gone.
            LookupError: the log does not hold it (yet).
            DamagedLogError: what stands there is not it.
            OSError: it cannot be read.
        """
        segment = self._holding(sequence)
        if segment is None or sequence >= segment.end:
            self.refresh()
            segment = self._holding(sequence)
        if segment is None or sequence >= segment.end:
            raise LookupError(f"{self._directory}: there is no event {sequence}")
        return _checked(segment.event(sequence), sequence, self._directory)

    def events(self, first: int = 0, end: int | None = None) -> Iterator[tuple[int, bytes]]:
        """The events from `first` up to, and without, `end` (None: the end of the log): sequence and line, in order.

        Pruned ones are passed over: the numbers tell.

        Raises:
            DamagedLogError: what stands there is not what should.
            OSError: it cannot be read.
        """
        end = self.end if end is None else min(end, self.end)
        for start in self._from(first):
            if start >= end:
                return
            if (segment := self._there(start)) is not None:
                for sequence in range(max(first, start), min(end, segment.end)):
                    yield sequence, _checked(segment.event(sequence), sequence, self._directory)

    def newest_first(self, end: int | None = None) -> Iterator[tuple[int, bytes]]:
        """The events before `end` (None: the end of the log), the newest first; pruned ones are passed over.

        Raises:
            DamagedLogError: what stands there is not what should.
            OSError: it cannot be read.
        """
        end = self.end if end is None else min(end, self.end)
        for start in reversed(self._starts):
            if start < end and (segment := self._there(start)) is not None:
                for sequence in reversed(range(start, min(end, segment.end))):
                    yield sequence, _checked(segment.event(sequence), sequence, self._directory)

    def close(self) -> None:
        """Close every file."""
        while self._open:
            self._open.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _from(self, first: int) -> list[int]:
        return self._starts[max(0, bisect_right(self._starts, first) - 1) :]

    def _holding(self, sequence: int) -> Events | None:
        index = bisect_right(self._starts, sequence) - 1
        return self._segment(self._starts[index]) if index >= 0 else None

    def _there(self, start: int) -> Events | None:
        try:
            return self._segment(start)
        except PrunedError:
            return None

    def _segment(self, start: int) -> Events:
        if start in self._open:
            self._open.move_to_end(start)
            return self._open[start]
        if len(self._open) >= OPEN:
            self._open.popitem(last=False)[1].close()
        found = self._open[start] = _open(SegmentFiles(self._directory, start))
        return found


def _open(files: SegmentFiles) -> Events:
    try:
        return _Plain(files)
    except FileNotFoundError:
        seal = read_seal(files.seal)
    try:
        return _Packed(files, seal.end)
    except FileNotFoundError:
        if read_seal(files.seal).pruned is None:
            raise DamagedLogError(f"{files.packed}: the sealed segment is missing") from None
        raise PrunedError(files.seal, files.start, seal.end) from None


class _Plain:
    """A segment that is not sealed: where each line begins is found by reading it once."""

    def __init__(self, files: SegmentFiles) -> None:
        self._file = PlainFile(files.lines)
        self.start = self.end = files.start
        self._offsets = array("Q")
        self._at = 0  # behind the last commit
        self._index()

    def refresh(self) -> None:
        """Find the events that were signed for since: also when the file was sealed, and removed, meanwhile."""
        self._file.measure()
        self._index()

    def _index(self) -> None:
        at, waiting = self._at, array("Q")
        for line in lines_from(self._file, at):
            if line.startswith(_EVENT):
                waiting.append(at)
            elif read_commit(line) is not None:
                self._offsets.extend(waiting)
                waiting, self._at = array("Q"), at + len(line) + 1
            at += len(line) + 1
        self.end = self.start + len(self._offsets)

    def event(self, sequence: int) -> bytes:
        """One line without its newline."""
        return self._file.line(self._offsets[sequence - self.start])

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class _Packed:
    """A sealed segment. The frame that was read last is kept: the next event is most likely in it, too."""

    def __init__(self, files: SegmentFiles, end: int) -> None:
        self._file = PackedFile(files.packed)
        self.start, self.end = files.start, end
        self._frame = -1
        self._lines: list[bytes] = []

    def refresh(self) -> None:
        """Nothing: it is sealed."""

    def event(self, sequence: int) -> bytes:
        """One line without its newline."""
        frame = sequence // FRAME_EVENTS - self.start // FRAME_EVENTS
        if frame != self._frame:
            if frame >= len(self._file.table):
                raise DamagedLogError(f"{self._file.path}: has no frame {frame}")
            lines = self._file.frame(frame).split(b"\n")
            self._lines = [line for line in lines if line.startswith(_EVENT)]
            self._frame = frame
        index = sequence - max(self.start, sequence // FRAME_EVENTS * FRAME_EVENTS)
        return self._lines[index] if index < len(self._lines) else b""

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _checked(line: bytes, sequence: int, directory: Path) -> bytes:
    if not line.startswith(b'{"metadata":{"sequence":%d,' % sequence):
        raise DamagedLogError(f"{directory}: the event {sequence} is not where it should be")
    return line
