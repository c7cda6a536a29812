"""The thread that looks after what the writer has left behind: seals it, and removes it when its time has come.

Nothing here is in the way of a request: the work is done by another process, at low priority, and what was done is told
to the record like any other event. What fails is tried again, later each time, up to an hour.
"""

import logging
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.audit.command_log import OPTIONS as COMMAND_LOG_OPTIONS
from gateway.audit.command_log import WORKER as COMMAND_LOG
from gateway.audit.directory import known
from gateway.audit.event import Durability, Event
from gateway.audit.ledger import Ledger
from gateway.audit.notices import lifecycle
from gateway.audit.retention import DAY, Append, complete, old_segments, prune
from gateway.audit.sealing import requests
from gateway.audit.sealing.child import Report
from gateway.audit.sealing.process import SealingProcess
from gateway.audit.sealing.steps import waiting, without_columns
from gateway.audit.stamp import stamp
from gateway.errors import AuditUnavailable, GatewayError

log = logging.getLogger("gateway.audit")

POLL: Final = 5.0
"""Seconds between two looks for a segment that waits, or for a request."""

PRUNE_EVERY: Final = 3600.0
_RETRY: Final = (60.0, 3600.0)  # seconds: the first pause after a failure, which doubles, and the longest
_TIMEOUT: Final = 120.0
_BYTES_PER_SECOND: Final = 1024**2  # 64 MiB take 1.3 s on a machine that has time for it
_ACKNOWLEDGED: Final = 10.0


@dataclass(slots=True)
class _Pause:
    """When something that has failed is tried again."""

    until: float = 0.0
    length: float = field(default=_RETRY[0])

    @property
    def over(self) -> bool:
        return time.monotonic() >= self.until

    def begin(self) -> None:
        self.until = time.monotonic() + self.length
        self.length = min(2 * self.length, _RETRY[1])

    def reset(self) -> None:
        self.until, self.length = 0.0, _RETRY[0]


