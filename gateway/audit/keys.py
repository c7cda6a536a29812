"""The keys that sign the log: one for each segment, the next one signed by the last one, the last one then erased.

    keys/current    the private key of the running epoch: base64 of 32 bytes (RFC 8032 §5.1.5), 0600
    keys/next       that of the following one, while the segment that begins with it is being made
    keys/vkeys.log  the verifier key of every epoch, with the size of the log when it began

Whoever steals `current` can sign for the epoch that runs, and for none before it: their keys do not exist any more. (An
SSD or a copying file system may keep erased bytes for a while; nothing a program does prevents that.)
"""

import os
from base64 import b64decode, b64encode
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.audit.directory import keys_directory, vkeys_path
from gateway.audit.note import Signer
from gateway.audit.segment import private, sync_directory
from gateway.errors import LedgerError

_HINT: Final = (
    "without it the log cannot be continued: restore keys/current from where it was moved, "
    "or set GATEWAY_AUDIT__ON_DAMAGE=set-aside to begin a new log beside this one"
)


class EpochKeys:
    """The key files of one log. Used by the thread that writes it."""

    def __init__(self, directory: Path, name: str) -> None:
        self._name = name
        self._directory = keys_directory(directory)
        self._current = self._directory / "current"
        self._next = self._directory / "next"

    def first(self) -> Signer:
        """The key of a new log. One that a crash has left before the first segment is taken.

        Raises:
            OSError: it cannot be kept.
            LedgerError: what is there is no key.
        """
        self._directory.mkdir(mode=0o700, exist_ok=True)
        if not self._current.exists():
            self._make(self._current)
        self._next.unlink(missing_ok=True)
        return self._read(self._current)

    def of(self, vkey: str) -> Signer:
        """The key of the epoch that runs, which must be the one that the last segment names.

        Raises:
            LedgerError: it is not there.
        """
        if self._next.exists():
            with suppress(LedgerError):  # half a file: the segment that would have begun with it does not exist
                if (signer := self._read(self._next)).vkey == vkey:
                    self.promote()
                    return signer
            self._next.unlink()
        if not self._current.exists() or (signer := self._read(self._current)).vkey != vkey:
            raise LedgerError(f"{self._current}: the private key of the log is missing", _HINT)
        return signer

    def following(self) -> Signer:
        """A new key for the segment that is about to begin. It counts when `promote` is called.

        Raises:
            OSError: it cannot be kept.
        """
        self._next.unlink(missing_ok=True)
        self._make(self._next)
        return self._read(self._next)

    def promote(self) -> None:
        """The following key becomes the current one; what was the current one is overwritten and gone.

        Raises:
            OSError: the current one is still there, or the following one is already in its place.
        """
        old = os.open(self._current, os.O_WRONLY | os.O_CLOEXEC) if self._current.exists() else None
        try:
            self._next.rename(self._current)
            sync_directory(self._directory)
            if old is not None:
                os.pwrite(old, b"\0" * 64, 0)
                os.fsync(old)
        finally:
            if old is not None:
                os.close(old)

    def note(self, size: int, vkey: str) -> None:
        """Write down which key signs from this size on. The segments say it, too; this stays when they are gone."""
        with suppress(OSError), private(vkeys_path(self._directory.parent), "a") as file:
            file.write(f"{size} {vkey}\n")

    def _make(self, path: Path) -> None:
        raw = Ed25519PrivateKey.generate().private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, b64encode(raw) + b"\n")
            os.fsync(descriptor)
        except OSError:
            path.unlink()
            raise
        finally:
            os.close(descriptor)
        sync_directory(self._directory)

    def _read(self, path: Path) -> Signer:
        try:
            raw = b64decode(path.read_bytes(), validate=False)
            return Signer(self._name, Ed25519PrivateKey.from_private_bytes(raw))
        except ValueError:
            raise LedgerError(f"{path}: not a private key", _HINT) from None
