"""From the logs to one receiver: batch by batch, each confirmed before the next, for as long as the process lives."""

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import msgspec

from gateway.audit.shipping.backoff import BackOff
from gateway.audit.shipping.cursor import Cursor, check_length
from gateway.audit.shipping.drop import SealedSegments
from gateway.audit.shipping.errors import Undelivered
from gateway.audit.shipping.sink import Batch, Delivered, Sink
from gateway.audit.shipping.source import Checkpoint, Events, acknowledged
from gateway.audit.shipping.status import Status
from gateway.audit.shipping.stop import Interrupted, Stop

POLL: Final = 0.5
"""Seconds between two looks for new events, and for a receiver that has gone away."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to ship. `batch` in events, `batch_bytes` of their lines, `longest_wait` and `give_up` in seconds.

    `once`: end when all that was acknowledged at the start is confirmed. `give_up`: None to try for ever.
    """

    once: bool = False
    sealed: bool = False
    batch: int = 1000
    batch_bytes: int = 1024 * 1024
    longest_wait: float = 60.0
    give_up: float | None = None


class Feed(Protocol):
    """Where a lane's batches come from."""

    def next(self, checkpoint: Checkpoint, limit: int) -> Batch | None:
        """The next batch before `limit`; None when there is none."""

    def rewind(self, sequence: int, confirmed: int) -> None:
        """Go on from there."""


class Lane:
    """One log on its way to the receiver."""

    def __init__(self, directory: Path, cursor: Cursor, options: Options, overlap: float) -> None:
        self.directory = directory
        self.cursor = cursor
        self.size = 0
        self.until: int | None = None
        self.first_time = (
            0  # milliseconds: when the oldest event that is not confirmed was recorded; 0 if there is none
        )
        start = cursor.position.sequence
        self.feed: Feed = (
            SealedSegments(directory, start)
            if options.sealed
            else Events(directory, start, options.batch, options.batch_bytes)
        )
        self.rewind(overlap)

    def next(self, *, once: bool) -> Batch | None:
        """The next batch of what is acknowledged; with `once`, of what was at the first look.

        Raises:
            LostEvents: it is gone, or the log is shorter than what was shipped of it.
        """
        checkpoint = acknowledged(self.directory)
        if checkpoint is None:
            return None
        check_length(self.cursor.position, checkpoint.size)
        self.size = checkpoint.size
        if once and self.until is None:
            self.until = checkpoint.size
        batch = self.feed.next(checkpoint, checkpoint.size if self.until is None else self.until)
        self.first_time = _time(batch) if batch else 0
        return batch

    def rewind(self, overlap: float) -> None:
        """Send again what a receiver that has gone away may have lost."""
        self.feed.rewind(self.cursor.settled(overlap), self.cursor.position.sequence)

    @property
    def behind(self) -> int:
        """How many acknowledged events are not confirmed."""
        return max(0, self.size - self.cursor.position.sequence)


class Shipper:
    """All logs to one receiver. `open_cursor` gives the cursor of a log, `report` is told how it goes."""

    def __init__(
        self,
        find: Callable[[], Iterable[Path]],
        sink: Sink,
        open_cursor: Callable[[Path, Checkpoint], Cursor],
        options: Options,
        status: Status,
        stop: Stop,
        report: Callable[[Status], None],
    ) -> None:
        self._find = find
        self._sink = sink
        self._open_cursor = open_cursor
        self._options = options
        self._status = status
        self._stop = stop
        self._report = report
        self._lanes: dict[Path, Lane] = {}
        self._backoff = BackOff(options.longest_wait, random.SystemRandom().random)
        self._failing_since: float | None = None

    def run(self) -> None:
        """Ship until told to stop; with `once`, until everything is confirmed.

        Raises:
            Refused: the receiver does not take it.
            LostEvents: what comes next is not there.
            Undelivered: nothing was confirmed for as long as `give_up` says.
            LedgerError: a cursor is in use, or cannot be kept.
        """
        try:
            while not self._stop.requested:
                self._discover()
                worked = [self._advance(lane) for lane in self._lanes.values()]
                self._tell()
                if any(worked):
                    continue
                if self._options.once:
                    return
                self._stop.wait(POLL)
                self._look_after_the_receiver()
        except Interrupted:
            pass
        finally:
            self._sink.close()
            self._tell()
            for lane in self._lanes.values():
                lane.cursor.release()

    def _discover(self) -> None:
        for directory in self._find():
            if directory not in self._lanes and (checkpoint := acknowledged(directory)) is not None:
                cursor = self._open_cursor(directory, checkpoint)
                self._lanes[directory] = Lane(directory, cursor, self._options, self._sink.overlap)

    def _advance(self, lane: Lane) -> bool:
        """Ship one batch of the lane; False when there is none."""
        batch = lane.next(once=self._options.once)
        if batch is None:
            return False
        while not self._stop.requested:
            try:
                with self._stop.interruptible():
                    delivered = self._sink.send(batch)
                self._confirm(lane, batch, delivered)
            except Undelivered as error:
                self._failed(error)
                if error.rewind:
                    self._rewind()
                    break
            else:
                break
        return True

    def _confirm(self, lane: Lane, batch: Batch, delivered: Delivered) -> None:
        before = lane.cursor.position.sequence
        try:
            lane.cursor.confirm(batch, delivered, self._sink.overlap)
        except OSError as error:
            cause = (error.strerror or str(error)).lower()
            raise Undelivered(f"{lane.directory}: the cursor cannot be written: {cause}") from error
        new = max(0, batch.end - max(batch.first, before))
        status = self._status
        status.sent += new
        status.resent += batch.count - new
        status.rejected += delivered.rejected
        status.confirmed = time.time()
        status.error = None
        lane.first_time = 0
        self._backoff.succeeded()
        self._failing_since = None

    def _failed(self, error: Undelivered) -> None:
        now = time.monotonic()
        self._failing_since = now if self._failing_since is None else self._failing_since
        self._status.failures += 1
        wait = self._backoff.failed(error.after)
        patience = self._options.give_up
        if patience is not None and now + wait - self._failing_since > patience:
            self._status.error = str(error)
            raise error
        self._wait(str(error), wait)

    def _wait(self, error: str, seconds: float) -> None:
        until = time.monotonic() + seconds
        self._status.error = error
        while (left := until - time.monotonic()) > 0 and not self._stop.requested:
            self._status.waiting = left
            self._tell()
            self._stop.wait(min(1.0, left))

    def _look_after_the_receiver(self) -> None:
        try:
            self._sink.check()
        except Undelivered as error:
            self._failed(error)
            self._rewind()

    def _rewind(self) -> None:
        for lane in self._lanes.values():
            lane.rewind(self._sink.overlap)

    def _tell(self) -> None:
        lanes = self._lanes.values()
        self._status.behind = sum(lane.behind for lane in lanes)
        oldest = min((lane.first_time for lane in lanes if lane.first_time), default=0)
        self._status.lag = max(0.0, time.time() - oldest / 1000) if oldest else 0.0
        self._report(self._status)


class _Timed(msgspec.Struct):
    time: int


def _time(batch: Batch) -> int:
    """When the first event of the batch was recorded, in milliseconds; 0 when it does not say so."""
    try:
        return msgspec.json.decode(batch.events[0].line, type=_Timed).time if batch.events else 0
    except msgspec.MsgspecError:
        return 0
