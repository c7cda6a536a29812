"""Legal holds: what must not be removed, whatever the retention says.

They stand in `hold.json` of each log. One that stands in any log of a state directory counts for all of them: a log
that is begun later is held as well. A file that cannot be read holds everything.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from gateway.audit.sealing.whole import replace
from gateway.errors import LedgerError

FILE: Final = "hold.json"
_LOCK: Final = "hold.lock"
_FORMAT: Final = "gateway-audit-holds/1"
_HINT: Final = "nothing is removed while it cannot be read: restore it from a backup, or repair it"


class Hold(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}):
    """One hold. `since` and `until`, in milliseconds, bound the events that it holds, both included; None: no bound.

    `created` is when it was made, `by` who made it, `because` why.
    """

    name: str
    because: str
    since: int | None
    until: int | None
    created: int
    by: str

    def covers(self, first: int, last: int) -> bool:
        """Whether it holds anything of what happened between these times."""
        return (self.since is None or self.since <= last) and (self.until is None or first <= self.until)


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: str
    holds: tuple[Hold, ...]


_FILES: Final = msgspec.json.Decoder(_File)


class HoldsUnreadableError(LedgerError):
    """What is held cannot be found out."""

    def __init__(self, path: Path, problem: object) -> None:
        super().__init__(f"{path}: the legal holds cannot be read: {problem}", _HINT)


def read_holds(directory: Path) -> tuple[Hold, ...]:
    """The holds that stand in this log's directory, oldest first.

    Raises:
        HoldsUnreadableError: the file is not what we write, or cannot be read.
    """
    path = directory / FILE
    try:
        found = _FILES.decode(path.read_bytes())
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise HoldsUnreadableError(path, error) from None
    if found.format != _FORMAT:
        raise HoldsUnreadableError(path, f"format {found.format!r} is not known")
    return found.holds


def holds_on(directory: Path) -> tuple[Hold, ...]:
    """The holds that count for this log: its own, and those of every other log of the state directory.

    Raises:
        HoldsUnreadableError: one of the files is not what we write, or cannot be read.
    """
    found = {hold.name: hold for each in (directory, *holding(directory.parent.parent)) for hold in read_holds(each)}
    return tuple(sorted(found.values(), key=lambda hold: hold.created))


def holding(logs: Path) -> list[Path]:
    """The directories below that of all logs in which holds stand: also those of logs that were set aside."""
    return sorted(path.parent for path in logs.glob(f"*/*/{FILE}"))


def add_hold(directory: Path, hold: Hold) -> None:
    """Put the hold into this log. When this returns, nothing that it covers is removed any more.

    Raises:
        HoldsUnreadableError: the file that is there cannot be read.
        OSError: it cannot be written.
    """
    with settled(directory):
        others = [each for each in read_holds(directory) if each.name != hold.name]
        _write(directory, (*others, hold))


def release_hold(directory: Path, name: str) -> None:
    """Take the hold out of this log, if it is there.

    Raises:
        HoldsUnreadableError: the file cannot be read.
        OSError: it cannot be written.
    """
    with settled(directory):
        holds = read_holds(directory)
        if any(each.name == name for each in holds):
            _write(directory, tuple(each for each in holds if each.name != name))


@contextmanager
def settled(directory: Path) -> Iterator[None]:
    """No hold of this log is added or released, and nothing of it is removed, by anybody else during the block.

    Raises:
        OSError: the lock cannot be made.
    """
    descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(directory: Path, holds: tuple[Hold, ...]) -> None:
    replace(directory / FILE, msgspec.json.format(msgspec.json.encode(_File(_FORMAT, holds))) + b"\n")
