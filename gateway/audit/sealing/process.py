"""Starting the process that seals, waiting for it, and ending it: by its own id, and with nothing of our secrets."""

import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import msgspec

import gateway
from gateway.audit.sealing.child import EXIT_BUSY, Report

log = logging.getLogger("gateway.audit")

_PASSED_ON: Final = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "TZ")
_REPORTS: Final = msgspec.json.Decoder(Report)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it: what went wrong (None: nothing), and whether another process was sealing."""

    problem: str | None
    busy: bool = False


class SealingProcess:
    """Runs the process for one log at a time. `end` may be called by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = False

    def run(self, directory: Path, timeout: float, told: Callable[[Report], None]) -> Outcome:
        """Seal what waits in this log, in at most `timeout` seconds. `told` hears of each segment when it is sealed."""
        with os.fdopen(os.memfd_create("stderr"), "w+b") as err:
            try:
                process = self._start(directory, err)
            except OSError as error:
                return Outcome(f"the process could not be started: {error.strerror}")
            if process is None:
                return Outcome(None)
            try:
                late = _listen(process, timeout, told)
            finally:
                self._process = None
            err.seek(0)
            said = err.read().decode("utf-8", "replace").strip()
        if late:
            return Outcome(f"not done after {timeout:.0f} seconds")
        return self._outcome(directory, process.returncode, said)

    def _outcome(self, directory: Path, code: int, said: str) -> Outcome:
        if code == EXIT_BUSY or (self._ended and code < 0):
            return Outcome(None, busy=True)
        if code:
            return Outcome(said.rpartition("\n")[2] or f"the process ended with {code}")
        if said:
            log.warning("%s: %s", directory, said)
        return Outcome(None)

    def end(self) -> None:
        """End the process that runs, if one does, and start none any more. What it was doing is done again later."""
        with self._lock:
            self._ended = True
            process = self._process
        if process is not None:
            process.kill()  # whatever it was doing, a crash is what it is made for

    def _start(self, directory: Path, err: IO[bytes]) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._ended:
                return None
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
                _command(directory),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=err,
                env=_environment(),
                cwd="/",
            )
            return self._process


def _command(directory: Path) -> list[str]:
    # -P: the working directory, which holds the tool, is no place to import from.
    command = [sys.executable, "-P", "-m", "gateway.audit.sealing", str(directory.resolve()), str(os.getpid())]
    return [ionice, "-c", "3", *command] if (ionice := shutil.which("ionice")) else command


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return kept | {"PYTHONPATH": str(Path(gateway.__file__).parents[1])}


def _listen(process: "subprocess.Popen[bytes]", timeout: float, told: Callable[[Report], None]) -> bool:
    """Pass on what it reports until it ends. Whether it had to be ended because it took too long."""
    late = threading.Event()

    def end() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(timeout, end)
    timer.daemon = True
    timer.start()
    try:
        with process:
            for line in process.stdout or ():
                if line.endswith(b"\n"):  # ended in the middle, it may have left half a line
                    told(_REPORTS.decode(line))
    finally:
        timer.cancel()
    return late.is_set() and process.returncode != 0
