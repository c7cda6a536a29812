"""One file of the log: a header, then events and the commits that sign for them, only ever appended.

    {"log":"gateway-audit/2","origin":"3f…/w0","start":0,"created":1790000000123,"stack":[],"vkey":"…","roll":null}
    {"cp":0,"root":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=","sig":"…"}
    {"metadata":{"sequence":0,…
    {"cp":1,"root":"…","sig":"…"}

The file is named by the sequence of its first event, so the one that holds an event is found without opening any. The
events are the leaves of a Merkle tree; docs/audit-record.md says what the other lines hold. After a failed write a file
is cut back to its last commit.
"""

import ctypes
import errno
import os
import time
from pathlib import Path
from typing import Final, Literal, TextIO

import msgspec

from gateway.audit.directory import SegmentFiles

FORMAT: Final = "gateway-audit/2"
_KEEP_SIZE: Final = 1  # FALLOC_FL_KEEP_SIZE, linux/falloc.h
_FLAGS: Final = {"w": os.O_TRUNC, "a": os.O_APPEND}
_CHECK_INTERVAL: Final = 0.1  # seconds
_libc = ctypes.CDLL(None, use_errno=True)


class Header(msgspec.Struct, frozen=True):
    """First line of a segment. `created` in milliseconds; `start` is the sequence of the first event.

    `stack` holds the complete subtrees of all events before it (base64, greatest first), `vkey` the key that signs the
    commits of this segment. `roll` is the signature of the key before on all of that; None in a log's first segment.
    """

    log: str
    origin: str
    start: int
    created: int
    stack: tuple[str, ...]
    vkey: str
    roll: str | None


class ReplacedError(OSError):
    """The file at the segment's path is no longer the one we write to, or somebody else has changed its length."""


def preallocate(descriptor: int, size: int) -> None:
    """Blocks beyond the end of the file, without a change of its length: a disk that fills up later does not stop us.

    Nothing happens where the file system cannot. `os.posix_fallocate` is no substitute: it changes the length, and
    glibc emulates it by writing.

    Raises:
        OSError: ENOSPC, or another real failure.
    """
    if _libc.fallocate(descriptor, _KEEP_SIZE, ctypes.c_long(0), ctypes.c_long(size)) == 0:
        return
    code = ctypes.get_errno()
    if code not in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINTR):
        raise OSError(code, os.strerror(code))


def private(path: Path, mode: Literal["w", "a"]) -> TextIO:
    """The file, to be written; when it is made now, it is the user's alone, whatever the umask."""
    return os.fdopen(os.open(path, _FLAGS[mode] | os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600), mode)


