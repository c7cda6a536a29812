"""The one thread that owns the log's file, and the watchdog that knows when the disk does not answer."""

import errno
import logging
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from gateway.audit.chain import Chain
from gateway.audit.directory import known
from gateway.audit.events import Durability, Event, lifecycle
from gateway.audit.inbox import Cause, Inbox, Receipt
from gateway.audit.options import LedgerOptions
from gateway.audit.reserve import Reserve
from gateway.audit.segment import ReplacedError, Segment
from gateway.audit.stamp import stamp
from gateway.audit.tree import leaf_hash
from gateway.audit.upkeep import Upkeep

log = logging.getLogger("gateway.audit")

MAX_BATCH: Final = 4 * 1024 * 1024
_LINE_OVERHEAD: Final = 512
_TICK: Final = 1.0
_CLASSES: Final = {each: msgspec.json.encode(each.value) for each in Durability}
_BEFORE: Final = _CLASSES[Durability.BEFORE]


@dataclass(frozen=True, slots=True)
class Condition:
    """The state, replaced as a whole, so that it can be read at any time without a lock."""

    state: Literal["writing", "failed", "closed"]
    since: int
    cause: Cause | None = None


class Writer:
    """Takes batches from the inbox and commits them. Everything with a disk in it happens on its thread."""

    def __init__(
        self,
        directory: Path,
        inbox: Inbox,
        options: LedgerOptions,
        *,
        chain: Chain,
        origin: str,
        segment: Segment,
        reserve: Reserve,
    ) -> None:
        self.segments = len(known(directory))
        self.upkeep = Upkeep(directory, options)
        self.condition = Condition("writing", stamp().time)
        self._directory = directory
        self._chain = chain
        self._log_name = msgspec.json.encode(origin)
        self._options = options
        self._inbox = inbox
        self._segment = segment
        self._reserve = reserve
        self._latest = 0
        self._next_tick = 0.0
        self._last_commit = time.monotonic()
        self._unwritten: list[Event] = []  # what is to be said about a failure, as soon as it can be written
        self._noted = True
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit-writer", daemon=True)
        self._watchdog = threading.Thread(target=self._watch, name="audit-watchdog", daemon=True)

    @property
    def sequence(self) -> int:
        """The sequence of the next event: how many are durable."""
        return self._chain.tree.size

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()
        self._watchdog.start()

    def stop(self) -> bool:
        """Write what waits, `audit.stop`, and end. False when the disk hangs and the thread had to be left behind."""
        self._inbox.close()
        self._stopping.set()
        self._thread.join(2 * self._options.ack_timeout + 1)
        if not self._thread.is_alive():
            return True
        self._inbox.refuse("timeout")
        return False

    # --- the writer's thread ---

    def _run(self) -> None:
        try:
            self._loop()
        except Exception as error:
            # A bug here must not leave anybody waiting for an acknowledgement that nobody is left to give.
            log.exception("the audit writer stopped")
            self._fail("disk-error", OSError(0, type(error).__name__))
        finally:
            self._end()

    def _loop(self) -> None:
        while True:
            stopping = self._stopping.is_set()
            batch = self._inbox.take(self._batch_limit(), self._pause())
            if batch:
                self._commit(batch)
            elif stopping:
                return
            self._keep_house()

    def _batch_limit(self) -> int:
        return min(MAX_BATCH, self._options.segment_size // 2)

    def _pause(self) -> float:
        if self._stopping.is_set():
            return 0
        return min(_TICK, self._options.probe_interval) if self.condition.state == "failed" else _TICK

    def _commit(self, batch: list[Receipt]) -> None:
        """One batch, all or nothing: roll if due, write and sign, sync, acknowledge."""
        entries = self._built(batch)
        try:
            self._roll_if_due(sum([len(event.body) for event, _ in entries]) + _LINE_OVERHEAD * len(entries))
            before = self._segment.size, self._chain.tree
            self._append(entries)
        except OSError as error:
            self._fail(_cause(error), error)
            return
        if not self._inbox.acknowledge():
            # Too late: everybody was told that it failed, so it must not stand in the log as if it had counted.
            self._segment.size, self._chain.tree = before
            with suppress(OSError):
                self._segment.cut_back()

    def _built(self, batch: list[Receipt]) -> list[tuple[Event, bytes]]:
        """The events of the batch. One that cannot be built is a bug; it is refused alone, so no request stops all."""
        entries = []
        for receipt in list(batch):
            try:
                entries.append((receipt.event.built(), _CLASSES[receipt.durability]))
            except Exception:
                log.exception("an event could not be built")
                self._inbox.disown(receipt)
        return entries

    def append_own(self, events: Iterable[Event]) -> None:
        """Write and sync the log's own events. Raises OSError, and then nothing of them stays."""
        self._append([(event, _BEFORE) for event in events])

    def _append(self, entries: list[tuple[Event, bytes]]) -> None:
        """The events and the commit that signs for them, in one write: what stands in the file is signed, or torn."""
        if not entries:
            return
        lines = self._compose(entries)
        tree = self._chain.tree.extended([leaf_hash(line) for line in lines])
        lines.append(self._chain.commit(tree))
        self._segment.append(b"\n".join(lines))
        self._chain.tree = tree
        self._last_commit = time.monotonic()

    def _compose(self, entries: list[tuple[Event, bytes]]) -> list[bytes]:
        """The lines of a batch, without their newlines."""
        sequence, lines, name = self.sequence, [], self._log_name
        for event, durability in entries:
            if event.time < self._latest - 1000 * self._options.clock_step:
                lines.append(self._clock_step(event.time).line(sequence, name, _BEFORE))
                sequence, self._latest = sequence + 1, event.time
            lines.append(event.line(sequence, name, durability))
            sequence += 1
            self._latest = max(self._latest, event.time)
        return lines

    def _clock_step(self, now: int) -> Event:
        facts = {"from": self._latest, "to": now}
        return lifecycle("audit.clock_step", "the clock was set back; the sequence is the order", facts, stamp())

    def _roll_if_due(self, incoming: int) -> None:
        segment = self._segment
        empty = self.sequence == segment.header.start
        full = segment.size + incoming > self._options.segment_size
        old = stamp().time - segment.header.created > 1000 * self._options.segment_age
        if not empty and (full or old):
            self._roll()

    def _roll(self) -> None:
        # The new one first: if there is no space for it, the old one is still there to say so. Until its segment has
        # a name, the following key counts for nothing; from then on a restart would find it.
        epoch = self._chain.following(stamp().time)
        new = Segment.create(self._directory, epoch.header, epoch.commit, self._options.segment_size)
        self._chain.promote(epoch)
        self._segment.finish()
        self._segment, self.segments = new, self.segments + 1

    def _keep_house(self) -> None:
        """What is due once a second: notice a deleted file, report suppressed events, probe a failed disk."""
        if self.condition.state == "failed" and not self._noted:
            self._note_failure()
        if time.monotonic() < self._next_tick:
            return
        self._next_tick = time.monotonic() + self._pause()
        try:
            self.upkeep.look()
            if self.condition.state == "failed":
                self._probe()
            else:
                self._tend()
        except OSError as error:
            self._fail(_cause(error), error)

    def _tend(self) -> None:
        """What a log that works wants once a second."""
        self._segment.check()
        self._roll_if_due(0)
        self._report_suppressed()
        if events := self.upkeep.due(time.monotonic() - self._last_commit):
            self.append_own(events)
        self.upkeep.show(self._chain)

    def _report_suppressed(self) -> None:
        if self._inbox.suppressed:
            self._append_with_suppressed([])

    def _append_with_suppressed(self, events: list[Event]) -> None:
        lost = self._inbox.take_suppressed()
        if lost.count:
            facts = {"count": lost.count, "from": lost.first, "to": lost.last}
            events = [*events, lifecycle("audit.suppressed", "events were lost or refused", facts, stamp())]
        try:
            self.append_own(events)
        except OSError:
            self._inbox.put_back(lost)
            raise

    # --- failure ---

    def _fail(self, cause: Cause, error: OSError | None = None) -> None:
        """Refuse everything from now on. Called by the writer, and by the watchdog when the writer hangs."""
        now = stamp()

        def note() -> None:
            self._noted = False
            self._unwritten = [lifecycle("audit.failed", "the record could not be written", _facts(cause, error), now)]
            self.condition = Condition("failed", now.time, cause)

        if self._inbox.refuse(cause, note):
            log.critical("the audit log cannot be written: %s%s", cause, f" ({error})" if error else "")

    def _note_failure(self) -> None:
        """Cut the unfinished batch off, and say so in the log out of the reserve; if even that fails, on resumption."""
        self._noted = True
        if self.condition.cause == "log-replaced":
            return  # nothing is written into a file that is not ours, and nothing is removed from it
        with suppress(OSError):
            self._segment.cut_back()
            self._reserve.free()
            self._segment.check()
            self.append_own(self._unwritten)
            self._unwritten = []

    def _probe(self) -> None:
        """Try everything that a working log needs; if all of it works, take events again."""
        failed = self.condition
        aside = self._directory / f"foreign-{self._segment.header.start:012d}-{stamp().time}.bin"
        try:
            restored = self._segment.restore(aside, self._options.segment_size)
            self._reserve.create()
            self._roll_if_due(self._batch_limit())
            facts = {"cause": failed.cause, "since": failed.since, "segment_restored": restored}
            resumed = lifecycle("audit.resumed", "the record is written again", facts, stamp())
            self._append_with_suppressed([*self._unwritten, resumed])
        except OSError:
            self._reserve.free()
            return
        self._unwritten = []
        self.condition = Condition("writing", stamp().time)
        self._inbox.accept()
        log.warning("the audit log is written again after %d ms", self.condition.since - failed.since)

    def _end(self) -> None:
        if self.condition.state == "writing":
            stop = [lifecycle("audit.stop", "the record is closed", {}, stamp())] if self._options.announce else []
            with suppress(OSError):
                self._append_with_suppressed(stop)
        self.condition = Condition("closed", stamp().time, "closed")
        self.upkeep.show(self._chain)
        with suppress(OSError):
            self._segment.finish()

    # --- the watchdog's thread ---

    def _watch(self) -> None:
        limit = self._options.ack_timeout
        while self._thread.is_alive():
            time.sleep(min(0.1, limit / 10))
            since = self._inbox.waits_since()
            if since is not None and time.monotonic() - since > limit:
                self._fail("timeout")


def _facts(cause: Cause, error: OSError | None) -> Mapping[str, object]:
    return {"cause": cause, "errno": errno.errorcode.get(error.errno or 0) if error else None}


def _cause(error: OSError) -> Cause:
    if isinstance(error, ReplacedError):
        return "log-replaced"
    return "disk-full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "disk-error"
