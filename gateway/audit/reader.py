"""The record, read while it is written: events in the order of the log, of one process or of all of them.

Reads only complete lines: half a line that is being written, or that a crash has torn, is never taken for an event.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.audit.directory import SegmentFiles, live

_BLOCK: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """One event: the line as it stands in the file, and what it says."""

    raw: bytes
    event: dict[str, Any]

    @property
    def place(self) -> tuple[int, str, int]:
        """Where it belongs among the events of several logs: by time, then log, then sequence."""
        metadata = self.event["metadata"]
        return int(self.event.get("time", 0)), str(metadata.get("log_name", "")), int(metadata["sequence"])


def parse(raw: bytes) -> Line | None:
    """The event of one line; None for a header, for any other kind of line, and for what is no JSON."""
    try:
        event = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    if not isinstance(event, dict):
        return None
    metadata = event.get("metadata")
    known = isinstance(metadata, dict) and isinstance(metadata.get("sequence"), int)
    return Line(raw, event) if known and isinstance(event.get("time"), int) else None


def logs(state: Path) -> list[Path]:
    """The directories of all logs below a state directory."""
    return sorted(path for path in (state / "audit").glob("*/*") if live(path))


def last(directory: Path) -> Iterator[Line]:
    """The events of one log, newest first."""
    for segment in reversed(live(directory)):
        for raw in _backwards(segment.lines):
            if (line := parse(raw)) is not None:
                yield line


def _backwards(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        at = file.seek(0, 2)
        rest = b""
        complete = False
        while at > 0:
            at, size = max(0, at - _BLOCK), min(_BLOCK, at)
            file.seek(at)
            pieces = (file.read(size) + rest).split(b"\n")
            rest = pieces[0]
            # Behind the last newline is a line that is not complete.
            yield from reversed(pieces[1:] if complete else pieces[1:-1])
            complete = True
        if rest and complete:
            yield rest


@dataclass(slots=True)
class Cursor:
    """Where a reader of one log has got to. `read` goes on from there, across segments."""

    directory: Path
    start: int = -1
    at: int = 0

    @classmethod
    def at_end(cls, directory: Path) -> "Cursor":
        """Behind everything that the log holds now."""
        found = live(directory)
        return cls(directory, found[-1].start, _complete_size(found[-1].lines)) if found else cls(directory)

    def read(self) -> Iterator[Line]:
        """The events that came since."""
        while (start := self._segment()) is not None:
            yield from self._rest_of(SegmentFiles(self.directory, start).lines)
            following = [each.start for each in live(self.directory) if each.start > start]
            if not following:
                return
            # The next segment exists, so this one is complete: its last bytes may have come after we looked.
            yield from self._rest_of(SegmentFiles(self.directory, start).lines)
            self.start, self.at = following[0], 0

    def _segment(self) -> int | None:
        if self.start < 0 and (found := live(self.directory)):
            self.start = found[0].start
        return self.start if self.start >= 0 else None

    def _rest_of(self, path: Path) -> Iterator[Line]:
        with path.open("rb") as file:
            file.seek(self.at)
            data = file.read()
        # Only past complete lines: an incomplete one may be finished, or cut off and written anew.
        complete = data.rfind(b"\n") + 1
        self.at += complete
        for raw in data[:complete].split(b"\n"):
            if (line := parse(raw)) is not None:
                yield line


def _complete_size(path: Path) -> int:
    with path.open("rb") as file:
        size = at = file.seek(0, 2)
        while at > 0:
            at = max(0, at - _BLOCK)
            file.seek(at)
            if (found := file.read(min(_BLOCK, size - at)).rfind(b"\n")) >= 0:
                return at + found + 1
    return 0


def merge(lines: Iterable[Line]) -> list[Line]:
    """The events of several logs in one order."""
    return sorted(lines, key=lambda line: line.place)
