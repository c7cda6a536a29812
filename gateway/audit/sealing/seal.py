"""What is kept of a segment for ever: where it begins and ends, its signatures, the digests of its contents."""

from pathlib import Path
from typing import Final

import msgspec

from gateway.audit.directory import SegmentFiles
from gateway.audit.sealing.pack import Contents, Packed
from gateway.audit.sealing.whole import replace
from gateway.audit.statements import DamagedLogError, read_commit, root_of

FORMAT: Final = "gateway-audit-seal/1"
MODE: Final = 0o400


class Pruned(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """That the events are gone: when, why, and which event of the log says so."""

    time: int
    because: str
    sequence: int


class Bytes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a file is, and its SHA-256."""

    bytes: int
    sha256: str

    @classmethod
    def of(cls, contents: Contents) -> "Bytes":
        """As the pass over the segment has found it."""
        return cls(contents.bytes, contents.sha256)


class Seal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The seal of the events from `start` up to, and without, `end`. Times in milliseconds.

    `header` and `commit` are lines of the segment without their newlines: with them the log is verified across a
    segment whose events are gone. `first_time` and `last_time` are the earliest and the latest time of its events, and
    None in a segment without any. `jsonl` is what the sealed file, `zst`, decompresses to.
    """

    seal: str
    origin: str
    start: int
    end: int
    created: int
    sealed: int
    first_time: int | None
    last_time: int | None
    header: str
    commit: str
    jsonl: Bytes
    zst: Bytes
    pruned: Pruned | None = None

    @property
    def root(self) -> str:
        """The tree head at `end`, base64."""
        commit = read_commit(self.commit.encode())
        return commit.root if commit is not None and root_of(commit) else ""


_SEALS: Final = msgspec.json.Decoder(Seal)


def seal_of(packed: Packed, now: int) -> Seal:
    """The seal of a segment that was packed now, in milliseconds."""
    header = packed.header
    return Seal(
        FORMAT,
        header.origin,
        header.start,
        packed.end,
        header.created,
        now,
        packed.first_time,
        packed.last_time,
        packed.header_line.rstrip(b"\n").decode(),
        packed.commit_line.rstrip(b"\n").decode(),
        Bytes.of(packed.plain),
        Bytes.of(packed.packed),
    )


def read_seal(path: Path) -> Seal:
    """The seal in a file.

    Raises:
        DamagedLogError: it is none, or of another version.
        OSError: it cannot be read; FileNotFoundError when there is none.
    """
    try:
        seal = _SEALS.decode(path.read_bytes())
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DamagedLogError(f"{path}: the seal cannot be read: {error}") from None
    if seal.seal != FORMAT:
        raise DamagedLogError(f"{path}: a seal of the format {seal.seal!r}, which this version does not know")
    if path.name != f"seg-{seal.start:012d}.seal":
        raise DamagedLogError(f"{path}: the seal of the segment that begins with sequence {seal.start}")
    return seal


def header_line(files: SegmentFiles) -> bytes:
    """The header of a segment as it stands in its file, or of a sealed or pruned one in its seal.

    Raises:
        DamagedLogError: there is none.
        OSError: it cannot be read.
    """
    if files.lines.exists():
        with files.lines.open("rb") as file:
            line = file.readline(64 * 1024)
    else:
        line = read_seal(files.seal).header.encode()
    return line.rstrip(b"\n")


def write_seal(path: Path, seal: Seal) -> None:
    """Put the seal in its place: complete and on the disk, or not at all.

    Raises:
        OSError: it cannot be written.
    """
    replace(path, msgspec.json.encode(seal) + b"\n", MODE)
