"""What a log's directory holds after whatever has happened to it, and what must be removed before writing on.

Rules, in this order:
1. Every earlier segment must be there, or its seal must say that it was pruned; each must be the one whose end the next
   one's header names, with a key that the one before has signed for. Otherwise: refuse.
2. The last segment is good up to its last commit whose signature is right and whose root is that of the events before
   it. All that was acknowledged lies before such a commit.
3. What follows was never acknowledged, and is moved to `torn-<sequence>-<time>.bin` and reported: half a batch, zeros
   (blocks that the file system had reserved and not written when the power went), garbage.
4. It *was* acknowledged when the checkpoint, which is written after the disk has confirmed, says so, or when two good
   signatures stand in it (a batch is only begun when the one before is on the disk). That is damage, or somebody's
   edit: refuse.
"""

import os
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from gateway.audit.chain import Commit
from gateway.audit.directory import SegmentFiles, checkpoint_path, known, vkeys_path
from gateway.audit.history import check_history
from gateway.audit.note import size_of_checkpoint
from gateway.audit.segment import Header, sync_directory
from gateway.audit.statements import (
    DAMAGED,
    DamagedLogError,
    is_signed_commit,
    read_commit,
    read_header,
    root_of,
    tree_of,
)
from gateway.audit.tree import Tree, leaf_hash

# Twice the greatest batch: nothing that was never acknowledged can be longer.
TAIL: Final = 8 * 1024 * 1024
_COMMIT = re.compile(rb'\{"cp":\d+,[^\n]*\}\n')
_UNFINISHED = re.compile(r"seg-\d{12}\.tmp")


class _Metadata(msgspec.Struct, frozen=True, gc=False):
    event_code: str = ""


class _Line(msgspec.Struct, frozen=True, gc=False):
    metadata: _Metadata


_LINES: Final = msgspec.json.Decoder(_Line)


@dataclass(frozen=True, slots=True)
class Torn:
    """A tail that was never acknowledged. `file` is where it was moved to."""

    bytes: int
    sha256: str
    file: str


@dataclass(frozen=True, slots=True)
class Recovered:
    """Where writing goes on: the last segment with `size` good bytes, and the tree of all events up to there.

    `header` is None for a new log. `last_code` is the last event's code: after an orderly stop, `audit.stop`.
    """

    header: Header | None
    size: int
    tree: Tree
    last_code: str
    torn: Torn | None = None


def recover(directory: Path, now: int) -> Recovered:
    """Check the log and make it ready to be continued. `now`, in milliseconds, names the file of a torn tail.

    Raises:
        DamagedLogError: something that was acknowledged is missing or changed; nothing has been touched.
        LedgerError: the log is of another version.
        OSError: it cannot be read or written.
    """
    for leftover in directory.glob("seg-*.tmp"):
        if _UNFINISHED.fullmatch(leftover.name):
            leftover.unlink()  # a segment that never got its name holds no acknowledged event
    segments = known(directory)
    if not segments:
        _refuse_lost(directory)
        return Recovered(None, 0, Tree(), "")
    last = segments[-1]
    if not last.lines.exists():
        raise DamagedLogError(f"{last.lines}: the segment that was being written is missing")
    data = last.lines.read_bytes()
    scan = _Scan(last.lines, data)
    check_history(segments[:-1], scan.header)
    good, tree, last_code = scan.good()
    rest = data[good:]
    _refuse_damage(directory, scan, good, tree, rest)
    torn = _quarantine(last, rest, good, tree.size, now) if rest else None
    return Recovered(scan.header, good, tree, last_code, torn)


