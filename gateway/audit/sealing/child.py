"""The process that seals: of low priority, bounded in memory, gone when its parent is.

It prints one JSON object a line about each segment on stdout, and what went wrong on stderr:

    {"segment":0,"end":48926,"events":48926,"bytes":67108412,"zst_bytes":3987210,"sha256":"…","columns":true}
"""

import ctypes
import fcntl
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from gateway.audit.sealing.steps import Sealed, make_columns, seal, sweep, waiting, without_columns
from gateway.audit.stamp import stamp
from gateway.errors import GatewayError

EXIT_BUSY: Final = 4
"""Another process seals this log at this moment."""

MEMORY: Final = 2 * 1024**3
"""Bytes of address space. About 250 MB of it are used; the rest is what DuckDB reserves and never touches."""

LOCK: Final = "sealing.lock"
_NICE: Final = 10
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


class Report(msgspec.Struct, frozen=True):
    """What was done with one segment."""

    segment: int
    end: int
    events: int
    bytes: int
    zst_bytes: int
    sha256: str
    columns: bool

    @classmethod
    def of(cls, done: Sealed) -> "Report":
        """In the words of the event `audit.sealed`."""
        made = done.seal
        return cls(
            made.start,
            made.end,
            made.end - made.start,
            made.jsonl.bytes,
            made.zst.bytes,
            made.zst.sha256,
            done.columns,
        )


def run(directory: Path, parent: int | None) -> int:
    """Seal what waits in this log's directory, oldest first. The exit code: 0, 1 for a segment that cannot be sealed,
    `EXIT_BUSY`.
    """
    _be_modest(parent)
    try:
        with locked(directory) as ours:
            return _seal_all(directory) if ours else EXIT_BUSY
    except (GatewayError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


@contextmanager
def locked(directory: Path) -> Iterator[bool]:
    """Whether nobody else seals this log, and nobody does until the end of the block."""
    descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)


def _seal_all(directory: Path) -> int:
    sweep(directory)
    for files in waiting(directory):
        done = Report.of(seal(files, stamp().time))
        sys.stdout.buffer.write(msgspec.json.encode(done) + b"\n")
        sys.stdout.buffer.flush()
    for files in without_columns(directory):
        make_columns(files)
    return 0


def _be_modest(parent: int | None) -> None:
    """Behind everything else on the machine, and never longer than the gateway that asked for it."""
    os.nice(_NICE)
    with suppress(OSError):  # where there is not enough memory for both, it is not the gateway that goes
        Path("/proc/self/oom_score_adj").write_text("1000")
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    if parent is not None:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before we could ask to be told
            raise SystemExit(1)
