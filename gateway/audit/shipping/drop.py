"""Sealed segments into a directory: an archive, and with a checkpoint beside each an anchor of the log.

    <directory>/<instance>/<worker>/seg-<start>.jsonl.zst  .seal  .tree  checkpoint-<size>

A file is there complete or not at all, and is never written over: where the directory is kept by a store that locks
objects, nobody can.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final

from gateway.audit.directory import SegmentFiles, checkpoint_path, known, starts
from gateway.audit.note import size_of_checkpoint
from gateway.audit.sealing.seal import Seal, read_seal
from gateway.audit.segment import sync_directory
from gateway.audit.shipping.errors import LostEvents, Refused, Undelivered
from gateway.audit.shipping.sink import Batch, Delivered
from gateway.audit.shipping.source import GO_ON, Checkpoint
from gateway.audit.statements import DamagedLogError

_BLOCK: Final = 1024 * 1024
_VERIFY: Final = "gateway audit verify tells more"


class DropSink:
    """A directory, on this machine or mounted. Confirmed is what has been synced there."""

    overlap = 0.0

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def send(self, batch: Batch) -> Delivered:
        """Copy the files of one sealed segment, and the checkpoint that is newest now."""
        segment = batch.segment
        if segment is None:
            raise TypeError("only sealed segments can be dropped")
        try:
            if not self._directory.is_dir():
                raise Undelivered(f"{self._directory}: is not there")  # made by us, a missing mount would go unnoticed
            target = self._directory / Path(*segment.directory.parts[-2:])
            target.mkdir(parents=True, exist_ok=True)
            keep(segment.packed, target, _seal(segment).zst.sha256)
            keep(segment.tree, target)
            keep_checkpoint(segment.directory, target)
            keep(segment.seal, target)  # last: where it is, the others are
            sync_directory(target)
        except OSError as error:
            raise Undelivered(f"{self._directory}: {(error.strerror or str(error)).lower()}") from error
        return Delivered()

    def check(self) -> None:
        """Nothing: what is on the disk stays."""

    def close(self) -> None:
        """Nothing is open."""


class SealedSegments:
    """The feed of such a sink: each sealed segment from a sequence on."""

    def __init__(self, directory: Path, sequence: int) -> None:
        self._directory = directory
        self._sequence = _beginning(directory, sequence)

    def next(self, checkpoint: Checkpoint, limit: int) -> Batch | None:
        """The next segment that is sealed; None when there is none yet.

        Raises:
            LostEvents: it was pruned, or it is missing.
        """
        segment = SegmentFiles(self._directory, self._sequence)
        if not segment.seal.exists():
            self._check_that_it_comes(segment)
            return None
        seal = _seal(segment)
        if seal.pruned is not None or not segment.packed.exists():
            raise LostEvents(
                f"{self._directory}: events {seal.start} to {seal.end - 1} were removed before they were shipped",
                GO_ON,
            )
        if seal.end <= seal.start:
            raise LostEvents(f"{segment.seal}: no event in it", _VERIFY)
        if seal.end > min(limit, checkpoint.size):
            return None
        self._sequence = seal.end
        return Batch(checkpoint.origin, seal.start, seal.end, segment=segment)

    def rewind(self, sequence: int, confirmed: int) -> None:  # noqa: ARG002 - a confirmed copy needs no overlap
        """Go on from there."""
        self._sequence = _beginning(self._directory, sequence)

    def _check_that_it_comes(self, segment: SegmentFiles) -> None:
        later = [start for start in starts(self._directory, ".seal") if start >= segment.start]
        if later and not segment.lines.exists():
            raise LostEvents(f"{self._directory}: the segment with event {segment.start} is missing", _VERIFY)


def _beginning(directory: Path, sequence: int) -> int:
    """Where the segment begins that comes next: a cursor that began with --begin now may stand in the middle of it."""
    holder = max((each.start for each in known(directory) if each.start <= sequence), default=sequence)
    files = SegmentFiles(directory, holder)
    return sequence if files.seal.exists() and _seal(files).end <= sequence else holder


def _seal(segment: SegmentFiles) -> Seal:
    try:
        return read_seal(segment.seal)
    except DamagedLogError as error:
        raise LostEvents(str(error), _VERIFY) from None


def keep(source: Path, target: Path, digest: str | None = None) -> None:
    """A copy of the file in the directory, synced; nothing when it is there already.

    Raises:
        LostEvents: the file is not what its seal says.
        Refused: another file of that name is there.
        OSError: it cannot be copied.
    """
    final = target / source.name
    if final.exists():
        expected = digest or _sha256(source)
        if _sha256(final) != expected:
            raise Refused(
                f"{final}: there is another file of that name", "look who has written it; nothing is replaced"
            )
        return
    temporary = target / f".{source.name}.tmp"
    found = _copy(source, temporary)
    if digest is not None and found != digest:
        temporary.unlink()
        raise LostEvents(f"{source}: is not what its seal says", _VERIFY)
    if _sha256(temporary) != found:
        temporary.unlink()
        raise Undelivered(f"{final}: what was written reads differently")
    temporary.rename(final)
    sync_directory(target)


def keep_checkpoint(directory: Path, target: Path) -> None:
    """The log's newest checkpoint, under a name with its size."""
    note = checkpoint_path(directory).read_bytes()
    try:
        size = size_of_checkpoint(note.decode())
    except ValueError as error:
        raise LostEvents(f"{checkpoint_path(directory)}: {error}", _VERIFY) from None
    final = target / f"checkpoint-{size:012d}"
    if final.exists():
        # One size has one root, unless the log was rolled back and has gone on. The key may be that of the next epoch.
        if final.read_bytes().partition(b"\n\n")[0] != note.partition(b"\n\n")[0]:
            raise Refused(f"{final}: another checkpoint of the same size", "the log was rolled back: compare the two")
        return
    temporary = target / f".{final.name}.tmp"
    _write(temporary, [note])
    temporary.rename(final)
    sync_directory(target)


def _copy(source: Path, target: Path) -> str:
    digest = hashlib.sha256()

    def blocks(file: IO[bytes]) -> Iterator[bytes]:
        while block := file.read(_BLOCK):
            digest.update(block)
            yield block

    with source.open("rb") as file:
        _write(target, blocks(file))
    return digest.hexdigest()


def _write(path: Path, blocks: Iterable[bytes]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o440)
    with os.fdopen(descriptor, "wb") as file:
        for block in blocks:
            file.write(block)
        file.flush()
        os.fsync(file.fileno())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