def sync_directory(directory: Path) -> None:
    """Make creations, renames and removals in it durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Segment:
    """An open segment. `size` is its length up to the last acknowledged byte; used by one thread at a time."""

    def __init__(self, path: Path, descriptor: int, header: Header, size: int) -> None:
        self.path = path
        self.header = header
        self.size = size
        self._descriptor = descriptor
        self._check_due = 0.0

    @classmethod
    def create(cls, directory: Path, header: Header, commit: bytes, reserve: int) -> "Segment":
        """A new segment with its header and first commit, complete or not at all: synced under another name, renamed.

        Raises:
            OSError: no space, no permission; nothing is left behind.
        """
        path = SegmentFiles(directory, header.start).lines
        temporary = path.with_suffix(".tmp")
        line = msgspec.json.encode(header) + b"\n" + commit
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            preallocate(descriptor, reserve)
            _write(descriptor, line, 0)
            os.fsync(descriptor)
            temporary.rename(path)
            sync_directory(directory)
        except OSError:
            os.close(descriptor)
            temporary.unlink(missing_ok=True)
            raise
        return cls(path, descriptor, header, len(line))

    @classmethod
    def reopen(cls, path: Path, header: Header, size: int, reserve: int) -> "Segment":
        """A segment whose first `size` bytes are known to be good, to be continued."""
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            preallocate(descriptor, reserve)
        except OSError:
            os.close(descriptor)
            raise
        return cls(path, descriptor, header, size)

    def append(self, data: bytes) -> None:
        """Write and sync; on return the bytes are on the disk.

        That they are at the path where readers look is checked every tenth of a second, not at each commit: every
        system call hands the interpreter to another thread. What is acknowledged in between is not lost when the file
        is deleted: it is in the file that we hold open, and `restore` puts that back.

        Raises:
            ReplacedError: the file was deleted, replaced or resized under us.
            OSError: the disk is full or broken. Some of the bytes may be in the file: `cut_back`.
        """
        self._check_length()  # else a file that somebody has cut would get a hole, and its old length again
        _write(self._descriptor, data, self.size)
        os.fdatasync(self._descriptor)
        self.size += len(data)
        if time.monotonic() >= self._check_due:
            self._check_after(len(data))

    def _check_after(self, written: int) -> None:
        try:
            self.check()
        except OSError:
            self.size -= written
            self._take_back(written)
            raise
        self._check_due = time.monotonic() + _CHECK_INTERVAL

    def _take_back(self, written: int) -> None:
        if os.fstat(self._descriptor).st_size == self.size + written:  # nobody else's bytes are among them
            self.cut_back()

    def check(self) -> None:
        """Raises ReplacedError when the path does not lead to this file, or when its length is not ours."""
        ours = os.fstat(self._descriptor)
        try:
            there = self.path.stat()
        except FileNotFoundError:
            raise ReplacedError(errno.ENOENT, "the segment was deleted", str(self.path)) from None
        if (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino):
            raise ReplacedError(errno.ESTALE, "the segment was replaced", str(self.path))
        self._check_length()

    def _check_length(self) -> None:
        if os.fstat(self._descriptor).st_size != self.size:
            raise ReplacedError(errno.ESTALE, "the segment was resized by somebody else", str(self.path))

    def cut_back(self) -> None:
        """Remove what was written after the last acknowledged byte. A file that is too short stays so."""
        if os.fstat(self._descriptor).st_size > self.size:
            os.ftruncate(self._descriptor, self.size)
            os.fdatasync(self._descriptor)

    def restore(self, aside: Path, reserve: int) -> bool:
        """Put a deleted or replaced segment back at its path, from the file we still hold open. True when it was.

        What stands at the path meanwhile is kept as `aside`, what somebody has added to our file beside it.

        Raises:
            OSError: it could not be done.
            ReplacedError: our own file is shorter than what we have acknowledged: nothing to restore from.
        """
        length = os.fstat(self._descriptor).st_size
        if length < self.size:
            raise ReplacedError(errno.ESTALE, "the segment was cut by somebody else", str(self.path))
        if length > self.size:
            # Not ours: what we had not finished was cut off when the log failed.
            aside.with_suffix(".tail.bin").write_bytes(os.pread(self._descriptor, length - self.size, self.size))
            self.cut_back()
        try:
            self.check()
        except ReplacedError:
            self._copy_back(aside, reserve)
            return True
        return length > self.size

    def _copy_back(self, aside: Path, reserve: int) -> None:
        temporary = self.path.with_suffix(".tmp")
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            preallocate(descriptor, reserve)
            self._copy_to(descriptor)
            os.fsync(descriptor)
            if self.path.exists():
                self.path.rename(aside)
            temporary.rename(self.path)
            sync_directory(self.path.parent)
        except OSError:
            os.close(descriptor)
            temporary.unlink(missing_ok=True)
            raise
        os.close(self._descriptor)
        self._descriptor = descriptor

    def _copy_to(self, descriptor: int) -> None:
        at = 0
        while at < self.size:
            data = os.pread(self._descriptor, min(1024 * 1024, self.size - at), at)
            if not data:
                raise ReplacedError(errno.ESTALE, "the segment was cut by somebody else", str(self.path))
            _write(descriptor, data, at)
            at += len(data)

    def finish(self) -> None:
        """End it: give back the reserved blocks, sync, close. No more events go into it."""
        try:
            os.ftruncate(self._descriptor, self.size)
            os.fsync(self._descriptor)
        finally:
            os.close(self._descriptor)

    def close(self) -> None:
        """Close the file without touching it."""
        os.close(self._descriptor)


def _write(descriptor: int, data: bytes, at: int) -> None:
    # A write may be short (a signal, a nearly full disk): go on where it ended, or get the reason.
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, at)
        view, at = view[written:], at + written
