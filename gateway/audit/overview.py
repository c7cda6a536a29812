"""The segments of a log at a glance: from where to where, when, in which form, how big, and what holds them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from gateway.audit.contents import PlainFile, lines_backwards, lines_from
from gateway.audit.directory import SegmentFiles, known
from gateway.audit.holds import Hold, holds_on
from gateway.audit.reader import parse
from gateway.audit.retention import times_of
from gateway.audit.sealing.seal import read_seal
from gateway.audit.statements import read_commit

Form = Literal["live", "rolled", "sealed", "pruned"]
"""`live`: being written. `rolled`: finished, not yet sealed. `pruned`: the events are gone, their seal is there."""

_LOOK: Final = 64
"""Lines at either end in which an event is looked for."""


@dataclass(frozen=True, slots=True)
class Overview:
    """One segment. `end` is behind its last signed event; times in milliseconds, None when there is no event.

    `bytes` are those on the disk, of all its files; `events` those that it holds or held.
    """

    start: int
    end: int
    form: Form
    first_time: int | None
    last_time: int | None
    bytes: int
    held: tuple[str, ...]

    @property
    def events(self) -> int:
        """How many they are, or were."""
        return self.end - self.start


def overview(directory: Path) -> list[Overview]:
    """Every segment of the log, oldest first. Only the ends of the files are read.

    Raises:
        LedgerError: a seal or a hold file cannot be read.
        OSError: a file cannot be read.
    """
    segments, holds = known(directory), holds_on(directory)
    return [_one(files, holds, is_last=files == segments[-1]) for files in segments]


def _one(files: SegmentFiles, holds: tuple[Hold, ...], *, is_last: bool) -> Overview:
    paths = (files.lines, files.packed, files.seal, files.tree, files.columns)
    size = sum(path.stat().st_size for path in paths if path.exists())
    if files.lines.exists():
        end, first, latest = _look_at(files)
        held = _held(holds, first, latest) if first is not None and latest is not None else ()
        return Overview(files.start, end, "live" if is_last else "rolled", first, latest, size, held)
    seal = read_seal(files.seal)
    form: Form = "pruned" if seal.pruned and not files.packed.exists() else "sealed"
    held = _held(holds, *times_of(seal)) if form == "sealed" else ()
    return Overview(seal.start, seal.end, form, seal.first_time, seal.last_time, size, held)


def _look_at(files: SegmentFiles) -> tuple[int, int | None, int | None]:
    file = PlainFile(files.lines)
    try:
        end, latest = files.start, None
        for line, _ in zip(lines_backwards(file), range(_LOOK), strict=False):
            if end == files.start and (commit := read_commit(line)) is not None:
                end = commit.cp
            if (event := parse(line)) is not None:
                latest = int(event.event["time"])
                break
        events = (parse(line) for line, _ in zip(lines_from(file), range(_LOOK), strict=False))
        first = next((int(event.event["time"]) for event in events if event), None)
    finally:
        file.close()
    return end, first, latest


def _held(holds: tuple[Hold, ...], first: int, latest: int) -> tuple[str, ...]:
    return tuple(hold.name for hold in holds if hold.covers(first, latest))
