"""The segments before the last one, as a start looks at them: all there, each the continuation of the one before.

Their contents are compared with their seals as well, the newest first, up to `BUDGET`: that finds what a disk or a
careless hand has done. `gateway audit verify` computes the whole tree anew, and finds what a careful one has done.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from gateway.audit.chain import Commit
from gateway.audit.directory import SegmentFiles
from gateway.audit.note import is_signed, roll_text
from gateway.audit.sealing.seal import Seal, read_seal
from gateway.audit.segment import Header
from gateway.audit.statements import (
    DamagedLogError,
    is_signed_commit,
    read_commit,
    read_header,
    root_of,
    tree_of,
)
from gateway.audit.tree import leaf_hash

BUDGET: Final = 1024**3
"""Bytes of sealed and unsealed contents that a start reads: about a second."""

_TAIL: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class _Bounds:
    """How an earlier segment begins and ends. `seal` is None while it is not sealed."""

    files: SegmentFiles
    header: Header
    commit: Commit
    seal: Seal | None

    @property
    def path(self) -> Path:
        return self.files.seal if self.seal else self.files.lines


def check_history(earlier: Sequence[SegmentFiles], last: Header) -> None:
    """Check the earlier segments, oldest first, and that the last one continues them.

    Raises:
        DamagedLogError: one is missing, changed, or not the continuation of the one before.
        OSError: one cannot be read.
    """
    found = [_bounds(each) for each in earlier]
    first = found[0].header if found else last
    if first.start != 0 or first.roll is not None:
        raise DamagedLogError(f"the log begins with sequence {first.start}: the segments before it are missing")
    for before, after in pairwise(found):
        _check_link(before, after.header, after.path)
    if found:
        _check_link(found[-1], last, SegmentFiles(found[-1].files.directory, last.start).lines)
    _check_contents(found)


def _bounds(files: SegmentFiles) -> _Bounds:
    if files.lines.exists():
        seal, path = None, files.lines
        with path.open("rb") as file:
            head = file.read(_TAIL)
            file.seek(max(0, file.seek(0, 2) - _TAIL))
            last_line = file.read().rstrip(b"\n").rpartition(b"\n")[2]
    else:
        path = files.seal
        seal = read_seal(path)
        head, last_line = seal.header.strip().encode() + b"\n", seal.commit.strip().encode()
    header, commit = read_header(path, head), read_commit(last_line)
    if header.start != files.start:
        raise DamagedLogError(f"{path}: the header says that the segment begins with sequence {header.start}")
    if commit is None or not is_signed_commit(header, commit):
        raise DamagedLogError(f"{path}: does not end with a commit that its key has signed")
    return _Bounds(files, header, commit, seal)


def _check_link(before: _Bounds, after: Header, path: Path) -> None:
    if before.commit.cp != after.start:
        raise DamagedLogError(
            f"{before.path}: ends before sequence {before.commit.cp}, and the next segment, {path.name}, begins with "
            f"{after.start}: what was between them is missing"
        )
    tree = tree_of(path, after)
    if tree.root != root_of(before.commit):
        raise DamagedLogError(f"{path}: is not the continuation of {before.path.name}: their trees differ")
    text = roll_text(before.header.origin, after.start, tree.root, after.vkey)
    if after.origin != before.header.origin or not is_signed(before.header.vkey, text, after.roll or ""):
        raise DamagedLogError(f"{path}: its key was not signed for by the key of {before.path.name}")


def _check_contents(found: Sequence[_Bounds]) -> None:
    left = BUDGET
    for each in reversed(found):
        if each.seal is None:
            left -= each.files.lines.stat().st_size
            if left >= 0:
                _check_lines(each)
        elif each.seal.pruned is None:
            left -= each.seal.zst.bytes
            _check_packed(each.files, each.seal, whole=left >= 0)


def _check_lines(segment: _Bounds) -> None:
    """The tree of a segment that is not sealed yet."""
    path = segment.files.lines
    lines = path.read_bytes().split(b"\n")
    leaves = [leaf_hash(line) for line in lines if line.startswith(b'{"metadata":')]
    tree = tree_of(path, segment.header).extended(leaves)
    if (tree.size, tree.root) != (segment.commit.cp, root_of(segment.commit)):
        raise DamagedLogError(f"{path}: its events are not those that its last commit signs for")


def _check_packed(files: SegmentFiles, seal: Seal, *, whole: bool) -> None:
    path = files.packed
    if not path.exists():
        raise DamagedLogError(f"{path}: the sealed segment is missing, and its seal does not say that it was pruned")
    if path.stat().st_size != seal.zst.bytes:
        raise DamagedLogError(f"{path}: has not the {seal.zst.bytes} bytes that its seal states")
    if whole:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != seal.zst.sha256:
                raise DamagedLogError(f"{path}: is not the file that its seal states: their SHA-256 differ")
