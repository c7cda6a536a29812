"""Checkpoints with the signatures of witnesses, as files: `witness/<size>.note`, the newest thousand."""

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

KEPT: Final = 1000
"""The newest one covers what all older ones covered; more than some are kept for the times in them only."""

_lock = threading.Lock()  # witnesses of one log sign the same checkpoint, each in a thread of its own


class WitnessedNotes:
    """The files of one log."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def add(self, size: int, note: str, line: str) -> None:
        """Keep a checkpoint with a witness's line on it, beside those of other witnesses.

        Raises:
            OSError: it cannot be kept.
        """
        with _lock:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            path = self._directory / f"{size:012d}.note"
            with suppress(FileNotFoundError):
                before = path.read_text()
                if before.partition("\n\n")[0] == note.partition("\n\n")[0]:
                    note = before
            name = line.split(" ")[1]
            others = [each for each in note.splitlines(keepends=True) if not each.startswith(f"\u2014 {name} ")]
            self._write(path, f"{''.join(others)}{line}\n")
            self._forget()

    def _write(self, path: Path, text: str) -> None:
        temporary = path.with_suffix(".tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)

    def _forget(self) -> None:
        for old in sorted(self._directory.glob("*.note"))[:-KEPT]:
            old.unlink(missing_ok=True)
