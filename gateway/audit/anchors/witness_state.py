"""What a witness remembers: of each log that it knows, the newest checkpoint that it has signed.

    <state>/key                     the witness's own key: its name, and base64 of 32 bytes (RFC 8032 §5.1.5), 0600
    <state>/logs/<sha256>.note      by the SHA-256 of the log's origin: its newest checkpoint, with our signature
    <state>/refused/<…>.note        what a log's own key has signed although it does not continue the one before
    <state>/LOCK

A witness that has forgotten is none: without `logs`, a log that was put back would be signed again.
"""

import fcntl
import os
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final, Self

from gateway.audit.anchors.anchor_key import new_private, read_private
from gateway.audit.anchors.cosignature import Cosigner
from gateway.audit.segment import sync_directory
from gateway.audit.verifier import Checkpoint
from gateway.errors import LedgerError, StartupError
from gateway.state.directory import write_once

_REFUSED_KEPT: Final = 1000


class WitnessState:
    """An open state directory, ours alone until the process ends."""

    def __init__(self, directory: Path, cosigner: Cosigner) -> None:
        self._logs = directory / "logs"
        self._refused = directory / "refused"
        self.cosigner = cosigner
        for each in (self._logs, self._refused):
            each.mkdir(mode=0o700, exist_ok=True)
        self._latest: dict[str, Checkpoint] = {}
        for path in self._logs.glob("*.note"):
            self._remember(path)

    @classmethod
    def open(cls, directory: Path, name: str) -> Self:
        """The state in a directory, which is made, with a key, when it is missing. `name` is that of the key.

        Raises:
            StartupError: in use by another process, under another name, damaged, or not writable.
        """
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                _lock(directory, descriptor)
                write_once(descriptor, "name", f"{name}\n")
                write_once(descriptor, "key", new_private())
            finally:
                os.close(descriptor)
            kept = (directory / "name").read_text().strip()
            if kept != name:
                raise StartupError(f"{directory}: the state of the witness {kept}, not of {name}", f"--name {kept}")
            return cls(directory, Cosigner(name, read_private(directory / "key")))
        except OSError as error:
            cause = (error.strerror or str(error)).lower()
            raise StartupError(f"{error.filename or directory}: {cause}", "name a directory with --state") from error

    @staticmethod
    def name_of(directory: Path) -> str | None:
        """The name of the witness whose state is in a directory; None when there is none."""
        with suppress(OSError):
            return (directory / "name").read_text().strip()
        return None

    def latest(self, origin: str) -> Checkpoint | None:
        """The newest checkpoint of a log that we have signed."""
        return self._latest.get(origin)

    def keep(self, signed: Checkpoint, note: str) -> None:
        """Remember a checkpoint: on the disk when this returns.

        Raises:
            OSError: it could not be kept; then it must not be signed.
        """
        path = self._path(signed.origin)
        temporary = path.with_suffix(".tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(note)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
        sync_directory(self._logs)
        self._latest[signed.origin] = signed

    def note(self, origin_digest: str) -> str | None:
        """The kept checkpoint of the log whose origin has this SHA-256, in hexadecimal digits, as it is served."""
        for origin in self._latest:
            if sha256(origin.encode()).hexdigest() == origin_digest:
                return self._path(origin).read_text()
        return None

    def keep_refused(self, note: str) -> None:
        """Keep the evidence against a log, the newest thousand of it; a full disk is no reason to fail."""
        with suppress(OSError):
            path = self._refused / f"{time.time_ns()}.note"
            path.write_text(note)
            for old in sorted(self._refused.glob("*.note"))[:-_REFUSED_KEPT]:
                old.unlink()

    def _path(self, origin: str) -> Path:
        return self._logs / f"{sha256(origin.encode()).hexdigest()}.note"

    def _remember(self, path: Path) -> None:
        try:
            found = Checkpoint.parse(path.read_text(), str(path))
        except (ValueError, OSError) as error:
            hint = "restore it from a backup; a witness that has forgotten must not go on under the same name"
            raise LedgerError(f"{path}: what was signed last cannot be read: {error}", hint) from None
        self._latest[found.origin] = found


def _lock(directory: Path, opened: int) -> None:
    descriptor = os.open("LOCK", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=opened)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held until the process ends
    except BlockingIOError:
        os.close(descriptor)
        raise StartupError(f"{directory}: in use by another process", "stop the other witness first") from None
