"""Checkpoints in another directory: appended, synced, never written over.

    <directory>/<origin, with _ for />/20261125T133000Z.checkpoints

A file is begun at each start and each day, so a crash while one is written spoils no older one. Notes stand in it one
after the other, an empty line behind each: `gateway audit verify --anchor DIRECTORY` reads them as they are.
"""

import os
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

from gateway.audit.anchors.outcomes import Anchored, AnchorError
from gateway.audit.anchors.own_log import OwnLog, Shown
from gateway.audit.segment import sync_directory
from gateway.audit.verifier import Checkpoint

SUFFIX: Final = ".checkpoints"
_TAIL: Final = 64 * 1024  # bytes; a note with the lines of many witnesses has a few thousand


class DirectoryAnchor:
    """One such directory. Its thread may wait for it as long as it likes."""

    kind: Final = "directory"

    def __init__(self, directory: Path, log: OwnLog) -> None:
        self.place = str(directory)
        self._log = log
        self._within = directory / log.origin.replace("/", "_")
        self._file: Path | None = None
        self._compared = False

    def offer(self, shown: Shown) -> Anchored:
        """Append the checkpoint; the first time, compare the log with what is there from before.

        Raises:
            ConflictError: the log does not continue it. The checkpoint has been appended all the same: both are
                evidence, and the next start will find the conflict again.
            AnchorError: the directory cannot be written or read.
        """
        try:
            before = None if self._compared else newest(self._within)
            self._append(shown.note)
        except OSError as error:
            raise AnchorError(f"{error.filename or self.place}: {(error.strerror or str(error)).lower()}") from None
        self._compared = True  # a conflict is told once; the next start will find it again
        if before is not None:
            self._log.compare(before, shown)
        return Anchored(shown.checkpoint.size, shown.root)

    def close(self) -> None:
        """Nothing is left open."""

    def _append(self, note: str) -> None:
        path, data = self._current(), note.encode() + b"\n"
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._file = None  # after a failure, half a note may stand there: the next one goes into another file
        try:
            written = os.write(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if written != len(data):
            raise OSError(0, "the checkpoint could not be written whole", str(path))
        self._file = path

    def _current(self) -> Path:
        now = datetime.now(UTC)
        if self._file is not None and self._file.name[:8] == f"{now:%Y%m%d}":
            return self._file
        self._within.mkdir(parents=True, exist_ok=True)
        path = self._within / f"{now:%Y%m%dT%H%M%S}Z-{now.microsecond:06d}{SUFFIX}"
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
        sync_directory(self._within)
        self._file = path
        return path


def newest(within: Path) -> Checkpoint | None:
    """The checkpoint of the greatest size in a directory of one log; None when there is none.

    Raises:
        OSError: it cannot be read.
    """
    found = (last_note(path) for path in within.glob(f"*{SUFFIX}"))
    return max(filter(None, found), key=lambda each: each.size, default=None)


def last_note(path: Path) -> Checkpoint | None:
    """The last checkpoint of one file: within a file, sizes only grow. What a crash has torn is passed over.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - _TAIL))
        return last_in(file.read().decode("utf-8", "replace"), str(path))


def last_in(text: str, source: str) -> Checkpoint | None:
    """The last checkpoint of a text in which an empty line stands behind each, and one within each."""
    parts = text.split("\n\n")
    for body, signatures in reversed(list(pairwise(parts))):
        with suppress(ValueError):
            return Checkpoint.parse(f"{body}\n\n{signatures.rstrip(chr(10))}\n", source)
    return None
