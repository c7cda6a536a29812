"""The threads that carry checkpoints to their anchors: one for each place, so that a slow one holds up no other.

Every place is offered the newest durable checkpoint at once, then each `interval`, when the log has grown, and once
more at the end. What fails is told to the record once, and again when it works; what contradicts the log is an alarm.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import msgspec

from gateway.audit.anchors.directory import DirectoryAnchor
from gateway.audit.anchors.outcomes import Anchored, AnchorError, ConflictError
from gateway.audit.anchors.own_log import OwnLog, Shown
from gateway.audit.anchors.peers import Peer
from gateway.audit.anchors.places import PeerPlace, WitnessPlace
from gateway.audit.anchors.status import Seen, Status, read, write
from gateway.audit.anchors.witness_client import WitnessAnchor
from gateway.audit.command_log import WORKER as COMMAND_LOG
from gateway.audit.event import Event
from gateway.audit.notices import lifecycle
from gateway.audit.stamp import stamp

log = logging.getLogger("gateway.audit")

_END: Final = 5.0
"""Seconds that a stop waits for all places together: what is not anchored then will be at the next start."""

_FIRST: Final = 2.0  # seconds: the log shows its first checkpoint about a second after it was opened


@dataclass(frozen=True, slots=True)
class Places:
    """Where checkpoints go to and come from, and how often: seconds."""

    directories: Sequence[Path] = ()
    peers: Sequence[PeerPlace] = ()
    witnesses: Sequence[WitnessPlace] = ()
    interval: float = 60.0


class Anchor(Protocol):
    """One place that takes checkpoints of ours."""

    @property
    def kind(self) -> str: ...
    @property
    def place(self) -> str: ...
    def offer(self, shown: Shown) -> Anchored:
        """Raises AnchorError, ConflictError."""

    def close(self) -> None:
        """Called by the thread that has offered, at its end."""


@dataclass(slots=True)
class _Kept:
    anchor: Anchor | Peer
    status: Status
    thread: threading.Thread | None = None
    looked: bool = False


class AnchorKeeper:
    """The anchors of one log. `note` takes an event for the log, and never waits."""

    def __init__(self, directory: Path, origin: str, places: Places, note: Callable[[Event], None]) -> None:
        self._directory = directory
        self._interval = places.interval
        self._note = note
        self._log = OwnLog(directory, origin)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._told: set[str] = set()
        before = read(directory)
        self._seen: dict[str, Seen] = dict(before.seen)
        past = {(each.kind, each.place): each for each in before.anchors}
        self._kept = [
            _Kept(each, _resumed(past.get((each.kind, each.place)), each)) for each in self._anchors(places, past)
        ]

    def _anchors(self, places: Places, past: dict[tuple[str, str], Status]) -> list[Anchor | Peer]:
        witnesses = []
        for each in places.witnesses:
            anchor = WitnessAnchor(each, self._log)
            known = past.get((anchor.kind, anchor.place))
            anchor.size = (known.size or 0) if known else 0
            witnesses.append(anchor)
        # What reviewers do stands in the commands' own log, which has no keeper: it is anchored in this one.
        commands = PeerPlace(self._directory.with_name(COMMAND_LOG), None)
        return [
            *(DirectoryAnchor(each, self._log) for each in places.directories),
            *(Peer(each, self._log.origin, self._seen) for each in places.peers),
            Peer(commands, self._log.origin, self._seen, "commands"),
            *witnesses,
        ]

    @property
    def statuses(self) -> list[Status]:
        """How each of them is, without waiting for anything."""
        return [each.status for each in self._kept]

    def start(self) -> None:
        """Begin."""
        for each in self._kept:
            each.thread = threading.Thread(target=self._run, args=(each,), name="audit-anchor", daemon=True)
            each.thread.start()

    def close(self) -> None:
        """Offer what the log was at its end. To be called when it is closed; a place that hangs is left."""
        self._stopping.set()
        until = time.monotonic() + _END
        for each in self._kept:
            if each.thread is not None:
                each.thread.join(max(0.0, until - time.monotonic()))
        self._log.close()

    # --- the thread of one place ---

    def _run(self, kept: _Kept) -> None:
        pause = min(_FIRST, self._interval)
        while not self._stopping.wait(pause):
            self._round(kept)
            pause = self._interval
        if not isinstance(kept.anchor, Peer):
            self._round(kept)
            kept.anchor.close()

    def _round(self, kept: _Kept) -> None:
        try:
            anchored = kept.anchor.look() if isinstance(kept.anchor, Peer) else self._offer(kept, kept.anchor)
        except ConflictError as error:
            self._conflict(kept, error)
        except AnchorError as error:
            self._failed(kept, str(error))
        except Exception as error:
            # A bug here must not end the thread: nobody would notice that nothing is anchored any more.
            log.exception("an anchor failed")
            self._failed(kept, type(error).__name__)
        else:
            if anchored is None:
                return
            self._anchored(kept, anchored)
        self._write()

    def _offer(self, kept: _Kept, anchor: Anchor) -> Anchored | None:
        """The newest checkpoint to one place; the first time whatever we believe that it has."""
        shown = self._log.shown()
        if kept.looked and kept.status.problem is None and kept.status.size == shown.checkpoint.size:
            return None
        anchored = anchor.offer(shown)
        kept.looked = True
        return anchored

    def _anchored(self, kept: _Kept, anchored: Anchored) -> None:
        before = kept.status
        kept.status = msgspec.structs.replace(
            before, size=anchored.size, root=anchored.root, time=stamp().time, problem=None, since=None
        )
        if before.problem is not None:
            facts = {"kind": before.kind, "place": before.place, "since": before.since}
            self._note(lifecycle("audit.anchor_restored", "an anchor works again", facts, stamp()))
        for event in anchored.events:
            self._note(event)
        for conflict in anchored.conflicts:
            self._conflict(kept, conflict)

    def _failed(self, kept: _Kept, problem: str) -> None:
        before = kept.status
        kept.status = msgspec.structs.replace(before, problem=problem, since=before.since or stamp().time)
        if before.problem is None:
            log.error("the record is not anchored at %s: %s", before.place, problem)
            facts = {"kind": before.kind, "place": before.place, "problem": problem}
            self._note(lifecycle("audit.anchor_failed", "a checkpoint could not be anchored", facts, stamp()))

    def _conflict(self, kept: _Kept, error: ConflictError) -> None:
        status = kept.status
        kept.status = msgspec.structs.replace(status, conflict=str(error))
        with self._lock:
            if str(error) in self._told:
                return
            self._told.add(str(error))
        log.critical("the record and %s contradict each other: %s", status.place, error)
        facts = {"kind": status.kind, "place": status.place, "problem": str(error), **error.facts}
        self._note(lifecycle("audit.anchor_conflict", "a log is not what it was", facts, stamp()))

    def _write(self) -> None:
        with self._lock:
            try:
                write(self._directory, self.statuses, self._seen)
            except OSError as error:
                log.warning("%s: the state of the anchors could not be kept: %s", self._directory, error)


def _resumed(past: Status | None, anchor: Anchor | Peer) -> Status:
    """What the last process has left; problems and conflicts are found anew."""
    if past is None:
        return Status(kind=anchor.kind, place=anchor.place)
    return msgspec.structs.replace(past, problem=None, since=None, conflict=None)
