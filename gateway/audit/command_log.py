"""The commands' own log: who has asked the record what, exported it, looked a person up, put it under a legal hold.

A command is not the gateway's process, which owns its log; so commands share one of their own, `<instance>/cli`. It is
opened for one event, under its lock, and closed.
"""

import getpass
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gateway.audit.event import Durability
from gateway.audit.ledger import Ledger
from gateway.audit.notices import admin_action
from gateway.audit.options import LedgerOptions
from gateway.audit.stamp import stamp
from gateway.errors import AuditUnavailable, LedgerError, StartupError
from gateway.model import Method, Principal
from gateway.state.directory import INSTANCE, StateDirectory

WORKER: Final = "cli"
PATIENCE: Final = 5.0
"""Seconds that a command waits for another one to finish its event."""

OPTIONS: Final = LedgerOptions(segment_size=4 * 1024**2, reserve=64 * 1024, announce=False)
_HINT: Final = "run it as the gateway's user, or read a copy of the record with --unrecorded"


def record(state: Path, code: str, facts: Mapping[str, object], *, succeeded: bool = True) -> None:
    """Write down what a command is about to do: durable when this returns.

    `code` is the event's, such as `audit.query`; `facts` are its details. The actor is the operating system's user.

    Raises:
        LedgerError: it cannot be written down; then the command must not go on.
    """
    if not (state / INSTANCE).is_file():
        raise LedgerError(f"{state}: not the state directory of a gateway: this cannot be recorded", _HINT)
    event = admin_action(code, actor(), socket.gethostname(), facts, stamp(), code=code, succeeded=succeeded)
    try:
        with _opened(StateDirectory.prepare(state)) as ledger:
            ledger.append(event, Durability.BEFORE).wait(PATIENCE)
    except AuditUnavailable as error:
        raise LedgerError(f"{state}: this cannot be recorded: {error.cause}", _HINT) from error
    except StartupError as error:
        raise LedgerError(f"this cannot be recorded: {error}", _HINT) from error


def _opened(state: StateDirectory) -> Ledger:
    directory = state.audit_directory(WORKER)
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return Ledger.open(directory, origin=f"{state.instance}/{WORKER}", options=OPTIONS)
        except LedgerError as error:
            if not isinstance(error.__cause__, BlockingIOError) or time.monotonic() > until:
                raise
            time.sleep(0.02)


def actor() -> Principal:
    """Who runs this command: the user of the operating system."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())  # a container's user need not have a name
    return Principal(name, Method.LOCAL)
