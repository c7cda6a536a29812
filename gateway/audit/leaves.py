"""The leaves of the log's tree, wherever they stand: in plain segments, in sealed ones, or no longer.

A segment is read in blocks of the events whose sequences agree in all but the lowest eight bits. Only what a commit
signs for counts: lines behind the last commit may be half written, and may be taken back.
"""

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final, Protocol

from gateway.audit.chain import Commit
from gateway.audit.directory import SegmentFiles
from gateway.audit.sealing.frames import FRAME_EVENTS, PackedFile
from gateway.audit.sealing.levels import LEVELS
from gateway.audit.sealing.seal import read_seal
from gateway.audit.segment import Header
from gateway.audit.statements import DamagedLogError, read_commit, read_header
from gateway.audit.tree import leaf_hash

BLOCK: Final = FRAME_EVENTS
_READ: Final = 4 * 1024 * 1024
_HEAD: Final = 64 * 1024
_EVENT: Final = b'{"metadata":'


class Leaves(Protocol):
    """One segment. `end` is the sequence behind its last event that is signed for."""

    header: Header
    end: int

    def block(self, number: int) -> Sequence[bytes]:
        """The hashes of the events of this block that are in this segment, in order.

        Raises:
            LookupError: they have been pruned, or lie behind the end.
        """

    def line(self, sequence: int) -> bytes:
        """The line of an event, without its newline. Raises LookupError when it is not here any more."""

    def commit(self, size: int) -> Commit | None:
        """The commit for a log of this size; None when there is none."""

    def sizes(self) -> Sequence[int]:
        """The sizes of the commits that are cheap to find, ascending."""

    def close(self) -> None:
        """Close what is open."""


class PlainLeaves:
    """A segment that is lines, and perhaps still written: `refresh` reads on. Keeps 32 bytes and a place an event."""

    def __init__(self, files: SegmentFiles) -> None:
        self._path = files.lines
        with self._path.open("rb") as file:
            head = file.read(_HEAD)
        self.header = read_header(self._path, head)
        self.end = self.header.start
        self._at = head.index(b"\n") + 1
        self._hashes: list[bytes] = []
        self._places = array("Q")
        self._sizes = array("Q")
        self._commits = array("Q")

    def refresh(self) -> None:
        """Read what has come since."""
        with self._path.open("rb") as file:
            file.seek(self._at)
            waiting, goes_on = b"", True
            while goes_on and (data := file.read(_READ)):
                waiting += data
                done, goes_on = self._take(waiting)
                waiting = waiting[done:]

    def _take(self, data: bytes) -> tuple[int, bool]:
        """Take up the events of `data` up to its last commit; how many bytes those are, and whether to read on.

        Where a line is neither an event nor a commit, what follows was never acknowledged, or is damaged: a checkpoint
        that covers it will not agree.
        """
        done, at, hashes, places, sequence = 0, 0, list[bytes](), array("Q"), self.end
        while (end := data.find(b"\n", at)) >= 0:
            line = data[at:end]
            if line.startswith(_EVENT):
                hashes.append(leaf_hash(line))
                places.append(self._at + at)
                sequence += 1
            elif (commit := read_commit(line)) is not None and commit.cp == sequence:
                self._sizes.append(sequence)
                self._commits.append(self._at + at)
                self._hashes += hashes
                self._places += places
                done, hashes, places, self.end = end + 1, [], array("Q"), sequence
            else:
                break
            at = end + 1
        self._at += done
        return done, end < 0

    def block(self, number: int) -> Sequence[bytes]:
        """See `Leaves`."""
        first = max(number * BLOCK, self.header.start) - self.header.start
        found = self._hashes[first : (number + 1) * BLOCK - self.header.start]
        if not found:
            raise LookupError(number)
        return found

    def line(self, sequence: int) -> bytes:
        """See `Leaves`."""
        return self._line(self._places[sequence - self.header.start])

    def commit(self, size: int) -> Commit | None:
        """See `Leaves`."""
        at = bisect_left(self._sizes, size)
        if at == len(self._sizes) or self._sizes[at] != size:
            return None
        return read_commit(self._line(self._commits[at]))

    def sizes(self) -> Sequence[int]:
        """See `Leaves`."""
        return self._sizes

    def close(self) -> None:
        """Nothing is left open."""

    def _line(self, place: int) -> bytes:
        with self._path.open("rb") as file:
            file.seek(place)
            return file.readline().rstrip(b"\n")


class SealedLeaves:
    """A sealed segment, or what is left of one that was pruned: its seal."""

    def __init__(self, files: SegmentFiles) -> None:
        seal = read_seal(files.seal)
        self.header = read_header(files.seal, seal.header.strip().encode() + b"\n")
        self.end = seal.end
        self._last = read_commit(seal.commit.strip().encode())
        self._path = files.packed
        self._file: PackedFile | None = None
        self._frame = lru_cache(2)(self._read)

    def block(self, number: int) -> Sequence[bytes]:
        """See `Leaves`."""
        return [leaf_hash(line) for line in self._frame(number) if line.startswith(_EVENT)]

    def line(self, sequence: int) -> bytes:
        """See `Leaves`."""
        events = [line for line in self._frame(sequence // BLOCK) if line.startswith(_EVENT)]
        return events[sequence - max(sequence // BLOCK * BLOCK, self.header.start)]

    def commit(self, size: int) -> Commit | None:
        """See `Leaves`."""
        return self._last if self._last is not None and self._last.cp == size else None

    def sizes(self) -> Sequence[int]:
        """See `Leaves`."""
        return (self.header.start, self.end)

    def close(self) -> None:
        """See `Leaves`. It is opened again when it is needed."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read(self, number: int) -> list[bytes]:
        if self._file is None:
            try:
                self._file = PackedFile(self._path)
            except FileNotFoundError:
                raise LookupError(number) from None
        return self._file.frame(number - self.header.start // BLOCK).split(b"\n")


class TreeFile:
    """The complete subtrees of 2^8, 2^16 and 2^24 events that end inside one segment."""

    def __init__(self, path: Path, start: int, end: int) -> None:
        self._start, self._end = start, end
        try:
            self._hashes = path.read_bytes()
        except FileNotFoundError:
            self._hashes = b""  # it is made of the events, and proofs can be, too
        if self._hashes and len(self._hashes) != 32 * sum((end >> each) - (start >> each) for each in LEVELS):
            raise DamagedLogError(f"{path}: does not hold the subtrees that end in the events {start} to {end - 1}")

    def hash(self, level: int, index: int) -> bytes | None:
        """The hash of a subtree that ends inside the segment; None when it is not here."""
        at = 0
        for each in LEVELS:
            first, last = self._start >> each, self._end >> each
            if each == level and first <= index < last:
                return self._hashes[32 * (at + index - first) :][:32] or None
            at += last - first
        return None
