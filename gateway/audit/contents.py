"""A segment's bytes, whether it is plain lines or sealed, from any place on and from the end backwards.

A segment may be sealed between two reads: its lines go, and the compressed file holds the same events. Whoever has it
open reads on in what was opened.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from gateway.audit.directory import SegmentFiles
from gateway.audit.sealing.frames import PackedFile

_BLOCK: Final = 1024 * 1024


class Bytes(Protocol):
    """An open segment. `size` is what it held when it was opened."""

    @property
    def size(self) -> int: ...
    def blocks(self, at: int = 0) -> Iterator[bytes]: ...
    def blocks_backwards(self) -> Iterator[bytes]: ...
    def close(self) -> None: ...


class PlainFile:
    """The lines of a segment that is not sealed."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self.size = 0
        self.measure()

    def measure(self) -> None:
        """Look how much there is now."""
        self.size = self._file.seek(0, 2)

    def line(self, at: int) -> bytes:
        """The line that begins there, without its newline."""
        self._file.seek(at)
        return self._file.readline().rstrip(b"\n")

    def blocks(self, at: int = 0) -> Iterator[bytes]:
        """The bytes from this place up to `size`. What is written meanwhile belongs to the next look."""
        while at < self.size:
            self._file.seek(at)
            block = self._file.read(min(_BLOCK, self.size - at))
            if not block:
                return  # it was cut back meanwhile
            at += len(block)
            yield block

    def blocks_backwards(self) -> Iterator[bytes]:
        """The same bytes in pieces, last one first."""
        at = self.size
        while at > 0:
            at, size = max(0, at - _BLOCK), min(_BLOCK, at)
            self._file.seek(at)
            yield self._file.read(size)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@contextmanager
def opened(files: SegmentFiles) -> Iterator[Bytes | None]:
    """The segment's bytes; None when they are gone: pruned, or never there.

    Raises:
        DamagedLogError: the sealed file is not what it should be.
        OSError: it cannot be read.
    """
    found = open_bytes(files)
    try:
        yield found
    finally:
        if found is not None:
            found.close()


def open_bytes(files: SegmentFiles) -> Bytes | None:
    """As `opened`, to be closed by the caller."""
    # The lines first: while there are both, their events are the same. They may be sealed after we looked.
    for path, kind in ((files.lines, PlainFile), (files.packed, PackedFile)):
        try:
            return kind(path)
        except FileNotFoundError:
            continue
    return None


def lines_from(found: Bytes, at: int = 0) -> Iterator[bytes]:
    """The complete lines from this place on, without their newlines. `at` is the beginning of a line."""
    rest = b""
    for block in found.blocks(at):
        pieces = (rest + block).split(b"\n")
        rest = pieces.pop()
        yield from pieces


def lines_backwards(found: Bytes) -> Iterator[bytes]:
    """The complete lines, last one first."""
    rest, complete = b"", False
    for block in found.blocks_backwards():
        pieces = (block + rest).split(b"\n")
        rest = pieces[0]
        # Behind the last newline is a line that is not complete.
        yield from reversed(pieces[1:] if complete else pieces[1:-1])
        complete = complete or len(pieces) > 1
    if rest and complete:
        yield rest


def complete_size(found: Bytes) -> int:
    """Bytes up to the end of the last complete line."""
    size = found.size
    for block in found.blocks_backwards():
        if (at := block.rfind(b"\n")) >= 0:
            return size - len(block) + at + 1
        size -= len(block)
    return 0
