"""Removing the events of whole sealed segments when they are old enough, and never without saying so first.

1. `audit.pruned` is durable in the log that is pruned.
2. The seal of the segment says that it was pruned, and by which event.
3. The events and their columns are removed. Seal and tree stay: later segments verify as before.

A crash between two of them is completed by `complete`, which the next run begins with.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from gateway.audit.directory import SegmentFiles, starts
from gateway.audit.event import Event
from gateway.audit.holds import Hold, holds_on, settled
from gateway.audit.notices import lifecycle
from gateway.audit.reader import last
from gateway.audit.sealing.seal import Pruned, Seal, read_seal, write_seal
from gateway.audit.sealing.whole import remove, replace
from gateway.audit.stamp import stamp
from gateway.errors import LedgerError

DAY: Final = 86_400_000
"""Milliseconds."""

_INTENT: Final = "pruning.json"
_SLACK: Final = 60_000

Append = Callable[[Event], None]
"""Writes an event into the log; on return it is durable. Raises AuditUnavailable when it cannot be."""


class _Intent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which event is about to be written about which segment: so that a crash can be told from a beginning."""

    segment: int
    uid: str
    time: int
    because: str


_INTENTS: Final = msgspec.json.Decoder(_Intent)


@dataclass(frozen=True, slots=True)
class Old:
    """A sealed segment that is older than asked for. `held` has the names of the holds that keep it."""

    files: SegmentFiles
    seal: Seal
    held: tuple[str, ...]


def old_segments(directory: Path, before: int) -> list[Old]:
    """The sealed segments whose last event is older than `before` (in milliseconds), oldest first.

    The segment that is being written, and those that are not sealed yet, are never among them.

    Raises:
        HoldsUnreadableError: what is held cannot be found out.
        DamagedLogError: a seal cannot be read.
    """
    holds = holds_on(directory)
    return [
        Old(files, seal, _held(seal, holds))
        for files, seal in _sealed(directory)
        if seal.pruned is None and times_of(seal)[1] < before and not files.lines.exists()
    ]


def prune(directory: Path, before: int, because: str, append: Append) -> list[Seal]:
    """Remove the events of every segment that is old enough and not held, oldest first: what was removed.

    `because` stands in the event and in the seal. `append` must write into the log of this directory.

    Raises:
        AuditUnavailable: the event could not be written; this segment and those after it stay.
        LedgerError: a hold file, a seal or a segment cannot be read.
        OSError: a file cannot be written or removed.
    """
    complete(directory)
    done = []
    for old in old_segments(directory, before):
        with settled(directory):  # holds are read again under the lock: one may have been added since
            if not _held(old.seal, holds_on(directory)):
                done.append(_prune(old, because, append))
    return done


def complete(directory: Path) -> None:
    """Finish what a crash has interrupted.

    Raises:
        LedgerError: a hold file, a seal or a segment cannot be read.
        OSError: a file cannot be written or removed.
    """
    with settled(directory):
        holds = holds_on(directory)
        _complete_intent(directory, holds)
        for files, seal in _sealed(directory):
            if seal.pruned is not None and not _held(seal, holds) and (files.packed.exists() or files.columns.exists()):
                remove(files.packed, files.columns)


def _prune(old: Old, because: str, append: Append) -> Seal:
    directory, seal = old.files.directory, old.seal
    at = stamp()
    facts = {
        "segment": seal.start,
        "end": seal.end,
        "events": seal.end - seal.start,
        "root": seal.root,
        "sha256": seal.zst.sha256,
        "because": because,
    }
    intent = _Intent(seal.start, at.uid, at.time, because)
    replace(directory / _INTENT, msgspec.json.encode(intent))
    append(lifecycle("audit.pruned", "events are removed: they are older than they are kept", facts, at))
    sequence = _sequence_of(directory, intent)
    if sequence is None:
        raise LedgerError(f"{directory}: the event {at.uid} is durable, and cannot be found: nothing was removed")
    return _remove(old.files, seal, Pruned(at.time, because, sequence))


def _complete_intent(directory: Path, holds: tuple[Hold, ...]) -> None:
    path = directory / _INTENT
    try:
        intent = _INTENTS.decode(path.read_bytes())
    except FileNotFoundError:
        return
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LedgerError(f"{path}: cannot be read: {error}", "remove it: what it announced is begun anew") from None
    files = SegmentFiles(directory, intent.segment)
    seal = read_seal(files.seal)
    if seal.pruned is None and (sequence := _sequence_of(directory, intent)) is not None:
        if _held(seal, holds):
            return  # a hold came after the event: it is completed when that is released
        _remove(files, seal, Pruned(intent.time, intent.because, sequence))
    remove(path)


def _remove(files: SegmentFiles, seal: Seal, pruned: Pruned) -> Seal:
    marked = msgspec.structs.replace(seal, pruned=pruned)
    write_seal(files.seal, marked)
    remove(files.packed, files.columns)
    remove(files.directory / _INTENT)
    return marked


def _sequence_of(directory: Path, intent: _Intent) -> int | None:
    """The sequence of the event, if it is in the log. Looks back to a minute before it was made."""
    for line in last(directory):
        if line.event["metadata"].get("uid") == intent.uid:
            return int(line.event["metadata"]["sequence"])
        if line.event["time"] < intent.time - _SLACK:
            return None
    return None


def _sealed(directory: Path) -> Iterator[tuple[SegmentFiles, Seal]]:
    for start in starts(directory, ".seal"):
        files = SegmentFiles(directory, start)
        yield files, read_seal(files.seal)


def times_of(seal: Seal) -> tuple[int, int]:
    """The earliest and the latest time; of a segment without events, when it was created."""
    first = seal.created if seal.first_time is None else seal.first_time
    latest = seal.created if seal.last_time is None else seal.last_time
    return first, latest


def _held(seal: Seal, holds: tuple[Hold, ...]) -> tuple[str, ...]:
    return tuple(hold.name for hold in holds if hold.covers(*times_of(seal)))
