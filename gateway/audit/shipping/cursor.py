"""How far a receiver has confirmed a log: one small file in the log's directory, on the disk before we go on.

    {"cursor":"gateway-audit-cursor/1","origin":"3f…/w0","sink":"otlp+https://…","sequence":4711,"confirmed":[…],"rejected":0}

`sequence` is the first event that is not confirmed. `confirmed` has the sequences of the last seconds, with the time of
each in milliseconds: for a receiver whose confirmation is not yet a promise.
"""

import fcntl
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

import msgspec

from gateway.audit.segment import sync_directory
from gateway.audit.shipping.errors import LostEvents
from gateway.audit.shipping.sink import Batch, Delivered
from gateway.errors import LedgerError

FORMAT: Final = "gateway-audit-cursor/1"
NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_STEP: Final = 1000  # milliseconds between two confirmations that are kept apart


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file says."""

    cursor: str
    origin: str
    sink: str
    sequence: int
    confirmed: tuple[tuple[int, int], ...] = ()
    rejected: int = 0


class Cursor:
    """The position of one sink in one log, locked for this process. `position` is what is on the disk."""

    def __init__(self, path: Path, lock: int, position: Position) -> None:
        self._path = path
        self._lock = lock
        self.position = position

    @classmethod
    def open(cls, directory: Path, name: str, *, origin: str, sink: str, begin: Callable[[], int]) -> Self:
        """The cursor of this name. When there is none, one is made where `begin` says.

        Raises:
            LedgerError: another shipper uses it, it cannot be read or written, or it is the cursor of another log.
        """
        path = directory / f"cursor-{name}.json"
        try:
            lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LedgerError(f"{path}: the cursor cannot be kept: {error.strerror}", _WRITABLE) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            position = _read(path, origin, sink) or _made(path, Position(FORMAT, origin, sink, begin()))
        except BlockingIOError:
            os.close(lock)
            raise LedgerError(
                f"{path}: another shipper uses this cursor", "end it, or choose another --name for this one"
            ) from None
        except BaseException:
            os.close(lock)
            raise
        return cls(path, lock, position)

    def confirm(self, batch: Batch, delivered: Delivered, overlap: float) -> None:
        """The batch has arrived: on the disk when this returns.

        Raises:
            OSError: it could not be written; then the batch will be sent again.
        """
        if delivered.rejected:
            self._note(batch, delivered)
        before = self.position
        if batch.end <= before.sequence:  # sent once more, to be sure
            return
        confirmed = _confirmed(before, batch.end, overlap) if overlap else ()
        position = msgspec.structs.replace(
            before, sequence=batch.end, confirmed=confirmed, rejected=before.rejected + delivered.rejected
        )
        _replace(self._path, msgspec.json.encode(position) + b"\n")
        self.position = position

    def settled(self, overlap: float) -> int:
        """The first event whose confirmation is younger than `overlap` seconds, counted back from the youngest one.

        From the youngest, not from now: how long the receiver was there after it, nobody knows.
        """
        history = self.position.confirmed
        if not overlap or not history:
            return self.position.sequence
        latest = history[-1][0]
        old = [sequence for moment, sequence in history if moment <= latest - overlap * 1000]
        return old[-1] if old else history[0][1]

    def release(self) -> None:
        """Let another process use it."""
        os.close(self._lock)

    def _note(self, batch: Batch, delivered: Delivered) -> None:
        """A line about events that the receiver did not want, before the cursor passes them."""
        facts = {
            "time": time.time_ns() // 1_000_000,
            "origin": batch.origin,
            "first": batch.first,
            "end": batch.end,
            "rejected": delivered.rejected,
            "message": delivered.message[:1000],
        }
        path = self._path.with_name(self._path.name.replace("cursor-", "rejected-", 1) + "l")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, msgspec.json.encode(facts) + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_directory(path.parent)


_WRITABLE: Final = "run it as the gateway's user: the cursor is kept in the log's directory"


def _made(path: Path, position: Position) -> Position:
    """A new cursor. Written at once when it begins in the middle: a restart must not begin later still."""
    if position.sequence > 0:
        try:
            _replace(path, msgspec.json.encode(position) + b"\n")
        except OSError as error:
            raise LedgerError(f"{path}: the cursor cannot be kept: {error.strerror}", _WRITABLE) from error
    return position


def _read(path: Path, origin: str, sink: str) -> Position | None:
    try:
        position = msgspec.json.decode(path.read_bytes(), type=Position)
    except FileNotFoundError:
        return None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LedgerError(f"{path}: not a cursor: {error}", "remove it to ship the whole log again") from None
    except OSError as error:
        raise LedgerError(f"{path}: cannot be read: {error.strerror}", _WRITABLE) from error
    if position.cursor != FORMAT or position.sequence < 0:
        raise LedgerError(f"{path}: not a cursor of this format", "remove it to ship the whole log again")
    if position.origin != origin:
        raise LedgerError(f"{path}: the cursor of {position.origin}, not of {origin}", "remove it, or put it back")
    if position.sink != sink:
        raise LedgerError(
            f"{path}: the cursor of {position.sink}, not of {sink}",
            "choose another --name for another receiver; for the same one at a new address, edit `sink` in the file",
        )
    return position


def check_length(position: Position, size: int) -> None:
    """Nothing, when the log has at least what was shipped of it.

    Raises:
        LostEvents: it has been cut, rolled back or replaced.
    """
    if position.sequence > size:
        raise LostEvents(
            f"{position.origin}: the log has {size} events, and {position.sequence} were shipped from it",
            "it was cut, rolled back or replaced: compare it with what the receiver has",
        )


def _confirmed(before: Position, sequence: int, overlap: float) -> tuple[tuple[int, int], ...]:
    """The history with one more: a second apart, back to one that is as old as the overlap."""
    now = time.time_ns() // 1_000_000
    kept = [*(before.confirmed or [(0, before.sequence)]), (now, sequence)]
    # One a second is enough. What is left out makes us send more again, never less.
    if len(kept) > 2 and 0 <= now - kept[-3][0] < _STEP:
        del kept[-2]
    while len(kept) > 2 and kept[1][0] <= now - overlap * 1000:
        del kept[0]
    return tuple(kept)


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.rename(path)
    sync_directory(path.parent)
