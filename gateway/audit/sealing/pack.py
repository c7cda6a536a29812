"""One pass over a finished segment: checked line by line, compressed frame by frame, its tree computed on the way.

Of the commits the first and the last are kept: the last one signs for every event, and the others, 100 random bytes
each, would take more space than the events. Needs a few MB of memory whatever the size of the segment.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Final

import msgspec

from gateway.audit.chain import Commit
from gateway.audit.sealing.frames import FRAME_EVENTS, compressor, seek_table
from gateway.audit.sealing.levels import Levels
from gateway.audit.segment import Header
from gateway.audit.statements import (
    DamagedLogError,
    is_signed_commit,
    read_commit,
    read_header,
    root_of,
    tree_of,
)
from gateway.audit.tree import Tree, leaf_hash

_LINE: Final = 64 * 1024  # the longest line: a header with 40 subtrees has 3 KB, an event 8 KB


class _Timed(msgspec.Struct, frozen=True, gc=False):
    time: int


_TIMES: Final = msgspec.json.Decoder(_Timed)


@dataclass(frozen=True, slots=True)
class Contents:
    """Bytes of a file, and their SHA-256 in hexadecimal digits."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Packed:
    """What the pass has found. Times in milliseconds, None in a segment without events: the earliest and the latest.

    `source` is the length of the lines as they were, `plain` is what of them is kept, `packed` that compressed.
    """

    header_line: bytes
    commit_line: bytes
    header: Header
    end: int
    first_time: int | None
    last_time: int | None
    source: int
    plain: Contents
    packed: Contents
    hashes: bytes


def pack(source: Path, target: IO[bytes]) -> Packed:
    """Compress the segment at `source` into `target`, and check it on the way.

    Raises:
        DamagedLogError: it is not what its last commit signs for, or does not end with one.
        OSError: it cannot be read, or `target` not be written.
    """
    with source.open("rb") as file:
        return _Pass(source, file).run(target)


class _Pass:
    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path = path
        self._file = file
        self._plain = sha256()
        self._kept = 0
        self._size = 0
        self._times: tuple[int, int] | None = None
        self._header_line = self._line()
        self._header = read_header(path, self._header_line)
        self._levels = Levels(tree_of(path, self._header))
        self._sequence = self._header.start
        self._last: tuple[bytes, Commit] | None = None

    def run(self, target: IO[bytes]) -> Packed:
        digest, total, sizes, compress = sha256(), 0, [], compressor()
        for frame in self._frames():
            packed = compress.compress(frame)
            sizes.append((len(packed), len(frame)))
            total += len(packed)
            digest.update(packed)
            target.write(packed)
            self._plain.update(frame)
            self._kept += len(frame)
        table = seek_table(sizes)
        digest.update(table)
        target.write(table)
        return self._result(Contents(total + len(table), digest.hexdigest()))

    def _line(self) -> bytes:
        line = self._file.readline(_LINE)
        if line and not line.endswith(b"\n"):
            raise self._damaged(f"the line at byte {self._size} is not complete")
        self._size += len(line)
        return line

    def _frames(self) -> Iterator[bytes]:
        lines, leaves = [self._header_line], list[bytes]()
        while line := self._line():
            if not line.startswith(b'{"metadata":'):
                if self._last is None:
                    lines.append(line)
                self._commit(line)
                continue
            if self._sequence % FRAME_EVENTS == 0 and leaves:
                self._levels.extend(leaves)
                yield b"".join(lines)
                lines, leaves = [], []
            leaves.append(self._event(line))
            lines.append(line)
        self._levels.extend(leaves)
        if self._last is not None and self._sequence > self._header.start:
            lines.append(self._last[0])
        yield b"".join(lines)

    def _event(self, line: bytes) -> bytes:
        if not line.startswith(b'{"metadata":{"sequence":%d,' % self._sequence) or self._last is None:
            raise self._damaged(f"expected the event {self._sequence} before byte {self._size}")
        self._note_time(line)
        self._sequence += 1
        return leaf_hash(line[:-1])

    def _note_time(self, line: bytes) -> None:
        try:
            at = _TIMES.decode(line).time
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise self._damaged(f"the event {self._sequence} cannot be read: {error}") from None
        first, last = self._times or (at, at)
        self._times = min(first, at), max(last, at)

    def _commit(self, line: bytes) -> None:
        commit = read_commit(line[:-1])
        if commit is None or commit.cp != self._sequence:
            raise self._damaged(f"expected an event, or the commit of {self._sequence}, before byte {self._size}")
        self._last = line, commit

    def _result(self, packed: Contents) -> Packed:
        tree = self._levels.tree
        if self._last is None or self._last[1].cp != self._sequence:
            raise self._damaged("does not end with a commit")
        line, commit = self._last
        self._check(tree, commit)
        first, last = self._times or (None, None)
        plain, hashes = Contents(self._kept, self._plain.hexdigest()), self._levels.hashes
        return Packed(self._header_line, line, self._header, tree.size, first, last, self._size, plain, packed, hashes)

    def _check(self, tree: Tree, commit: Commit) -> None:
        if root_of(commit) != tree.root:
            raise self._damaged("its events are not those that its last commit signs for")
        if not is_signed_commit(self._header, commit):
            raise self._damaged("its last commit does not bear the signature of the segment's key")

    def _damaged(self, problem: str) -> DamagedLogError:
        return DamagedLogError(f"{self._path}: not sealed: {problem}")
