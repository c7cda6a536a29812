"""Header and commit lines as they are read back, and the error that says that a log is not what it was."""

from base64 import b64decode
from pathlib import Path
from typing import Final

import msgspec

from gateway.audit.chain import Commit
from gateway.audit.note import ROLL, checkpoint_text, is_signed
from gateway.audit.segment import FORMAT, Header
from gateway.audit.tree import Tree
from gateway.errors import LedgerError

DAMAGED: Final = "later commits are signed, so what stands there was acknowledged"
_HINT: Final = (
    "keep a copy of the directory for inquiry; restore the missing bytes from a backup, "
    "or set GATEWAY_AUDIT__ON_DAMAGE=set-aside to begin a new log beside this one"
)
_HEADERS: Final = msgspec.json.Decoder(Header)
_COMMITS: Final = msgspec.json.Decoder(Commit)
_LOGS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class DamagedLogError(LedgerError):
    """Something that was acknowledged is missing or changed. The log is left as it was found."""

    def __init__(self, message: str) -> None:
        super().__init__(message, _HINT)


def read_header(path: Path, data: bytes) -> Header:
    """The header at the beginning of a segment's bytes.

    Raises:
        DamagedLogError: it is none.
        LedgerError: it is of a version that we do not know.
    """
    line = data[: data.find(b"\n")] if b"\n" in data[: 64 * 1024] else b""
    try:
        written = msgspec.json.decode(_LOGS.decode(line)["log"], type=str)
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError):
        raise DamagedLogError(f"{path}: the first line is not a header of the log") from None
    if written != FORMAT:
        raise LedgerError(
            f"{path}: the log has the format {written!r}, which this version does not know",
            "move the directory to another place: a new log begins, and the version that wrote the old one reads it",
        )
    try:
        return _HEADERS.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DamagedLogError(f"{path}: the header cannot be read: {error}") from None


def read_commit(line: bytes) -> Commit | None:
    """The commit of a line without its newline; None when it is none."""
    if not line.startswith(b'{"cp":'):
        return None
    try:
        return _COMMITS.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def root_of(commit: Commit) -> bytes:
    """The 32 bytes of the root; empty when the line holds none."""
    try:
        return b64decode(commit.root, validate=True)
    except ValueError:
        return b""


def is_signed_commit(header: Header, commit: Commit) -> bool:
    """Whether the commit bears the signature of its segment's key."""
    return is_signed(header.vkey, checkpoint_text(header.origin, commit.cp, root_of(commit)), commit.sig)


def tree_of(path: Path, header: Header) -> Tree:
    """The tree of all events before the segment, as its header states it.

    Raises:
        DamagedLogError: what it states is no tree.
    """
    try:
        stack = tuple(b64decode(each, validate=True) for each in header.stack)
        return Tree(header.start, stack)
    except ValueError:
        raise DamagedLogError(f"{path}: the header does not hold the tree of {header.start} events") from None


def check_origin(origin: str) -> None:
    """Raises LedgerError when a log may not be called so: a checkpoint's lines must be unmistakable."""
    if origin == ROLL or "+" in origin or not origin.isprintable() or not origin or " " in origin:
        raise LedgerError(f"{origin!r} cannot be the origin of a log: no spaces, no `+`, one line")
    if len(origin.encode()) > 255:
        raise LedgerError(f"{origin[:40]!r}… cannot be the origin of a log: more than 255 bytes")
