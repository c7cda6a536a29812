"""Which files hold the events now: of a sealed segment its columns, of any other its lines.

A list of files is a moment's view. Sealing may replace one of them right after: then the question is asked again.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO, Final

from gateway.audit.directory import SegmentFiles, known
from gateway.audit.sealing.seal import read_seal

_COMMIT: Final = b'\n{"cp":'
_DIGITS: Final = 20
_WINDOW: Final = 64 * 1024  # bytes: nearly always enough from the end of a file to its last commit


@dataclass(frozen=True, slots=True)
class Source:
    """One file. `before` is where the log's last commit stands, of a file that is still written."""

    path: Path
    before: int | None = None

    @property
    def is_columns(self) -> bool:
        """Whether it is Parquet."""
        return self.path.suffix == ".parquet"


@dataclass(frozen=True, slots=True)
class Gone:
    """Events of a log that were pruned: how many, and the time of the latest of them, in milliseconds."""

    log: str
    events: int
    latest: int


def gone(directories: Iterable[Path]) -> tuple[Gone, ...]:
    """What no question can find any more, by log.

    Raises:
        DamagedLogError: a seal cannot be read.
    """
    found = []
    for directory in directories:
        forms = [(each, (each.packed, each.lines, each.columns)) for each in known(directory)]
        pruned = [each for each, paths in forms if not any(path.exists() for path in paths)]
        seals = [read_seal(each.seal) for each in pruned if each.seal.exists()]
        if seals:
            latest = max(each.last_time or each.created for each in seals)
            found.append(Gone(seals[0].origin, sum(each.end - each.start for each in seals), latest))
    return tuple(found)


def sources(directories: Iterable[Path], *, derived: bool = True) -> tuple[Source, ...]:
    """The files with the events of these logs, each event once, newest segments first.

    `derived`: read Parquet where there is some. Without, only what is signed for is read, which takes longer. A pruned
    segment has no events left.
    """
    by_log = [list(reversed(known(directory))) for directory in directories]
    # Of several logs in turns: whoever asks for the newest events finds those of all of them first.
    turns = (segment for each in zip_longest(*by_log) for segment in each if segment is not None)
    return tuple(source for segment in turns for source in _of(segment, derived=derived))


def durable_end(path: Path) -> int:
    """Up to which sequence the last complete commit of a file of lines has signed; 0 when there is none."""
    with path.open("rb") as file:
        data = _end_with_commit(file)
    at = data.rfind(_COMMIT, 0, max(data.rfind(b"\n"), 0))
    number = data[at + len(_COMMIT) : at + len(_COMMIT) + _DIGITS].split(b",")[0] if at >= 0 else b""
    return int(number) if number.isdigit() else 0


def _end_with_commit(file: BinaryIO) -> bytes:
    """The end of the file, from before its last complete commit on; all of it when it has none."""
    size, window = file.seek(0, 2), _WINDOW
    while True:
        file.seek(max(0, size - window))
        data = file.read(window)
        if window >= size or data.rfind(_COMMIT, 0, max(data.rfind(b"\n"), 0)) >= 0:
            return data
        window *= 4


def _of(segment: SegmentFiles, *, derived: bool) -> Iterator[Source]:
    sealed = segment.seal.exists()
    if derived and sealed and segment.columns.exists():
        yield Source(segment.columns)
    elif sealed and segment.packed.exists():
        yield Source(segment.packed)
    elif segment.lines.exists():
        yield Source(segment.lines, durable_end(segment.lines))