class Keeper:
    """Seals and prunes the log of this process, and the commands' own log beside it."""

    def __init__(
        self, ledger: Ledger, directory: Path, *, retention_days: int | None = None, poll: float = POLL
    ) -> None:
        """`directory` is where the ledger writes. Without `retention_days` nothing is removed unasked."""
        self._ledger = ledger
        self._directory = directory
        self._retention = retention_days
        self._poll = poll
        self._process = SealingProcess()
        self._pauses: dict[tuple[Path, str], _Pause] = {}
        self._prune_due = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit-keeper", daemon=True)

    def start(self) -> None:
        """Begin, with what a former run has left."""
        self._thread.start()

    def close(self) -> None:
        """End: at once, whatever is being sealed. Safe to call when it was never started."""
        self._stopping.set()
        self._process.end()
        if self._thread.is_alive():
            self._thread.join(_ACKNOWLEDGED)

    def _run(self) -> None:
        while not self._stopping.is_set():
            pause = self._poll
            try:
                self._look()
            except Exception:
                # A bug here must not end the thread: segments would pile up, and nobody would notice.
                log.exception("looking after the record failed")
                pause = max(pause, _RETRY[0])
            self._stopping.wait(pause)

    def _look(self) -> None:
        if self._ledger.health.state != "writing":
            return  # it does not know where it will go on; and nothing could be told
        prune_due = time.monotonic() >= self._prune_due
        if prune_due:
            self._prune_due = time.monotonic() + PRUNE_EVERY
        self._keep(self._directory, self._ledger, prune_due=prune_due)
        self._keep_command_log(prune_due=prune_due)

    def _keep_command_log(self, *, prune_due: bool) -> None:
        directory = self._directory.with_name(COMMAND_LOG)
        if directory == self._directory or not known(directory):
            return
        if not (self._has_to_seal(directory) or (prune_due and self._has_to_prune(directory))):
            return
        origin = f"{directory.parent.name}/{COMMAND_LOG}"
        try:
            with Ledger.open(directory, origin=origin, options=COMMAND_LOG_OPTIONS) as ledger:
                self._keep(directory, ledger, prune_due=prune_due)
        except GatewayError as error:
            if not isinstance(error.__cause__, BlockingIOError):  # a command writes its event: another time
                self._complain(directory, "seal", str(error))

    def _keep(self, directory: Path, ledger: Ledger, *, prune_due: bool) -> None:
        if self._has_to_seal(directory):
            self._seal(directory, ledger)
        if prune_due or requests.waits(directory):
            self._prune(directory, ledger)

    # --- sealing ---

    def _has_to_seal(self, directory: Path) -> bool:
        return self._pause(directory, "seal").over and bool(waiting(directory) or without_columns(directory))

    def _seal(self, directory: Path, ledger: Ledger) -> None:
        found = waiting(directory)
        timeout = _TIMEOUT + sum(each.lines.stat().st_size for each in found) / _BYTES_PER_SECOND
        outcome = self._process.run(directory, timeout, lambda report: self._tell(ledger, sealed_event(report)))
        if outcome.problem is not None:
            self._complain(directory, "seal", outcome.problem, found[0].start if found else None, ledger)
        elif outcome.busy or self._stopping.is_set() or not (waiting(directory) or without_columns(directory)):
            self._pause(directory, "seal").reset()
        else:  # what is left could not be done now, and the process has said why in its own words
            self._pause(directory, "seal").begin()

    # --- retention ---

    def _has_to_prune(self, directory: Path) -> bool:
        if requests.waits(directory):
            return True
        return self._retention is not None and bool(old_segments(directory, self._before(self._retention)))

    def _prune(self, directory: Path, ledger: Ledger) -> None:
        try:
            complete(directory)
            self._prune_asked(directory, ledger)
            if self._retention is not None:
                because = f"older than {self._retention} days (GATEWAY_AUDIT__RETENTION_DAYS)"
                self._prune_before(directory, ledger, self._before(self._retention), because)
        except (GatewayError, OSError) as error:
            log.warning("%s: not pruned: %s", directory, error)

    def _prune_asked(self, directory: Path, ledger: Ledger) -> None:
        try:
            request = requests.asked(directory)
            if request is not None:
                self._prune_before(directory, ledger, request.before, request.because)
        except ValueError as error:
            log.warning("%s: a request that cannot be read was dropped: %s", directory, error)
        finally:
            if requests.waits(directory):
                requests.done(directory)

    def _prune_before(self, directory: Path, ledger: Ledger, before: int, because: str) -> None:
        for seal in prune(directory, before, because, appender(ledger)):
            log.info("%s: the events %d to %d were pruned: %s", directory, seal.start, seal.end - 1, because)

    @staticmethod
    def _before(days: int) -> int:
        return stamp().time - days * DAY

    # --- telling ---

    def _pause(self, directory: Path, what: str) -> _Pause:
        return self._pauses.setdefault((directory, what), _Pause())

    def _complain(
        self, directory: Path, what: str, problem: str, segment: int | None = None, ledger: Ledger | None = None
    ) -> None:
        pause = self._pause(directory, what)
        pause.begin()
        log.warning("%s: not sealed, next try in %.0f s: %s", directory, pause.until - time.monotonic(), problem)
        if ledger is not None:
            facts = {"segment": segment, "problem": problem}
            self._tell(ledger, lifecycle("audit.seal_failed", "a segment could not be sealed", facts, stamp()))

    def _tell(self, ledger: Ledger, event: Event) -> None:
        try:
            ledger.append(event, Durability.BEFORE).wait(_ACKNOWLEDGED)
        except AuditUnavailable as error:
            log.warning("%s could not be recorded: %s", event.code, error)


def appender(ledger: Ledger) -> Append:
    """For `prune`: what writes an event into this ledger, and returns when it is durable."""

    def append(event: Event) -> None:
        ledger.append(event, Durability.BEFORE).wait(_ACKNOWLEDGED)

    return append


def sealed_event(report: Report) -> Event:
    """`audit.sealed`: that a segment was sealed, and what it is now."""
    facts = {
        "segment": report.segment,
        "end": report.end,
        "events": report.events,
        "bytes": report.bytes,
        "zst_bytes": report.zst_bytes,
        "sha256": report.sha256,
    }
    return lifecycle("audit.sealed", "a segment was sealed", facts, stamp())
