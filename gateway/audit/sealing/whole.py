"""Files that are there complete or not at all, on the disk before they have their name."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from gateway.audit.segment import sync_directory

UNFINISHED: Final = ".tmp"


def unfinished(path: Path) -> Path:
    """The name that a file has while it is written. One that a crash has left is written over the next time."""
    return path.with_name(path.name + UNFINISHED)


@contextmanager
def written(path: Path, mode: int = 0o600) -> Iterator[IO[bytes]]:
    """A file to write, synced under its unfinished name at the end. It gets its own with `named`.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    temporary = unfinished(path)
    temporary.unlink(missing_ok=True)
    try:
        with temporary.open("xb") as file:
            os.fchmod(file.fileno(), mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def named(*paths: Path) -> None:
    """Give finished files their names, in this order, and make that durable."""
    for path in paths:
        unfinished(path).rename(path)
    sync_directory(paths[0].parent)


def replace(path: Path, data: bytes, mode: int = 0o600) -> None:
    """The file with these bytes: all of them on the disk, or what was there before.

    Raises:
        OSError: it cannot be written.
    """
    with written(path, mode) as file:
        file.write(data)
    named(path)


def remove(*paths: Path) -> None:
    """Remove files that may be there, in this order, and make that durable."""
    for path in paths:
        path.unlink(missing_ok=True)
    sync_directory(paths[0].parent)
