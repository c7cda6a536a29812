"""Starting the process that seals, waiting for it, and ending it: by its own id, and with nothing of our secrets."""

import logging
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

import gateway
from gateway.audit.sealing.child import EXIT_BUSY, Report

log = logging.getLogger("gateway.audit")

_PASSED_ON: Final = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "TZ")
_REPORTS: Final = msgspec.json.Decoder(Report)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it: what was sealed, and what went wrong (None: nothing)."""

    reports: tuple[Report, ...]
    problem: str | None
    busy: bool = False


class SealingProcess:
    """Runs the process for one log at a time. `end` may be called by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = False

    def run(self, directory: Path, timeout: float) -> Outcome:
        """Seal what waits in this log, for at most `timeout` seconds. What was sealed until then stays sealed."""
        try:
            process = self._start(directory)
        except OSError as error:
            return Outcome((), f"the process could not be started: {error.strerror}")
        if process is None:
            return Outcome((), None)
        try:
            out, err = process.communicate(timeout=timeout)
            problem = _problem(process.returncode, err)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            problem = f"not done after {timeout:.0f} seconds"
        finally:
            self._process = None
        if not problem and err.strip():
            log.warning("%s: %s", directory, err.decode("utf-8", "replace").strip())
        ended = self._ended and process.returncode < 0
        return Outcome(_reports(out), None if ended else problem, process.returncode == EXIT_BUSY)

    def end(self) -> None:
        """End the process that runs, if one does, and start none any more. What it was doing is done again later."""
        with self._lock:
            self._ended = True
            process = self._process
        if process is not None:
            process.kill()  # whatever it was doing, a crash is what it is made for

    def _start(self, directory: Path) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._ended:
                return None
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
                _command(directory),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
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


def _problem(code: int, err: bytes) -> str | None:
    if code in (0, EXIT_BUSY):
        return None
    lines = err.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"the process ended with {code}"


def _reports(out: bytes) -> tuple[Report, ...]:
    # Ended in the middle, it may have left half a line.
    return tuple(_REPORTS.decode(line) for line in out[: out.rfind(b"\n") + 1].splitlines())
