"""Space that is kept back, so that a full disk still takes the lines that say so."""

import os
from pathlib import Path


class Reserve:
    """A file of blocks that holds nothing. Freed when the log fails; made again, it proves that there is space."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size

    def create(self) -> None:
        """Hold the space.

        Raises:
            OSError: there is none; nothing is held.
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self._size)
        except OSError:
            self.free()
            raise
        finally:
            os.close(descriptor)

    def free(self) -> None:
        """Give the space back."""
        self._path.unlink(missing_ok=True)
