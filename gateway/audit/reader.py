"""The record, read while it is written: events in the order of the log, of one process or of all of them.

Reads only complete lines: half a line that is being written, or that a crash has torn, is never taken for an event.
What has been sealed reads the same as what has not; what has been pruned is passed over.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from gateway.audit.contents import complete_size, lines_backwards, lines_from, opened
from gateway.audit.directory import SegmentFiles, known
from gateway.audit.sealing.frames import PackedFile


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
    is_event = isinstance(metadata, dict) and isinstance(metadata.get("sequence"), int)
    return Line(raw, event) if is_event and isinstance(event.get("time"), int) else None


def logs(state: Path) -> list[Path]:
    """The directories of all logs below a state directory."""
    return sorted(path for path in (state / "audit").glob("*/*") if known(path))


def last(directory: Path) -> Iterator[Line]:
    """The events of one log, newest first, as far back as there are any.

    Raises:
        DamagedLogError: a sealed segment is not what it should be.
        OSError: a file cannot be read.
    """
    for segment in reversed(known(directory)):
        with opened(segment) as found:
            for raw in lines_backwards(found) if found else ():
                if (line := parse(raw)) is not None:
                    yield line


@dataclass(slots=True)
class Cursor:
    """Where a reader of one log has got to. `read` goes on from there, across segments.

    `at` counts the bytes of the segment's lines. They may have been sealed meanwhile, without the commits: then
    `sequence`, that of the next event, says where to go on.
    """

    directory: Path
    start: int = -1
    at: int = 0
    sequence: int = 0

    @classmethod
    def at_end(cls, directory: Path) -> "Cursor":
        """Behind everything that the log holds now."""
        if not (segments := known(directory)):
            return cls(directory)
        with opened(segments[-1]) as found:
            at = complete_size(found) if found else 0
            newest = next(filter(None, map(parse, lines_backwards(found))), None) if found else None
        start = segments[-1].start
        return cls(directory, start, at, newest.place[2] + 1 if newest else start)

    def read(self) -> Iterator[Line]:
        """The events that came since.

        Raises:
            DamagedLogError: a sealed segment is not what it should be.
            OSError: a file cannot be read.
        """
        while (start := self._segment()) is not None:
            yield from self._rest_of(SegmentFiles(self.directory, start))
            following = [each.start for each in known(self.directory) if each.start > start]
            if not following:
                return
            # The next segment exists, so this one is complete: its last bytes may have come after we looked.
            yield from self._rest_of(SegmentFiles(self.directory, start))
            self.start, self.at = following[0], 0

    def _segment(self) -> int | None:
        if self.start < 0 and (found := known(self.directory)):
            self.start = found[0].start
        return self.start if self.start >= 0 else None

    def _rest_of(self, segment: SegmentFiles) -> Iterator[Line]:
        with opened(segment) as found:
            if found is None:
                return
            sealed = isinstance(found, PackedFile)
            at = found.place(self.sequence, segment.start) if isinstance(found, PackedFile) else self.at
            # Only past complete lines: an incomplete one may be finished, or cut off and written anew.
            for raw in lines_from(found, at):
                self.at += 0 if sealed else len(raw) + 1
                if (line := parse(raw)) is not None and line.place[2] >= self.sequence:
                    self.sequence = line.place[2] + 1
                    yield line


def merge(lines: Iterable[Line]) -> list[Line]:
    """The events of several logs in one order."""
    return sorted(lines, key=lambda line: line.place)
