"""The file of an export, and the manifest beside it that says what it is."""

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from gateway.audit.export import Span, Tally
from gateway.audit.formats import Format
from gateway.audit.segment import sync_directory

MANIFEST: Final = "gateway-export/1"


@contextmanager
def new_file(path: Path) -> Iterator[tuple[IO[bytes], Path]]:
    """A file to write, 0600, under another name beside its own, and that name. It is removed unless it was renamed.

    Raises:
        OSError: it cannot be made or written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file, temporary
    finally:
        temporary.unlink(missing_ok=True)


def finish(file: IO[bytes], temporary: Path, path: Path) -> None:
    """Give the file its name, once every byte of it is on the disk.

    Raises:
        OSError: it cannot be done.
    """
    file.flush()
    os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)


def manifest_path(path: Path) -> Path:
    """Where the manifest of an export is."""
    return path.with_name(f"{path.name}.manifest.json")


def manifest(
    path: Path,
    form: Format,
    tally: Tally,
    spans: Sequence[Span],
    *,
    query: Mapping[str, object],
    time: str,
    version: str,
    recorded: bool,
) -> dict[str, object]:
    """What the file is: enough to ask for it again, and to hold it against the log it was taken from.

    For each log, `end` is the number of events that the export could have taken and `checkpoint` the signed note that
    covers them; `first`, `last` (sequences) and `events` are what it did take.
    """
    return {
        "manifest": MANIFEST,
        "file": path.name,
        "format": form.name,
        "media_type": form.media_type,
        "bytes": tally.bytes,
        "sha256": tally.sha256,
        "events": tally.events,
        "first_time": tally.first_time,
        "last_time": tally.last_time,
        "query": dict(query),
        "logs": [_log(span, tally) for span in spans],
        "time": time,
        "gateway": version,
        "recorded": recorded,
    }


def _log(span: Span, tally: Tally) -> dict[str, object]:
    first, last, events = tally.logs.get(span.origin, (None, None, 0))
    taken = {"first": first, "last": last, "events": events}
    return {"origin": span.origin, "end": span.end, **taken, "checkpoint": span.note}
