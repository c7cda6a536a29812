"""What a directory of segments holds after whatever has happened to it, and what must be removed before writing on.

Rules, in this order:
1. The segments must be complete: the first starts at 0, and each ends where the next begins. Otherwise: refuse.
2. In the last segment, a line is good when it is complete, valid JSON and, if it is an event, the next in sequence.
3. What follows the last good line was never acknowledged when it is a torn tail: half a line, garbage without events
   behind it, or zeros (blocks that the file system had reserved and not written when the power went) in the last 8 MiB.
   It is moved to `torn-<sequence>-<time>.bin` and reported.
4. Bad bytes with events behind them are damage to what had been acknowledged, or somebody's edit: refuse.
"""

import os
import re
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec

from gateway.audit.segment import FORMAT, Header, segment_path, segments, sync_directory
from gateway.errors import LedgerError

# Twice the greatest batch: nothing that was never acknowledged can be longer.
TAIL: Final = 8 * 1024 * 1024
_HINT: Final = (
    "keep a copy of the directory for inquiry; restore the missing bytes from a backup, "
    "or start a new log in another directory"
)


class _Metadata(msgspec.Struct, frozen=True, gc=False):
    sequence: int
    event_code: str = ""


class _Line(msgspec.Struct, frozen=True, gc=False):
    metadata: _Metadata | None = None


_LINES: Final = msgspec.json.Decoder(_Line)
_HEADERS: Final = msgspec.json.Decoder(Header)
_EVENT = re.compile(rb'\{"metadata":\{"sequence":\d+,[^\n]*\}\n')


@dataclass(frozen=True, slots=True)
class Torn:
    """A tail that was never acknowledged. `file` is where it was moved to."""

    bytes: int
    sha256: str
    file: str


@dataclass(frozen=True, slots=True)
class Recovered:
    """Where writing goes on: the last segment with `size` good bytes, and the next sequence.

    `header` is None for a new log. `last_code` is the last event's code: after an orderly stop, `audit.stop`.
    """

    header: Header | None
    size: int
    sequence: int
    last_code: str
    torn: Torn | None = None


def recover(directory: Path, now: int) -> Recovered:
    """Read the directory, move a torn tail aside, and tell where to go on. `now` (milliseconds) names the tail's file.

    Raises:
        LedgerError: a segment is missing or damaged; nothing has been changed.
        OSError: it cannot be read or written.
    """
    for leftover in directory.glob("*.tmp"):
        leftover.unlink()  # a segment that never got its name holds no acknowledged event
    found = segments(directory)
    if not found:
        return Recovered(None, 0, 0, "")
    _check_continuity(found)
    start, path = found[-1]
    data = path.read_bytes()
    header, good, sequence, last_code = _scan(path, data, start)
    if good == len(data):
        return Recovered(header, good, sequence, last_code)
    _check_tail(path, data, good, sequence)
    return Recovered(header, good, sequence, last_code, _quarantine(path, data[good:], good, sequence, now))


def read_header(path: Path, line: bytes) -> Header:
    """The header of a segment.

    Raises:
        LedgerError: it is none that we know.
    """
    try:
        header = _HEADERS.decode(line)
    except msgspec.MsgspecError:
        raise LedgerError(f"{path}: the first line is not a header of the log", _HINT) from None
    if header.log != FORMAT:
        raise LedgerError(f"{path}: the log has the format {header.log!r}, which this version does not know")
    return header


def _check_continuity(found: list[tuple[int, Path]]) -> None:
    first, path = found[0]
    if first != 0:
        raise LedgerError(
            f"{segment_path(path.parent, 0)}: the segment is missing; the log begins with sequence {first}", _HINT
        )
    for (_, path), (start, _) in pairwise(found):
        end = _last_sequence(path) + 1
        if end != start:
            raise LedgerError(f"{path}: ends before sequence {end}, and the next segment begins with {start}", _HINT)


def _last_sequence(path: Path) -> int:
    """The sequence of the last event of a segment that is not the last one, so that must be whole."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 64 * 1024))
        tail = file.read()
    lines = tail.split(b"\n")
    for line in reversed(lines[:-1] if lines[-1] == b"" else ()):
        if (metadata := _metadata(line)) is not None:
            return metadata.sequence
    raise LedgerError(f"{path}: the end of the segment is damaged", _HINT)


def _metadata(line: bytes) -> _Metadata | None:
    try:
        return _LINES.decode(line).metadata
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _scan(path: Path, data: bytes, start: int) -> tuple[Header, int, int, str]:
    """The header, the length of what is good, the next sequence and the last event's code."""
    at = data.find(b"\n") + 1
    header = read_header(path, data[:at])
    if header.start != start:
        raise LedgerError(f"{path}: the header says that the segment begins with sequence {header.start}", _HINT)
    sequence, last_code = start, ""
    while (end := data.find(b"\n", at) + 1) > 0:
        try:
            metadata = _LINES.decode(data[at:end]).metadata
        except (msgspec.MsgspecError, UnicodeDecodeError):
            break
        if metadata is not None:
            if metadata.sequence != sequence:
                raise LedgerError(
                    f"{path}: sequence {sequence} is missing; {metadata.sequence} stands in its place", _HINT
                )
            sequence, last_code = sequence + 1, metadata.event_code
        at = end
    return header, at, sequence, last_code


def _check_tail(path: Path, data: bytes, good: int, sequence: int) -> None:
    tail = data[good:]
    never_written = tail.find(b"\0")
    event = next((found.start() for found in _EVENT.finditer(tail) if _metadata(found[0]) is not None), None)
    if event is None:
        return
    zeros_first = 0 <= never_written < event and len(tail) <= TAIL
    if not zeros_first:
        raise LedgerError(
            f"{path}: damaged at byte {good}, where sequence {sequence} should be; later events are intact", _HINT
        )


def _quarantine(path: Path, tail: bytes, good: int, sequence: int, now: int) -> Torn:
    """Copy the tail, make the copy durable, and only then cut it off."""
    aside = path.parent / f"torn-{sequence:012d}-{now}.bin"
    with aside.open("xb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(tail)
        file.flush()
        os.fsync(file.fileno())
    sync_directory(path.parent)
    with path.open("r+b") as file:
        file.truncate(good)
        os.fsync(file.fileno())
    return Torn(len(tail), sha256(tail).hexdigest(), aside.name)
