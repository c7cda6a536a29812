"""The log file as the database of record: any thread appends, one writes, all are told when the bytes are on the disk.

Natural group commit: the writer takes everything that waits, writes it at once, syncs once, tells everybody at once.
Whatever came meanwhile is the next batch. There is no timer to wait for; under load the batches grow by themselves.

Only the writer touches the file: a thread that writes to a file which another one syncs waits for that sync in the
kernel.
"""

import fcntl
import logging
import os
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, Self

from gateway import __version__
from gateway.audit.chain import Chain
from gateway.audit.directory import SegmentFiles
from gateway.audit.events import Durability, Event, lifecycle
from gateway.audit.inbox import Entry, Inbox, Receipt
from gateway.audit.keys import EpochKeys
from gateway.audit.options import DEFAULTS, LedgerOptions
from gateway.audit.recovery import Recovered, recover
from gateway.audit.reserve import Reserve
from gateway.audit.segment import Segment, sync_directory
from gateway.audit.stamp import Stamp, stamp
from gateway.audit.statements import DamagedLogError, check_origin
from gateway.audit.upkeep import Space
from gateway.audit.writer import Writer
from gateway.errors import LedgerError

__all__ = ["Durability", "Event", "Ledger", "LedgerHealth", "LedgerOptions", "Receipt", "ledger_directory"]

log = logging.getLogger("gateway.audit")

_LOCK: Final = "LOCK"
_HINT_IN_USE: Final = "each process needs a directory of its own: another instance name or worker number"


@dataclass(frozen=True, slots=True)
class LedgerHealth:
    """How the log is. `sequence` is the last durable event's; `since` is when this state began, in milliseconds.

    `cause` says why it is failed; `suppressed` counts the events refused or lost and not yet reported in the log;
    `space` is how much room is left.
    """

    state: Literal["writing", "failed", "closed"]
    cause: str | None
    since: int
    sequence: int
    segments: int
    free_bytes: int
    suppressed: int = 0
    space: Space = "ample"


def ledger_directory(state: Path, instance: str, worker: str = "0") -> Path:
    """Where one process keeps its log below the state directory."""
    return state / "audit" / instance / worker


