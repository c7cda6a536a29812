"""The active policy of a running gateway: loaded from disk, exchanged as a whole, never lost to a bad file.

Whoever asks reads `active`, a plain attribute, from any thread, and may keep the policy for as long as it judges one
exchange. A reload that fails changes nothing: the last good policy stays, and `status` and the subscribers hear why.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import structlog

from gateway.errors import PolicyError, Problem
from gateway.model import Policy
from gateway.policy.lock import LOCK_FILE, Lock
from gateway.releases import load_released, read_lock, verify

_log = structlog.get_logger("gateway.revisions")


@dataclass(frozen=True, slots=True)
class Reloaded:
    """The files were read and are right. `changed`: another revision than before is active now."""

    policy: Policy
    changed: bool


@dataclass(frozen=True, slots=True)
class KeptLastGood:
    """The files are wrong; the policy stays what it was."""

    policy: Policy
    problems: tuple[Problem, ...]


Outcome = Reloaded | KeptLastGood


@dataclass(frozen=True, slots=True)
class RevisionStatus:
    """What is active since when, and what is wrong with the files now (nothing: they are what is active)."""

    revision: str
    digest: str
    loaded_at: datetime
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class _Seen:
    """The lock as it was read, and what it and the released files looked like just before."""

    lock: Lock
    appearance: tuple[int, ...] | None
    files: tuple[tuple[int, ...] | None, ...]


def _now() -> datetime:
    return datetime.now(UTC)


class Revisions:
    """The released policies of a directory. Opening it loads the active one.

    Raises:
        PolicyError: with everything that is wrong with the lock, the released files and the active policy.
    """

    def __init__(self, directory: Path, clock: Callable[[], datetime] = _now) -> None:
        self.directory = Path(directory)
        self._clock = clock
        self._reloading = threading.Lock()
        self._subscribers: tuple[Callable[[Outcome], object], ...] = ()
        self._watcher: _Watcher | None = None
        lock = self._verified_lock()
        self.active: Policy = self._load(lock)
        self.status = self._loaded()

    def subscribe(self, callback: Callable[[Outcome], object]) -> None:
        """Have `callback` called after each exchange of the policy, and after each reload that found new problems.

        It runs in the thread that reloads. What it raises is logged and keeps nobody else from being called.
        """
        self._subscribers = (*self._subscribers, callback)

    def reload(self) -> Outcome:
        """Read the files again, and exchange the policy if another revision is active and right."""
        with self._reloading:
            before = self.status.problems
            outcome = self._attempt()
            match outcome:
                case Reloaded(changed=True):
                    _log.info("policy reloaded", revision=self.status.revision, digest=self.status.digest)
                    self._tell(outcome)
                case KeptLastGood(problems=problems) if problems != before:
                    _log.error("policy kept", revision=self.status.revision, problems=[str(item) for item in problems])
                    self._tell(outcome)
                case _:
                    pass
            return outcome

    def reload_if_changed(self) -> Outcome | None:
        """Reload if the lock or a released file looks different, or if the last attempt failed; else None.

        After a failure every look is an attempt: half of a file may have been read, and the other half may have come
        without a visible change of its times.
        """
        seen = _Seen(self._seen.lock, _stat(self.directory / LOCK_FILE), self._look(self._seen.lock))
        if not self.status.problems and seen == self._seen:
            return None
        return self.reload()

    def watch(self, interval: float = 0.2) -> None:
        """Look for changes every `interval` seconds in a thread, until `close`."""
        if self._watcher is None:
            self._watcher = _Watcher(self, interval)
            self._watcher.start()

    def close(self) -> None:
        """Stop watching. The active policy stays readable."""
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher = None

    # --- loading ----------------------------------------------------------------------------------------------

    def _attempt(self) -> Outcome:
        try:
            lock = self._verified_lock()
            current = lock.revisions[lock.active]
            if (current.revision, current.digest) == (self.active.ref.revision, self.active.ref.digest):
                self.status = replace(self.status, problems=())
                return Reloaded(self.active, changed=False)
            self.active = self._load(lock)
            self.status = self._loaded()
            return Reloaded(self.active, changed=True)
        except PolicyError as error:
            self.status = replace(self.status, problems=error.problems)
            return KeptLastGood(self.active, error.problems)

    def _verified_lock(self) -> Lock:
        # Looked at before it is read: what changes while we read will look different the next time.
        appearance = _stat(self.directory / LOCK_FILE)
        lock = read_lock(self.directory)
        self._seen = _Seen(lock, appearance, self._look(lock))
        problems = verify(self.directory, lock)
        if problems:
            raise PolicyError(problems)
        return lock

    def _load(self, lock: Lock) -> Policy:
        return load_released(self.directory, lock.revisions[lock.active], self._clock().date())

    def _loaded(self) -> RevisionStatus:
        return RevisionStatus(self.active.ref.revision, self.active.ref.digest, self._clock())

    def _look(self, lock: Lock) -> tuple[tuple[int, ...] | None, ...]:
        """What the released files look like from outside."""
        names = {name for locked in lock.revisions.values() for name in (locked.file, *locked.networks)}
        return tuple(_stat(self.directory / name) for name in sorted(names))

    def _tell(self, outcome: Outcome) -> None:
        for callback in self._subscribers:
            try:
                callback(outcome)
            except Exception:
                _log.exception("a subscriber of policy changes failed")


def _stat(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class _Watcher(threading.Thread):
    """Looks for changes at an interval. A look that fails in an unforeseen way is logged, and the next one comes."""

    def __init__(self, revisions: Revisions, interval: float) -> None:
        super().__init__(name="gateway-policy-watch", daemon=True)
        self._revisions = revisions
        self._interval = interval
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(self._interval):
            try:
                self._revisions.reload_if_changed()
            except Exception:
                _log.exception("looking for policy changes failed")

    def stop(self) -> None:
        self._ended.set()
        if threading.current_thread() is not self:  # a subscriber may close what called it
            self.join()
