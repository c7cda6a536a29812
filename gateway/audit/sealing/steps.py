"""Sealing a segment, in steps of which each is on the disk before the next: a crash anywhere costs time, nothing else.

1. The compressed file, under another name; synced, read back, and compared with the lines it was made from.
2. It and the hashes of the tree get their names; then the columns are made.
3. The seal. From here on the segment is sealed, and the lines are a second copy.
4. The lines are removed.

Repeating it after a crash writes the same bytes again, or finds them there.
"""

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.audit.directory import SegmentFiles, known, live
from gateway.audit.sealing.frames import PackedFile
from gateway.audit.sealing.pack import Packed, pack
from gateway.audit.sealing.seal import Seal, read_seal, seal_of, write_seal
from gateway.audit.sealing.whole import UNFINISHED, named, remove, written
from gateway.audit.statements import DamagedLogError

log = logging.getLogger("gateway.audit")

_PACKED_MODE: Final = 0o400


@dataclass(frozen=True, slots=True)
class Sealed:
    """What was done: the seal, and whether there are columns for questions. Without them the lines are read."""

    seal: Seal
    columns: bool


def waiting(directory: Path) -> list[SegmentFiles]:
    """The segments that can be sealed, oldest first: all that are plain lines, but for the one being written."""
    plain = live(directory)
    newest = known(directory)[-1:]
    return [each for each in plain if [each] != newest]


def without_columns(directory: Path) -> list[SegmentFiles]:
    """The sealed segments that have their events, and no columns for questions."""
    return [each for each in known(directory) if each.packed.exists() and not each.columns.exists()]


def seal(files: SegmentFiles, now: int) -> Sealed:
    """Seal one finished segment; `now` in milliseconds.

    Raises:
        DamagedLogError: it is not what its last commit signs for, or what is already sealed differs from it.
        OSError: the disk is full or broken. The segment stays as it is.
    """
    if files.seal.exists():
        return _complete(files)
    found = _packed(files)
    columns = make_columns(files, found.end)
    sealed = seal_of(found, now)
    write_seal(files.seal, sealed)
    _remove_lines(files, found.source)
    return Sealed(sealed, columns)


def make_columns(files: SegmentFiles, end: int | None = None) -> bool:
    """Make the columns of a sealed segment. They can be made at any time: a failure is told, and stops nothing.

    Columns that lack an event are removed: an answer from the lines is slower, and complete. `end`: as in its seal.
    """
    from gateway.audit.questions.columns import write_parquet, writer  # noqa: PLC0415 - DuckDB: 20 MB, only for this

    try:
        expected = (read_seal(files.seal).end if end is None else end) - files.start
        with writer() as connection:
            rows = write_parquet(connection, files.packed, files.columns)
    except Exception as error:
        log.warning("%s: the columns could not be made: %s", files.columns, error)
        return False
    if rows != expected:
        files.columns.unlink()
        log.warning("%s: the columns had %d of %d events", files.columns, rows, expected)
    return rows == expected


def sweep(directory: Path) -> None:
    """Remove what an interrupted sealing has left unfinished."""
    for suffix in (".jsonl.zst", ".tree", ".seal"):
        for leftover in directory.glob(f"seg-*{suffix}{UNFINISHED}"):
            leftover.unlink()


def _packed(files: SegmentFiles) -> Packed:
    with written(files.packed, _PACKED_MODE) as file:
        found = pack(files.lines, file)
    _compare(files, found)
    with written(files.tree) as file:
        file.write(found.hashes)
    named(files.packed, files.tree)
    return found


def _compare(files: SegmentFiles, found: Packed) -> None:
    """What a reader will get is what was to be kept: decompressed from the file, not from memory."""
    digest, path = hashlib.sha256(), files.packed.with_name(files.packed.name + UNFINISHED)
    packed = PackedFile(path)
    try:
        for block in packed.blocks():
            digest.update(block)
    finally:
        packed.close()
    if digest.hexdigest() != found.plain.sha256:
        path.unlink()
        raise DamagedLogError(f"{files.lines}: not sealed: the compressed file does not give its bytes back")


def _complete(files: SegmentFiles) -> Sealed:
    """The last steps, after a crash between the seal and the removal of the lines."""
    sealed = read_seal(files.seal)
    with files.packed.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != sealed.zst.sha256:
        raise DamagedLogError(f"{files.packed}: is not the file that its seal states; its lines are kept")
    with Path(os.devnull).open("wb") as nowhere:
        found = pack(files.lines, nowhere)
    if found.plain.sha256 != sealed.jsonl.sha256:
        raise DamagedLogError(f"{files.lines}: is not the segment that was sealed; it is kept")
    _remove_lines(files, found.source)
    return Sealed(sealed, files.columns.exists() or make_columns(files, sealed.end))


def _remove_lines(files: SegmentFiles, size: int) -> None:
    if files.lines.stat().st_size != size:
        raise DamagedLogError(f"{files.lines}: has grown since it was sealed; it is kept")
    remove(files.lines)