class Ledger:
    """One process's log. Open it once; `append` from any thread; `close` it at the end."""

    def __init__(self, inbox: Inbox, writer: Writer, lock: int) -> None:
        self._inbox = inbox
        self._writer = writer
        self._lock = lock
        self._closed = threading.Lock()

    @classmethod
    def open(cls, directory: Path, *, origin: str, options: LedgerOptions = DEFAULTS) -> Self:
        """The log in this directory, recovered, with `audit.start` durable in it.

        `origin` names the log in every event (at most 255 bytes).

        Raises:
            LedgerError: in use by another process, not writable, no space, or damaged.
        """
        check_origin(origin)
        try:
            _make_private(directory)
            lock = _take_lock(directory)
        except OSError as error:
            raise _refusal(directory, error) from error
        try:
            inbox = Inbox(options.queue_events, options.queue_bytes)
            ledger = cls(inbox, _open_writer(directory, origin, options, inbox), lock)
        except DamagedLogError as error:
            os.close(lock)
            if options.on_damage == "refuse":
                raise
            return cls._beside(directory, origin, options, error)
        except BaseException as error:
            os.close(lock)
            raise _refusal(directory, error) if isinstance(error, OSError) else error from error
        ledger._writer.start()
        return ledger

    @classmethod
    def _beside(cls, directory: Path, origin: str, options: LedgerOptions, error: DamagedLogError) -> Self:
        """A new log in the place of a damaged one, which is kept beside it as it was found."""
        aside = directory.with_name(f"{directory.name}.damaged-{stamp().time}")
        try:
            directory.rename(aside)
            sync_directory(directory.parent)
        except OSError as failure:
            raise _refusal(directory, failure) from failure
        log.critical("the audit log is damaged, and was set aside: %s", error)
        ledger = cls.open(directory, origin=origin, options=replace(options, on_damage="refuse"))
        facts = {"directory": aside.name, "problem": str(error)}
        told = lifecycle("audit.set_aside", "a damaged log was set aside, and this one begun", facts, stamp())
        ledger.append(told, Durability.BEFORE).wait(options.ack_timeout)
        return ledger

    def append(self, event: Entry, durability: Durability) -> Receipt:
        """Queue an event. Never waits: nothing here touches the disk.

        An `Unbuilt` event that cannot be built is refused alone, with `event-error`.

        Raises:
            AuditUnavailable: at once, when the log is failed (`disk-full`, `disk-error`, `log-replaced`, `timeout`),
                `closed`, or `queue-full`. The event is counted, and `audit.suppressed` tells of it later.
        """
        return self._inbox.put(event, durability)

    @staticmethod
    def stamp() -> Stamp:
        """The stamp of this moment, for an event that is appended next."""
        return stamp()

    @property
    def health(self) -> LedgerHealth:
        """How the log is, without waiting for anything."""
        writer = self._writer
        condition = writer.condition
        return LedgerHealth(
            condition.state,
            condition.cause,
            condition.since,
            writer.sequence - 1,
            writer.segments,
            writer.upkeep.free_bytes,
            self._inbox.suppressed,
            writer.upkeep.space,
        )

    @property
    def space(self) -> Space:
        """How much room there is for what comes, as of the last second."""
        return self._writer.upkeep.space

    def close(self) -> None:
        """Write what waits, then `audit.stop`, and release the directory. A hung disk is not waited for. Idempotent."""
        with self._closed:
            if self._lock < 0:
                return
            if self._writer.stop():
                os.close(self._lock)
            # A writer that hangs still owns the file; the lock goes when the process does.
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _open_writer(directory: Path, origin: str, options: LedgerOptions, inbox: Inbox) -> Writer:
    now = stamp().time
    state = recover(directory, now)
    reserve = Reserve(directory / "reserve", options.reserve)
    reserve.create()
    chain, segment = _open_segment(directory, origin, options, state, now)
    writer = Writer(directory, inbox, options, chain=chain, origin=origin, segment=segment, reserve=reserve)
    try:
        writer.append_own(_first_events(origin, state, announce=options.announce))
    except OSError:
        segment.close()
        raise
    writer.upkeep.show(chain)
    return writer


def _open_segment(
    directory: Path, origin: str, options: LedgerOptions, state: Recovered, now: int
) -> tuple[Chain, Segment]:
    keys = EpochKeys(directory, origin)
    if state.header is None:
        chain, epoch = Chain.begin(origin, keys, now)
        segment = Segment.create(directory, epoch.header, epoch.commit, options.segment_size)
        keys.note(0, epoch.header.vkey)  # after the segment: that a log has begun is what it says
        return chain, segment
    if state.header.origin != origin:
        raise LedgerError(f"{directory}: the log of {state.header.origin}, not of {origin}", _HINT_IN_USE)
    chain = Chain(origin, keys, keys.of(state.header.vkey), state.tree)
    path = SegmentFiles(directory, state.header.start).lines
    return chain, Segment.reopen(path, state.header, state.size, options.segment_size)


def _first_events(origin: str, state: Recovered, *, announce: bool) -> list[Event]:
    facts = {
        "origin": origin,
        "version": __version__,
        "process": os.getpid(),
        "orderly_stop_before": state.last_code in ("", "audit.stop") and state.torn is None,
    }
    events = [lifecycle("audit.start", "the record is open", facts, stamp())] if announce else []
    if (torn := state.torn) is not None:
        found = {"torn_bytes": torn.bytes, "sha256": torn.sha256, "file": torn.file}
        events.append(lifecycle("audit.recovered", "an incomplete end was moved aside", found, stamp()))
    return events


def _make_private(directory: Path) -> None:
    for missing in reversed([each for each in (directory, *directory.parents) if not each.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
        sync_directory(missing.parent)


def _take_lock(directory: Path) -> int:
    descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _refusal(directory: Path, error: OSError) -> LedgerError:
    if isinstance(error, BlockingIOError):
        return LedgerError(f"{directory}: the audit log is in use by another process", _HINT_IN_USE)
    hint = "the gateway does not start without its record: make space, or make the directory writable for this user"
    return LedgerError(f"{directory}: the audit log cannot be written: {error.strerror or error}", hint)
