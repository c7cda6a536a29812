"""Compressed files, made once: one file on the disk for one version of Streamlit's front end.

    <directory>/streamlit-<version>-<digest>.pack

A line of JSON with the place of each compressed form, then the forms. The name has the version and the digest of the
files that it was made of, so that another version, or a changed file, never finds it. It is written under another
name and renamed, so there is a whole one or none.

Its first line has a digest of the rest, so that damage is seen when it is opened, and it is made anew. What is in it is
not believed even then: a compressed form is served only if it unpacks to exactly the installed file (`AssetStore`
looks when it reads one), so the worst that a foreign pack can do is to be of no use.
"""

import contextlib
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final, Self

from gateway.streamlit.assets_files import CODINGS, AssetFile, compress_best, compress_quickly, digest_of

_FORMAT: Final = 1
_HEAD_LIMIT: Final = 1024 * 1024  # bytes; 322 files need 40 kB
_PIECE: Final = 1024 * 1024
_ENTRIES = dict[str, dict[str, tuple[int, int]]]  # path -> coding -> first byte and length
SPACE: Final = 256 * 1024**2  # bytes that must be free: the record on the same disk comes first

Compress = Callable[[str, bytes], bytes]
Progress = Callable[[int, int], None]  # bytes done, bytes in all


def pack_name(files: Mapping[str, AssetFile]) -> str:
    """The name of the pack that these files would have. Reads them all."""
    return f"streamlit-{version('streamlit')}-{digest_of(files)[:16]}.pack"


@dataclass(frozen=True, slots=True)
class Pack:
    """An open pack. `read` gives what is written there, checked against nothing."""

    path: Path
    _descriptor: int
    _entries: _ENTRIES

    @classmethod
    def open(cls, path: Path) -> Self:
        """The pack at `path`. Reads all of it (40 ms for 19 MB).

        Raises:
            OSError: there is none, or it cannot be read.
            ValueError: it is not a whole pack, or it may have been written by somebody else: only files of ours and of
                root that nobody else can write are taken.
        """
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _check(os.fstat(descriptor))
            return cls(path, descriptor, _entries(descriptor))
        except BaseException:
            os.close(descriptor)
            raise

    def read(self, path: str, coding: str) -> bytes | None:
        """The compressed form of a file, or None when there is none: it would not be smaller."""
        first, length = self._entries.get(path, {}).get(coding, (0, 0))
        return os.pread(self._descriptor, length, first) if length else None

    def close(self) -> None:
        """Close it. `read` must not be called any more."""
        os.close(self._descriptor)


def _check(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("not a regular file")
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ValueError("somebody else can write it")


def _entries(descriptor: int) -> _ENTRIES:
    """Where each form lies in the open pack. Raises ValueError when the pack is not whole."""
    line, end, _ = os.pread(descriptor, _HEAD_LIMIT, 0).partition(b"\n")
    begins = len(line) + len(end)
    try:
        head = json.loads(line)
        whole = head["format"] == _FORMAT and head["sha256"] == _digest(descriptor, begins)
        entries: _ENTRIES = {
            path: {coding: (begins + int(first), int(length)) for coding, (first, length) in forms.items()}
            for path, forms in head["entries"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("not a pack") from error
    if not whole:
        raise ValueError("damaged")
    return entries


def _digest(descriptor: int, begins: int) -> str:
    found = hashlib.sha256()
    while piece := os.pread(descriptor, _PIECE, begins):
        found.update(piece)
        begins += len(piece)
    return found.hexdigest()


def build_pack(
    files: Mapping[str, AssetFile], directory: Path, *, workers: int, on_progress: Progress, quick: bool = False
) -> Path:
    """Compress all files as well as it goes and write the pack into `directory`, which is made when it is missing.

    Takes about 40 s of processor time, `quick` 2 s for 10 % more bytes. `workers` threads share it: the compressors let
    go of the interpreter. Older packs in the directory are removed.

    Raises:
        OSError: a file cannot be read, or the pack cannot be written; nothing has changed then.
    """
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    path = directory / pack_name(files)
    entries: _ENTRIES = {name: {} for name, file in files.items() if file.compressible}
    bodies: list[bytes] = []
    place = 0
    with ThreadPoolExecutor(workers, thread_name_prefix="assets-build") as executor:
        for name, coding, compressed in _compressed(files, executor, on_progress, quick=quick):
            entries[name][coding] = (place, len(compressed))
            bodies.append(compressed)
            place += len(compressed)
    digest = hashlib.sha256()
    for body in bodies:
        digest.update(body)
    head = {"format": _FORMAT, "sha256": digest.hexdigest(), "entries": entries}
    _write(path, [json.dumps(head, separators=(",", ":")).encode(), b"\n", *bodies])
    for other in directory.glob("streamlit-*.pack"):
        if other != path:
            other.unlink(missing_ok=True)
    return path


def _compressed(
    files: Mapping[str, AssetFile], executor: Executor, on_progress: Progress, *, quick: bool
) -> Iterator[tuple[str, str, bytes]]:
    """Every form that is smaller than its file."""
    # The biggest first: they take longest, and would otherwise keep one thread busy when the others have finished.
    ordered = sorted((file for file in files.values() if file.compressible), key=lambda file: -file.file.stat().st_size)
    total = sum(file.file.stat().st_size for file in ordered)
    jobs: list[tuple[AssetFile, Future[tuple[int, dict[str, bytes]]]]]
    jobs = [(file, executor.submit(_forms, file, compress_quickly if quick else compress_best)) for file in ordered]
    done = 0
    for file, job in jobs:
        size, forms = job.result()
        done += size
        on_progress(done, total)
        for coding, compressed in forms.items():
            yield file.path, coding, compressed


def _forms(file: AssetFile, compress: Compress) -> tuple[int, dict[str, bytes]]:
    body = file.file.read_bytes()
    forms = {coding: compress(coding, body) for coding in CODINGS}
    return len(body), {coding: compressed for coding, compressed in forms.items() if len(compressed) < len(body)}


def _write(path: Path, parts: list[bytes]) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    # Not a secret: what is in it is served to everybody. Readable for the user that an image runs as.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def has_space(directory: Path) -> bool:
    """Whether a pack can be written there without taking the room that the record needs."""
    free = os.statvfs(directory)
    return free.f_bavail * free.f_frsize >= SPACE