class _Scan:
    """One look at the last segment, up to where it stops to make sense."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path = path
        self.header = read_header(path, data)
        self._start = tree_of(path, self.header)
        self._leaves: list[bytes] = []
        self._commits: list[tuple[int, Commit]] = []  # each with the byte after it
        self._events: list[tuple[int, int]] = []
        self._run(data)
        self._data = data

    def _run(self, data: bytes) -> None:
        at, sequence = data.index(b"\n") + 1, self.header.start
        expected = b'{"metadata":{"sequence":%d,' % sequence
        while (end := data.find(b"\n", at)) >= 0:
            if data.startswith(expected, at):
                self._leaves.append(leaf_hash(data[at:end]))
                self._events.append((at, end))
                sequence += 1
                expected = b'{"metadata":{"sequence":%d,' % sequence
            elif (commit := read_commit(data[at:end])) is None or commit.cp != sequence:
                return
            else:
                self._commits.append((end + 1, commit))
            at = end + 1

    def good(self) -> tuple[int, Tree, str]:
        """The length of what is good, the tree of it, and the code of the last event in it."""
        for end, commit in self._right_roots():
            if is_signed_commit(self.header, commit):
                count = commit.cp - self.header.start
                return end, self._start.extended(self._leaves[:count]), self._code(count)
        raise DamagedLogError(f"{self.path}: no commit in it is good")

    def _right_roots(self) -> list[tuple[int, Commit]]:
        """The commits whose root is that of the events before them, the last one first."""
        if self._commits and self._is_root(self._commits[-1][1]):
            return self._commits[::-1]  # the events before it are as they were, so each earlier root is right as well
        tree, done, right = self._start, 0, []
        for end, commit in self._commits:
            count = commit.cp - self.header.start
            tree, done = tree.extended(self._leaves[done:count]), count
            if root_of(commit) != tree.root:
                break
            right.append((end, commit))
        return right[::-1]

    def _is_root(self, commit: Commit) -> bool:
        return root_of(commit) == self._start.extended(self._leaves[: commit.cp - self.header.start]).root

    def _code(self, count: int) -> str:
        if not count:
            return ""
        at, end = self._events[count - 1]
        try:
            return _LINES.decode(self._data[at:end]).metadata.event_code
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return ""


def _refuse_lost(directory: Path) -> None:
    """A directory without a segment is new only if nothing says that there was one."""
    for trace in (checkpoint_path(directory), vkeys_path(directory)):
        if trace.exists():
            raise DamagedLogError(f"{directory}: {trace.name} is of a log, and there is no segment of it")


def _refuse_damage(directory: Path, scan: _Scan, good: int, tree: Tree, rest: bytes) -> None:
    """What follows the last good commit must be what was never acknowledged."""
    commits = (read_commit(found[0][:-1]) for found in _COMMIT.finditer(rest))
    signed = [each for each in commits if each is not None and is_signed_commit(scan.header, each)]
    confirmed = _confirmed(directory)
    if confirmed > tree.size:
        raise DamagedLogError(
            f"{scan.path}: damaged at byte {good}: the events from sequence {tree.size} to {confirmed - 1}, which were "
            "acknowledged, are missing or changed"
        )
    if len(signed) > 1 or len(rest) > TAIL:
        raise DamagedLogError(f"{scan.path}: damaged at byte {good}, where sequence {tree.size} should be; {DAMAGED}")


def _confirmed(directory: Path) -> int:
    """The size that the checkpoint says was on the disk; 0 if there is none.

    It is believed without its key: a wrong one makes us refuse, and that is what somebody's edit should do.
    """
    try:
        return size_of_checkpoint(checkpoint_path(directory).read_text())
    except (OSError, ValueError):
        return 0  # it is renamed into place without waiting for the disk: a crash may leave anything


def _quarantine(segment: SegmentFiles, tail: bytes, good: int, sequence: int, now: int) -> Torn:
    """Copy the tail, make the copy durable, and only then cut it off."""
    aside = segment.directory / f"torn-{sequence:012d}-{now}.bin"
    with aside.open("xb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(tail)
        file.flush()
        os.fsync(file.fileno())
    sync_directory(segment.directory)
    with segment.lines.open("r+b") as file:
        file.truncate(good)
        os.fsync(file.fileno())
    return Torn(len(tail), sha256(tail).hexdigest(), aside.name)
