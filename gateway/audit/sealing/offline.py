"""A log of a gateway that does not run, opened by a command: so that what is done to it is told in it."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from gateway.audit.command_log import OPTIONS as COMMAND_LOG_OPTIONS
from gateway.audit.command_log import PATIENCE
from gateway.audit.command_log import WORKER as COMMAND_LOG
from gateway.audit.directory import live
from gateway.audit.ledger import Ledger
from gateway.audit.options import DEFAULTS
from gateway.audit.segment import Header
from gateway.audit.statements import DamagedLogError, read_header
from gateway.errors import LedgerError

_HEAD: Final = 64 * 1024
SET_ASIDE: Final = ".damaged-"
"""In the name of the directory of a log that was set aside: evidence, in which nothing is changed."""


def open_log(directory: Path, *, segment_age: float = DEFAULTS.segment_age) -> Ledger | None:
    """The log in this directory, to be written to and closed; None while its gateway runs.

    The commands' own log is waited for: it is only ever open for a moment. After `segment_age` seconds the segment
    that is being written ends.

    Raises:
        LedgerError: it is damaged, or cannot be written.
    """
    own = directory.name == COMMAND_LOG
    until = time.monotonic() + (PATIENCE if own else 0)
    options = replace(COMMAND_LOG_OPTIONS if own else DEFAULTS, segment_age=segment_age)
    while True:
        try:
            header = _header(directory)
            return Ledger.open(directory, origin=header.origin, options=options)
        except LedgerError as error:
            if not isinstance(error.__cause__, BlockingIOError):
                raise
            if time.monotonic() >= until:
                return None
        time.sleep(0.02)


def _header(directory: Path) -> Header:
    segments = live(directory)
    if not segments:
        raise DamagedLogError(f"{directory}: the segment that was being written is missing")
    path = segments[-1].lines
    with path.open("rb") as file:
        return read_header(path, file.read(_HEAD))
