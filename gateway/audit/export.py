"""The record written out in another schema: events of all logs in one order.

Memory is bounded, whatever the number of events: a few segments' indexes and `WINDOW` events a log are kept at a time.
"""

import hashlib
import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, Final

from gateway.audit.contents import lines_from, opened
from gateway.audit.directory import checkpoint_path, known
from gateway.audit.formats import Format
from gateway.audit.note import size_of_checkpoint
from gateway.audit.reader import Line, parse
from gateway.audit.sealing.seal import read_seal
from gateway.audit.statements import DamagedLogError, read_header
from gateway.audit.store import Store

WINDOW: Final = 1024
"""Events of one log among which the order of time is exact. They are recorded in another order than they happened in by
milliseconds at most, unless the clock was set back: `audit.clock_step` tells of that."""

_PIECE: Final = 1024 * 1024
_PROGRESS: Final = 256  # events between two words about how far it is
Range = tuple[int, int]  # of sequences, the second one excluded


@dataclass(frozen=True, slots=True)
class Span:
    """What of one log can be exported: all that its signed checkpoint stands for, up to `end`.

    `note` is the checkpoint as it stood in the log's directory, the proof of the events up to `end`; None when the log
    is so young, or was copied so, that there is none. Then `end` is that of the last commit.
    """

    directory: Path
    origin: str
    end: int
    note: str | None

    @classmethod
    def of(cls, directory: Path) -> "Span":
        """The log as it is now.

        Raises:
            DamagedLogError: a segment is not what it should be, or the end is missing.
            OSError: a file cannot be read.
        """
        note = _note(directory)
        with Store(directory) as store:
            end = store.end
        size = end if note is None else size_of_checkpoint(note)
        if size > end:  # the checkpoint is never written before what it stands for
            raise DamagedLogError(
                f"{directory}: ends before sequence {end}, and its checkpoint stands for {size} events"
            )
        return cls(directory, _origin(directory), size, note)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events: those from `since` up to, and without, `until` (milliseconds) that `matches` takes.

    `places` are the sequences of each log, by its origin, ascending, if somebody knows them already; None: all.
    """

    since: int | None = None
    until: int | None = None
    matches: Callable[[Line], bool] = lambda _: True
    places: Mapping[str, Sequence[int]] | None = None

    def __call__(self, line: Line) -> bool:
        """Whether this one."""
        time = line.event["time"]
        if (self.since is not None and time < self.since) or (self.until is not None and time >= self.until):
            return False
        return self.matches(line)


@dataclass(slots=True)
class Tally:
    """What has been written so far."""

    events: int = 0
    bytes: int = 0
    first_time: int | None = None
    last_time: int | None = None
    logs: dict[str, list[int]] = field(default_factory=dict)  # origin: first and last sequence, number
    digest: Any = field(default_factory=hashlib.sha256)

    @property
    def sha256(self) -> str:
        """Of all bytes so far, in hex."""
        return str(self.digest.hexdigest())

    def note(self, line: Line) -> None:
        """Count an event."""
        time, origin, sequence = line.place
        self.events += 1
        self.first_time = time if self.first_time is None else min(time, self.first_time)
        self.last_time = time if self.last_time is None else max(time, self.last_time)
        found = self.logs.setdefault(origin, [sequence, sequence, 0])
        found[0], found[1], found[2] = min(found[0], sequence), max(found[1], sequence), found[2] + 1


def write(
    lines: Iterable[Line],
    form: Format,
    out: IO[bytes],
    *,
    shown: Callable[[bytes], bytes] = lambda piece: piece,
) -> Tally:
    """Write the events in a schema, each with its newline. The digest is that of what the schema says.

    `shown` makes what leaves out of it, for a terminal.

    Raises:
        OSError: it cannot be written.
    """
    tally = Tally()
    for piece in _pieces(lines, form, tally):
        tally.bytes += len(piece)
        tally.digest.update(piece)
        out.write(shown(piece))
    out.flush()
    return tally


def _pieces(lines: Iterable[Line], form: Format, tally: Tally) -> Iterator[bytes]:
    pieces, size = [form.header], len(form.header)
    for line in lines:
        tally.note(line)
        written = form.line(line.event, line.raw)
        pieces += (written, b"\n")
        size += len(written) + 1
        if size >= _PIECE:
            yield b"".join(pieces)
            pieces, size = [], 0
    yield b"".join(pieces)


# --- the events -----------------------------------------------------------------------------------------------


@contextmanager
def selected(
    spans: Sequence[Span], wanted: Wanted, progress: Callable[[int], None] = lambda _: None
) -> Iterator[Iterator[Line]]:
    """The events of all logs in the order of (time, log, sequence). `progress` is told how many more were looked at.

    Reading raises DamagedLogError and OSError.
    """
    with ExitStack() as stack:
        logs = [
            in_order(filter(wanted, _read(span, stack.enter_context(Store(span.directory)), wanted, progress)))
            for span in spans
        ]
        yield heapq.merge(*logs, key=lambda line: line.place)


def in_order(lines: Iterable[Line], window: int = WINDOW) -> Iterator[Line]:
    """The events of one log in the order of time, if each is at most `window` events from its place."""
    waiting: list[tuple[tuple[int, str, int], int, Line]] = []
    number = count()
    for line in lines:
        item = (line.place, next(number), line)
        if len(waiting) < window:
            heapq.heappush(waiting, item)
        else:
            yield heapq.heappushpop(waiting, item)[2]
    for item in sorted(waiting, key=itemgetter(0, 1)):
        yield item[2]


def _read(span: Span, store: Store, wanted: Wanted, progress: Callable[[int], None]) -> Iterator[Line]:
    seen = 0
    for first, end in _ranges(span, wanted):
        for _, raw in store.events(first, end):
            if (line := parse(raw)) is not None:
                yield line
            seen += 1
            if seen >= _PROGRESS:
                progress(seen)
                seen = 0
    progress(seen)


def _ranges(span: Span, wanted: Wanted) -> Iterator[Range]:
    """Which sequences to read: those that are known, else all but the sealed segments of another time."""
    if wanted.places is not None:
        for first, end in ranges(wanted.places.get(span.origin, ())):
            if first < span.end:
                yield first, min(end, span.end)
        return
    for segment in known(span.directory):
        seal = read_seal(segment.seal) if segment.seal.exists() else None
        if seal is None:
            # Not sealed, or sealed since: in both cases everything from here on is of interest.
            yield segment.start, span.end
            return
        if seal.pruned is None and _overlaps(seal.first_time, seal.last_time, wanted):
            yield seal.start, min(seal.end, span.end)


def _overlaps(first: int | None, last: int | None, wanted: Wanted) -> bool:
    if first is None or last is None:
        return False
    return (wanted.until is None or first < wanted.until) and (wanted.since is None or last >= wanted.since)


def ranges(sequences: Iterable[int]) -> Iterator[Range]:
    """Ascending sequences as ranges."""
    first = end = -1
    for sequence in sequences:
        if sequence != end:
            if first >= 0:
                yield first, end
            first = sequence
        end = sequence + 1
    if first >= 0:
        yield first, end


def _note(directory: Path) -> str | None:
    try:
        note = checkpoint_path(directory).read_text()
        size_of_checkpoint(note)
    except (FileNotFoundError, ValueError):
        return None
    return note


def _origin(directory: Path) -> str:
    segment = known(directory)[-1]
    with opened(segment) as found:
        if found is not None:
            return read_header(segment.lines, next(lines_from(found), b"") + b"\n").origin
    return read_seal(segment.seal).origin
