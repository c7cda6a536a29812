"""The stand-alone verifier of the record: this one file, Python 3.11 or newer, and the package `cryptography`.

It shares no code with the gateway that wrote the record, so that a reviewer who has read this page need not trust it:

    python verifier.py log DIRECTORY --key VKEY --anchor checkpoint-of-last-month.txt

What is checked, in the order of the sections below:

    TREE      events are the leaves of one RFC 6962 Merkle tree; a commit line states its root
    NOTES     commits and checkpoints are C2SP signed notes (Ed25519); a key is known by its verifier key ("vkey")
    SEGMENT   each file holds a header, events in sequence, and commits that its own key, and no other, has signed
    LOG       each segment continues the tree of the one before, whose key has signed for its key; nothing is missing
    PROOFS    one event alone (c2sp.org/tlog-proof), or that one checkpoint continues another

What no check here can find: that a whole log was rolled back to an older state, or that its newest segment was written
anew by somebody who has its key. Give an anchor: any checkpoint that was kept where the log's host could not change it.
"""

import argparse
import contextlib
import hashlib
import importlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, Final, Literal, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT: Final = "gateway-audit/2"
SEAL: Final = "gateway-audit-seal/1"
ROLL: Final = "streamlit-gateway.key-roll/1"
PROOF: Final = "c2sp.org/tlog-proof@v1"

# ---- FINDINGS: stable ids, explained in docs/findings.md ----------------------------------------------------------

UNKNOWN_LINE: Final = "GW101"
CHANGED: Final = "GW102"
OUT_OF_SEQUENCE: Final = "GW103"
NOT_SIGNED: Final = "GW104"
BAD_HEADER: Final = "GW105"
NOT_CONTINUED: Final = "GW106"
MISSING: Final = "GW107"
KEY_NOT_VOUCHED: Final = "GW108"
OTHER_FIRST_KEY: Final = "GW109"
BAD_SEAL: Final = "GW110"
TWICE: Final = "GW111"
NOT_ANNOUNCED: Final = "GW112"
CUT: Final = "GW113"
BAD_CHECKPOINT: Final = "GW114"
CONTRADICTED: Final = "GW115"
NOT_COMMITTED: Final = "GW116"
UNREADABLE: Final = "GW117"
BAD_TREE_FILE: Final = "GW118"
NO_SUCH_LOG: Final = "GW119"


class UnusableError(Exception):
    """The verifier cannot do its work: a wrong argument, or something that is not installed. Nothing is verified."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be. `line` counts from 1; `sequences` are the first and last event."""

    id: str
    file: str
    message: str
    line: int | None = None
    sequences: tuple[int, int] | None = None

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{self.id} {printable(place)}: {printable(self.message)}"


def printable(text: str) -> str:
    """The text on one line, control characters written out: names and messages quote what stands in files."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


# ---- TREE: RFC 6962 §2.1 and RFC 9162 §2.1 ------------------------------------------------------------------------

EMPTY_ROOT: Final = hashlib.sha256().digest()


def leaf_hash(line: bytes) -> bytes:
    """The hash of an event: of its line without the newline."""
    return hashlib.sha256(b"\0" + line).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(b"\1" + left + right).digest()


@dataclass(slots=True)
class Tree:
    """The tree of the first `size` leaves: the hashes of its greatest complete subtrees, from left to right.

    `completed` collects, for the levels it has, each subtree of 2^level leaves that becomes complete.
    """

    size: int = 0
    peaks: list[bytes] = field(default_factory=list)
    completed: dict[int, list[bytes]] = field(default_factory=dict)

    def add(self, leaves: Sequence[bytes]) -> None:
        """Add leaf hashes at the right, one pass for each level."""
        row, level, before, peaks = list(leaves), 0, self.size, []
        while row or before >> level:
            if level in self.completed:
                self.completed[level].extend(row)
            if before >> level & 1:  # a subtree of this level waits for its right sibling
                row.insert(0, self.peaks.pop())
            if len(row) % 2:
                peaks.append(row.pop())
            sha, pairs = hashlib.sha256, iter(row)
            row = [sha(b"\1" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]
            level += 1
        self.size += len(leaves)
        self.peaks = peaks[::-1]

    @property
    def root(self) -> bytes:
        """The tree head."""
        head = self.peaks[-1] if self.peaks else EMPTY_ROOT
        for left in self.peaks[-2::-1]:
            head = node_hash(left, head)
        return head


def root_of_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The tree head in which this leaf hash stands at this index (RFC 9162 §2.1.3.2). Raises ValueError."""
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} has no event {index}")
    at, last, root = index, size - 1, leaf
    for each in path:
        if last == 0:
            raise ValueError("the proof has too many hashes")
        if at & 1 or at == last:
            root = node_hash(each, root)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            root = node_hash(root, each)
        at, last = at >> 1, last >> 1
    if last:
        raise ValueError("the proof has too few hashes")
    return root


def is_consistent(old_size: int, old_root: bytes, new_size: int, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether the greater tree begins with the smaller one (RFC 9162 §2.1.4.2)."""
    if old_size == 0:
        return not path and old_root == EMPTY_ROOT
    if old_size == new_size:
        return not path and old_root == new_root
    if old_size > new_size:
        return False
    hashes = [old_root, *path] if old_size.bit_count() == 1 else list(path)
    at, last = old_size - 1, new_size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    if not hashes:
        return False
    old = new = hashes[0]
    for each in hashes[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = node_hash(each, old), node_hash(each, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, each)
        at, last = at >> 1, last >> 1
    return last == 0 and old == old_root and new == new_root


# ---- NOTES: c2sp.org/signed-note and c2sp.org/tlog-checkpoint ------------------------------------------------------


def base64(text: str, length: int | None = None) -> bytes:
    """The bytes of standard base64 in its one canonical form, of this length. Raises ValueError."""
    raw = b64decode(text.encode("ascii"), validate=True)
    if b64encode(raw).decode() != text or length not in (None, len(raw)):
        raise ValueError("not the base64 that was expected")
    return raw


def number(text: str) -> int:
    """A decimal number without leading zeros, below 2^63. Raises ValueError."""
    if not re.fullmatch(r"0|[1-9][0-9]{0,18}", text):
        raise ValueError(f"{text[:40]!r} is not a size")
    return int(text)


@dataclass(frozen=True, slots=True)
class Key:
    """A verifier key, `name+key id+base64(1 ‖ Ed25519 public key)`. The name is the origin of the log."""

    vkey: str
    name: str
    id: bytes
    public: bytes

    @classmethod
    def parse(cls, vkey: str) -> "Key":
        """Raises ValueError for anything but an Ed25519 key with the id that its name and bytes give."""
        name, _, rest = vkey.partition("+")
        stated, _, encoded = rest.partition("+")
        raw = base64(encoded, 33)
        expected = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
        if raw[0] != 1 or stated != expected.hex() or not name or re.search(r"\s", name):
            raise ValueError("not an Ed25519 verifier key")
        return cls(vkey, name, expected, raw[1:])

    def has_signed(self, text: bytes, signature: str) -> bool:
        """Whether the signature, base64 of key id and signature, is this key's on this text."""
        try:
            raw = base64(signature, 68)
            Ed25519PublicKey.from_public_bytes(self.public).verify(raw[4:], text)
        except (ValueError, InvalidSignature):
            return False
        return raw[:4] == self.id


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed statement: the log `origin` has `size` events, and this tree head. `source` says where it was found."""

    origin: str
    size: int
    root: bytes
    text: bytes
    signatures: tuple[tuple[str, str], ...]
    source: str

    @classmethod
    def parse(cls, note: str, source: str) -> "Checkpoint":
        """Raises ValueError when it is none. Cosignatures of witnesses are kept, and looked at by nobody here."""
        text, separator, rest = note.rpartition("\n\n")
        lines = text.split("\n")
        signatures = [re.fullmatch("\u2014 ([^ +]+) ([A-Za-z0-9+/=]+)", each) for each in rest.split("\n")[:-1]]
        control = re.search("[\0-\x09\x0b-\x1f]", note)
        if not separator or control or not note.endswith("\n") or not signatures or len(lines) < 3 or not lines[0]:
            raise ValueError("no checkpoint: expected origin, size, root, an empty line and signatures")
        found = tuple((each[1], each[2]) for each in signatures if each)
        if len(found) != len(signatures):
            raise ValueError("no checkpoint: a signature line has not the form of one")
        return cls(lines[0], number(lines[1]), base64(lines[2], 32), text.encode() + b"\n", found, source)

    def is_signed_by(self, key: Key) -> bool:
        """Whether the key has signed it. One wrong signature under its name and id spoils the whole note."""
        names = [(name, _key_id(signature)) for name, signature in self.signatures]
        ours = [each[1] for each, name in zip(self.signatures, names, strict=True) if name == (key.name, key.id)]
        return self.origin == key.name and bool(ours) and all(key.has_signed(self.text, each) for each in ours)


def _key_id(signature: str) -> bytes:
    try:
        return base64(signature)[:4]
    except ValueError:
        return b""


def checkpoint_text(origin: str, size: int, root: bytes) -> bytes:
    """What a commit's signature is about: the body of a checkpoint."""
    return f"{origin}\n{size}\n{b64encode(root).decode()}\n".encode()


def read_checkpoints(path: Path, *, torn: bool = False) -> list[Checkpoint]:
    """Every checkpoint of a file in which they stand one after the other. `torn`: half a one may follow the last.

    Raises ValueError, OSError.
    """
    text = path.read_bytes().decode(errors="replace" if torn else "strict")
    if torn:
        text = text[: max((each.end() for each in re.finditer("^\u2014 .*\n", text, re.MULTILINE)), default=0)]
    notes = re.split("(?<=\n)\n*(?=[^\n\u2014][^\n]*\n[0-9]+\n[A-Za-z0-9+/]{43}=\n)", text)
    return [Checkpoint.parse(note.rstrip("\n") + "\n", str(path)) for note in notes if note.strip()]


# ---- SEGMENT: one file of the log ----------------------------------------------------------------------------------

_LONGEST: Final = 1024 * 1024  # bytes of a line; the gateway writes none of more than 64 KiB
_BLOCK: Final = 256 * 1024
_FOLD: Final = 4096  # leaves that wait before they are added to the tree: adding many at once is cheap
_MOST: Final = 10  # findings of one kind about a segment: more would only repeat it
_TREE_LEVELS: Final = (8, 16, 24)
_COMMIT: Final = re.compile(
    rb'\{"cp":(0|[1-9][0-9]{0,18}),"root":"([A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=)","sig":"([A-Za-z0-9+/]{91}=)"\}\n'
)
_SEQUENCE: Final = re.compile(rb'\{"metadata":\{"sequence":(0|[1-9][0-9]{0,18}),')
_PRUNED_EVENT: Final = b'"event_code":"audit.pruned"'


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a segment. `peaks` is the tree of everything before it."""

    origin: str
    start: int
    peaks: tuple[bytes, ...]
    vkey: str
    roll: str | None
    line: bytes

    @classmethod
    def parse(cls, line: bytes) -> "Header":
        """Raises ValueError when it is none."""
        try:
            fields = json.loads(line, object_pairs_hook=list)
            names = [name for name, _ in fields]
            values = dict(fields)
            if names != ["log", "origin", "start", "created", "stack", "vkey", "roll"] or values["log"] != FORMAT:
                raise ValueError(f"not a header of the format {FORMAT}")
            origin, start, vkey, roll = (values[name] for name in ("origin", "start", "vkey", "roll"))
            peaks = tuple(base64(each, 32) for each in values["stack"])
            if type(start) is not int or not 0 <= start < 2**63 or len(peaks) != start.bit_count():
                raise ValueError("the header does not hold the tree of what was before")
            if Key.parse(vkey).name != origin:
                raise ValueError("the header names a key of another log")
        except (TypeError, AttributeError, RecursionError) as error:
            raise ValueError("the first line is not a header") from error
        return cls(origin, start, peaks, vkey, roll if roll is None else str(roll), line)

    @property
    def root(self) -> bytes:
        """The tree head of everything before the segment."""
        return Tree(self.start, list(self.peaks)).root

    def vouches_for(self, after: "Header") -> bool:
        """Whether the key of this segment has signed for the tree and the key with which the next one begins."""
        root = b64encode(after.root).decode()
        text = f"{ROLL}\n{self.origin}\n{after.start}\n{root}\n{after.vkey}\n".encode()
        return after.origin == self.origin and Key.parse(self.vkey).has_signed(text, after.roll or "")


@dataclass(frozen=True, slots=True)
class Seal:
    """What a sealed segment is said to hold. Nobody has signed it: it is compared with what is signed."""

    start: int
    end: int
    origin: str
    header: bytes
    commit: bytes
    times: tuple[int | None, int | None]  # of its earliest and its latest event, in milliseconds
    plain: tuple[int, str]
    packed: tuple[int, str]
    pruned: dict[str, Any] | None

    @classmethod
    def read(cls, path: Path) -> "Seal":
        """Raises ValueError, OSError."""
        try:
            values = json.loads(path.read_bytes())
            header, commit = ((values[name].rstrip("\n") + "\n").encode() for name in ("header", "commit"))
            plain, packed = ((each["bytes"], each["sha256"]) for each in (values["jsonl"], values["zst"]))
            times, pruned = (values["first_time"], values["last_time"]), values["pruned"]
            if values["seal"] != SEAL or not (pruned is None or isinstance(pruned, dict)):
                raise ValueError(f"not a seal of the format {SEAL}")
            if not all(each is None or type(each) is int for each in times):
                raise ValueError("not a seal: a time is not a number")
            start, end = number(str(values["start"])), number(str(values["end"]))
            return cls(start, end, str(values["origin"]), header, commit, times, plain, packed, pruned)
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError("not a seal: something is missing, or of another type") from error


@dataclass(frozen=True, slots=True)
class Task:
    """A segment to check. `sizes` are those at which the tree head is wanted, for anchors."""

    directory: Path
    start: int
    live: bool
    every_commit: bool
    sizes: tuple[int, ...] = ()
    announcements: bool = False

    def path(self, suffix: str) -> Path:
        """One of the files of the segment."""
        return self.directory / f"seg-{self.start:012d}{suffix}"


@dataclass(frozen=True, slots=True)
class Segment:
    """What was found in a segment. `end` is None when it cannot be told what it holds; `roots` are computed tree heads.

    `waiting` counts the events after the last commit: they were never acknowledged.
    """

    start: int
    kind: Literal["plain", "sealed", "pruned", "unusable"]
    file: str
    header: Header | None = None
    end: int | None = None
    roots: tuple[tuple[int, bytes], ...] = ()
    times: tuple[int | None, int | None] = (None, None)
    waiting: int = 0
    announcements: tuple[tuple[int, dict[str, Any]], ...] = ()
    pruned: Seal | None = None
    findings: tuple[Finding, ...] = ()


class _BrokenError(Exception):
    """What follows in this file cannot be judged."""


class _Reader:
    """Reads one segment line by line. Nothing of an event is parsed: it is hashed, and its sequence compared."""

    def __init__(self, task: Task, file: str) -> None:
        self.task, self.file = task, file
        self.header: Header | None = None
        self.key: Key | None = None
        self.commit: tuple[int, bytes, bytes, int] | None = None  # size, root and signature in base64, line
        self.commit_line = b""
        self.sequence = task.start
        self.others = 0  # lines that are no events
        self.leaves: list[bytes] = []
        self.tree = Tree()
        self.roots: dict[int, bytes] = {}
        self.sizes = sorted(task.sizes)
        self.findings: list[Finding] = []
        self.unsigned: list[tuple[int, int, int]] = []  # commits whose signature does not hold: line, first event, size
        self.times: tuple[int | None, int | None] = (None, None)
        self.stopped = False
        self.announcements: list[tuple[int, dict[str, Any]]] = []

    def read(self, file: IO[bytes]) -> bool:
        """Read it all. True when every line is in its place and the last commit is what the events give."""
        lines: Iterator[bytes] = iter(partial(file.readline, _LONGEST), b"")
        if self.task.announcements:
            lines = self._noticing(lines)
        try:
            self._events(lines)
            self._end()
        except _BrokenError:
            return False
        return True

    def _events(self, lines: Iterator[bytes]) -> None:
        sequence, add, sha = self.sequence, self.leaves.append, hashlib.sha256
        line = first = last = b""
        for line in lines:
            if line.startswith(b'{"metadata":{"sequence":%d,' % sequence):
                add(sha(b"\0" + line[:-1]).digest())
                sequence += 1
                first, last = first or line, line
            else:
                self.sequence = sequence
                self._statement(line)
        self.sequence, self.times = sequence, (_time(first), _time(last))
        if not line.endswith(b"\n") and line.startswith(b'{"metadata":{"sequence":%d,' % (sequence - 1)):
            self.leaves.pop()  # torn, and taken for an event
            self.sequence -= 1
            self._torn(line)

    def _statement(self, line: bytes) -> None:
        self.others += 1
        if self.header is None:
            self._header(line)
        elif found := _COMMIT.fullmatch(line):
            self._commit(int(found[1]), found[2], found[3])
            self.commit_line = line
        elif self.commit is None:
            self._stop(BAD_HEADER, "the header is not followed by a commit for what was before the segment")
        elif found := _SEQUENCE.match(line):
            self._misplaced(int(found[1]))
        elif not line.endswith(b"\n") and len(line) < _LONGEST:
            self._torn(line)
        else:
            self.note(UNKNOWN_LINE, "neither an event nor a commit: the gateway does not write such a line", here=True)

    def _header(self, line: bytes) -> None:
        try:
            header = Header.parse(line)
        except ValueError as error:
            self._stop(BAD_HEADER, str(error))
        if header.start != self.task.start:
            self._stop(BAD_HEADER, f"the segment begins with event {header.start}, and its file has another name")
        self.header, self.key = header, Key.parse(header.vkey)
        self.tree = Tree(header.start, list(header.peaks), {level: [] for level in _TREE_LEVELS})
        self.roots[header.start] = self.tree.root

    def _commit(self, size: int, root: bytes, signature: bytes) -> None:
        before, self.commit = self.commit, (size, root, signature, self.line)
        if before is None and self.sequence != self.task.start:
            self._stop(BAD_HEADER, "the header is not followed by a commit for what was before the segment")
        if size != self.sequence:
            self._stop(OUT_OF_SEQUENCE, f"a commit for {size} events, where the log has {self.sequence}")
        if before is None:
            self._check_commit(self.task.start)
        elif before[0] == size:
            self.note(UNKNOWN_LINE, "a commit that adds nothing: the gateway does not write such a line", here=True)
        elif self.task.every_commit or len(self.leaves) >= _FOLD:
            self._fold()
            if self.task.every_commit:
                self._check_commit(before[0])

    def _check_commit(self, first: int) -> bool:
        """Whether the last commit is signed, and for these events."""
        assert self.commit and self.header and self.key  # noqa: S101 - for the type checker
        size, root, line = self.commit[0], b64decode(self.commit[1]), self.commit[3]
        signed = self.key.has_signed(checkpoint_text(self.header.origin, size, root), self.commit[2].decode())
        if not signed:
            self.unsigned.append((line, first, size))
        elif root != self.tree.root:
            if first == size:
                self._stop(BAD_HEADER, "the tree that the header states is not the one that its first commit signs for")
            lines = f"lines {line - (size - first)} to {line - 1}"
            message = f"events {first} to {size - 1} ({lines}) are not those that were signed for"
            self.note(CHANGED, message, line=line - (size - first), sequences=(first, size - 1))
            raise _BrokenError
        return signed

    def _fold(self) -> None:
        """Add the events that wait to the tree, stopping where a tree head is wanted."""
        while self.sizes and self.sizes[0] <= self.tree.size + len(self.leaves):
            count = self.sizes.pop(0) - self.tree.size
            self.tree.add(self.leaves[:count])
            del self.leaves[:count]
            self.roots[self.tree.size] = self.tree.root
        self.tree.add(self.leaves)
        self.leaves.clear()

    def _end(self) -> None:
        if self.header is None or self.commit is None:
            self._stop(BAD_HEADER, "the segment has no header, or no commit after it")
        waiting = self.sequence - self.commit[0]
        after = self.leaves[len(self.leaves) - waiting :]
        del self.leaves[len(self.leaves) - waiting :]
        self._fold()
        self.leaves.extend(after)
        unchecked = not self.task.every_commit and self.commit[0] > self.task.start
        if unchecked and not self._check_commit(self.task.start):
            raise _BrokenError
        if self.unsigned:
            line, first, size = self.unsigned[0]
            message = f"the commit of {size} events is not signed by the key of this segment"
            more = f", nor are {len(self.unsigned) - 1} after it" if len(self.unsigned) > 1 else ""
            self.note(NOT_SIGNED, message + more, line=line, sequences=(first, max(first, size - 1)))
            if self.unsigned[-1][0] == self.commit[3]:
                raise _BrokenError
        if waiting and not self.task.live:
            message = f"{waiting} events after the last commit, in a segment that is complete"
            self.note(NOT_COMMITTED, message, line=self.commit[3] + 1, sequences=(self.commit[0], self.sequence - 1))
        self.roots[self.tree.size] = self.tree.root

    def _misplaced(self, found: int) -> NoReturn:
        if found > self.sequence:
            message = f"event {self.sequence} is missing: event {found} stands in its place"
        else:
            message = f"event {found} stands where {self.sequence} should: inserted, repeated or moved"
        self._stop(OUT_OF_SEQUENCE, message, sequences=(min(found, self.sequence), max(found, self.sequence)))

    def _torn(self, line: bytes) -> None:
        if not self.task.live:
            self.note(NOT_COMMITTED, f"{len(line)} bytes of an incomplete line, in a segment that is complete")

    def _noticing(self, lines: Iterator[bytes]) -> Iterator[bytes]:
        for line in lines:
            if line.find(_PRUNED_EVENT, 0, 2048) >= 0:
                with contextlib.suppress(ValueError, TypeError, LookupError, AttributeError, RecursionError):
                    event = json.loads(line)
                    if event["metadata"]["event_code"] == "audit.pruned":
                        details = dict(event["unmapped"]["gateway"]["details"])
                        self.announcements.append((int(event["metadata"]["sequence"]), details))
            yield line

    @property
    def line(self) -> int:
        return self.sequence - self.task.start + self.others

    def note(
        self,
        kind: str,
        message: str,
        *,
        here: bool = False,
        line: int | None = None,
        sequences: tuple[int, int] | None = None,
    ) -> None:
        """Keep a finding about this file, unless there are many of its kind already."""
        if sum(each.id == kind for each in self.findings) < _MOST:
            self.findings.append(Finding(kind, self.file, message, self.line if here else line, sequences))

    def _stop(self, kind: str, message: str, *, sequences: tuple[int, int] | None = None) -> NoReturn:
        self.stopped = True
        self.note(kind, message, here=True, sequences=sequences)
        raise _BrokenError


class _Contents(io.RawIOBase):
    """A file that is counted, and hashed if so wished, while it is read."""

    def __init__(self, file: IO[bytes], *, hashing: bool) -> None:
        self.file, self.hashing, self.sha256, self.size = file, hashing, hashlib.sha256(), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - typeshed has no better word for it here
        data = self.file.read(len(buffer))
        buffer[: len(data)] = data
        self.size += len(data)
        if self.hashing:
            self.sha256.update(data)
        return len(data)

    @property
    def stated(self) -> tuple[int, str]:
        """Size and SHA-256 of what was read."""
        return self.size, self.sha256.hexdigest()


@contextlib.contextmanager
def unpacked(path: Path) -> Iterator[IO[bytes]]:
    """The contents of a zstd file, with whatever is here to read it.

    Raises:
        ValueError: it is none, or it is damaged.
        UnusableError: nothing here can read zstd.
    """
    module, program = _module("compression.zstd") or _module("zstandard"), shutil.which("zstd")
    if module:
        try:
            with path.open("rb") as packed:
                if module.__name__ == "zstandard":
                    yield module.ZstdDecompressor().stream_reader(packed, read_across_frames=True)
                else:  # Python 3.14
                    yield module.ZstdFile(packed)
        except (module.ZstdError, EOFError) as error:
            raise ValueError(str(error)) from error
    elif program:
        with subprocess.Popen([program, "-dcq", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:  # noqa: S603
            assert process.stdout and process.stderr  # noqa: S101 - for the type checker
            yield process.stdout
            if process.stdout.read(1):  # we have seen enough
                process.kill()
            elif message := process.stderr.read().decode(errors="replace").strip():
                raise ValueError(message)
    else:
        raise UnusableError(
            f"{path}: to read sealed segments, use Python 3.14, `pip install zstandard`, or install zstd"
        )


def _module(name: str) -> Any:  # noqa: ANN401 - one of two modules that may not be there
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def check_segment(task: Task) -> Segment:
    """Check one segment for itself: whatever is there of it.

    Raises:
        UnusableError: it is sealed, and nothing here can read zstd.
    """
    for _ in range(3):
        try:
            return _check_what_is_there(task)
        except FileNotFoundError:  # it was sealed, or pruned, between two looks: look again
            task = replace(task, live=False)
        except OSError as error:
            name = Path(error.filename or task.path(".jsonl")).name
            return _unusable(task, Finding(UNREADABLE, name, f"cannot be read: {error.strerror or error}"))
    return _unusable(task, Finding(MISSING, task.path(".jsonl").name, "went away while it was to be read"))


def _check_what_is_there(task: Task) -> Segment:
    plain, packed, seal, wrong = task.path(".jsonl"), task.path(".jsonl.zst"), None, None
    try:
        seal = Seal.read(task.path(".seal"))
    except FileNotFoundError:
        if not plain.exists():
            wrong = Finding(BAD_SEAL, packed.name, "a sealed segment without its seal")
    except (OSError, ValueError) as error:
        wrong = Finding(BAD_SEAL, task.path(".seal").name, f"cannot be read: {error}")
    if plain.exists():
        found = _check_file(task, plain, None)
        if packed.exists():  # the gateway is sealing it, or was, when it crashed
            found = _check_both(found, _check_file(task, packed, seal))
    elif packed.exists():
        found = _check_file(task, packed, seal)
    elif seal and seal.pruned is not None:
        found = _check_pruned(task, seal)
    else:
        found = _unusable(task, Finding(MISSING, packed.name, "is missing, and no seal says that it was pruned"))
    return _with(found, wrong) if wrong else found


def _check_both(plain: Segment, packed: Segment) -> Segment:
    """A segment that is there in both forms: each must be sound, and they must hold the same events."""
    same = (plain.header, plain.end, dict(plain.roots).get(plain.end or 0)) == (
        packed.header,
        packed.end,
        dict(packed.roots).get(packed.end or 0),
    )
    found = replace(plain, findings=(*plain.findings, *packed.findings))
    return found if same else _with(found, Finding(TWICE, plain.file, f"and {packed.file} hold different events"))


def _lines_of(path: Path) -> contextlib.AbstractContextManager[IO[bytes]]:
    return path.open("rb") if path.suffix == ".jsonl" else unpacked(path)


def _check_file(task: Task, path: Path, seal: Seal | None) -> Segment:
    task = replace(task, live=task.live and path.suffix == ".jsonl")
    try:
        with _lines_of(path) as file:
            contents = _Contents(file, hashing=seal is not None)
            reader = _Reader(task, path.name)
            sound = reader.read(io.BufferedReader(contents, _BLOCK))
            while seal and contents.read(_BLOCK):  # of one that is broken, the rest
                pass
    except ValueError as error:
        return _unusable(task, Finding(UNREADABLE, path.name, f"cannot be read: {error}"))
    if not sound and not reader.stopped and not task.every_commit:
        return _check_file(replace(task, every_commit=True), path, seal)  # to say where it begins to be wrong
    if seal:
        _check_seal(reader, contents, seal, task.path(".jsonl.zst"))
        if sound:
            _check_tree_file(reader, task.path(".tree"))
    return Segment(
        task.start,
        "plain" if path.suffix == ".jsonl" else "sealed",
        path.name,
        reader.header,
        reader.tree.size if sound else None,
        tuple(reader.roots.items()) if sound else (),
        reader.times,
        reader.sequence - reader.commit[0] if sound and reader.commit else 0,
        tuple(reader.announcements) if sound else (),
        seal if seal and seal.pruned is not None else None,
        tuple(reader.findings),
    )


def _check_seal(reader: _Reader, contents: _Contents, seal: Seal, packed: Path) -> None:
    """Compare a seal with the lines that it was made of, and with the file in which they were packed."""
    expected: list[tuple[str, object, object]] = [
        ("start", seal.start, reader.task.start),
        ("SHA-256 or size of the lines", seal.plain, contents.stated),
    ]
    if reader.header and reader.commit:
        expected += [
            ("origin", seal.origin, reader.header.origin),
            ("header", seal.header, reader.header.line),
            ("end", seal.end, reader.commit[0]),
            ("last commit", seal.commit, reader.commit_line),
        ]
        times = [each for each in reader.times if each is not None]
        low, high = (-1 if each is None else each for each in seal.times)
        expected.append(("times", all(low <= each <= high for each in times), True))
    if packed.exists():
        with packed.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            expected.append(("SHA-256 or size of the sealed file", seal.packed, (file.tell(), digest)))
    if wrong := [name for name, stated, found in expected if stated != found]:
        name = reader.task.path(".seal").name
        reader.findings.append(Finding(BAD_SEAL, name, f"does not fit what it seals: {', '.join(wrong)}"))


def _check_tree_file(reader: _Reader, path: Path) -> None:
    """Compare the stored hashes, from which proofs are made, with those that the events give."""
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() != b"".join(b"".join(reader.tree.completed[level]) for level in _TREE_LEVELS):
            reader.findings.append(Finding(BAD_TREE_FILE, path.name, "does not hold the hashes that the events give"))


def _check_pruned(task: Task, seal: Seal) -> Segment:
    """What is left of a segment: its seal, with a header and a commit that are signed."""
    name, commit = task.path(".seal").name, _COMMIT.fullmatch(seal.commit)
    try:
        header = Header.parse(seal.header)
    except ValueError as error:
        return _unusable(task, Finding(BAD_SEAL, name, str(error)))
    if not commit or (seal.origin, seal.start, seal.end) != (header.origin, task.start, int(commit[1])):
        return _unusable(task, Finding(BAD_SEAL, name, "contradicts itself, or its name"))
    root, text = base64(commit[2].decode()), checkpoint_text(header.origin, seal.end, base64(commit[2].decode()))
    if header.start != seal.start or not Key.parse(header.vkey).has_signed(text, commit[3].decode()):
        return _unusable(task, Finding(NOT_SIGNED, name, "its last commit is not signed by the key of this segment"))
    roots = ((task.start, header.root), (seal.end, root))
    return Segment(task.start, "pruned", name, header, seal.end, roots, seal.times, pruned=seal)


def _unusable(task: Task, finding: Finding) -> Segment:
    return Segment(task.start, "unusable", finding.file, findings=(finding,))


def _with(segment: Segment, finding: Finding) -> Segment:
    return replace(segment, findings=(*segment.findings, finding))


def _time(line: bytes) -> int | None:
    try:
        found = json.loads(line)["time"]
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    return found if isinstance(found, int) else None


# ---- LOG: all segments of one directory ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Survey:
    """What there is to check in a directory. `own` are the checkpoints that lie in it, `anchors` those from outside.

    `pruned` are the starts of the segments of which the seal says so: what is pruned while we look is for next time.
    """

    directory: Path
    tasks: tuple[Task, ...]
    own: tuple[Checkpoint, ...]
    anchors: tuple[Checkpoint, ...]
    pruned: frozenset[int]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Log:
    """What is known about a log after verification. `size` counts its signed events, `root` is their tree head.

    `vkeys` are the keys of all its segments, each with the first event of its own; when nothing is found, each was
    signed for by the one before. `pinned` tells whether the first one is among those that the caller has given; without
    that, all of it may be somebody else's. `pruned_unread` counts the pruned segments whose announcement was pruned,
    too: only their seals, which nobody has signed, tell of it. `anchors` counts those that agree, `anchors_unchecked`
    those whose place was pruned or cannot be read.
    """

    directory: Path
    origin: str
    first_vkey: str | None
    vkeys: tuple[tuple[int, str], ...]
    pinned: bool
    size: int
    root: bytes | None
    waiting: int
    segments: int
    pruned: tuple[tuple[int, int], ...]
    pruned_unread: int
    times: tuple[int | None, int | None]
    anchors: int
    anchors_unchecked: int
    findings: tuple[Finding, ...]


def verify_log(
    directory: Path,
    *,
    keys: Sequence[Key] = (),
    anchors: Sequence[Checkpoint] = (),
    every_commit: bool = False,
    run: Callable[[Callable[[Task], Segment], Sequence[Task]], Iterable[Segment]] = map,
) -> Log:
    """Verify one log. `run` checks the segments: `map`, or that of a pool of processes.

    Raises:
        UnusableError: there is no log, or nothing here can read sealed segments.
    """
    found = survey(directory, anchors, every_commit=every_commit)
    return conclude(found, list(run(check_segment, found.tasks)), keys)


def survey(directory: Path, anchors: Sequence[Checkpoint] = (), *, every_commit: bool = False) -> Survey:
    """Look what is there. The checkpoint first: what the gateway writes meanwhile can only make the log longer.

    Raises:
        UnusableError: there is no log.
    """
    own: list[Checkpoint] = []
    findings: list[Finding] = []
    for path in sorted([directory / "checkpoint", *directory.glob("witness/*.note")]):
        try:
            own += [replace(each, source=path.name) for each in read_checkpoints(path)]
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            findings.append(Finding(BAD_CHECKPOINT, path.name, f"cannot be read: {error}"))
    names = [
        re.fullmatch(r"seg-([0-9]{12,18})\.(jsonl|jsonl\.zst|seal)", each.name) for each in directory.glob("seg-*")
    ]
    starts = sorted({int(each[1]) for each in names if each})
    if not starts:
        raise UnusableError(f"{directory}: no log there")
    pruned = frozenset(each for each in starts if _is_pruned(directory / f"seg-{each:012d}.seal"))
    sizes = tuple(sorted({each.size for each in (*own, *anchors)}))
    tasks = []
    for start, following in zip(starts, [*starts[1:], 1 << 63], strict=True):
        within = tuple(each for each in sizes if start < each <= following)
        tasks.append(Task(directory, start, following == 1 << 63, every_commit, within, bool(pruned)))
    return Survey(directory, tuple(tasks), tuple(own), tuple(anchors), pruned, tuple(findings))


def _is_pruned(path: Path) -> bool:
    try:
        return Seal.read(path).pruned is not None
    except (OSError, ValueError):
        return False  # there is no seal; or there will be a finding about it


def conclude(survey: Survey, segments: Sequence[Segment], keys: Sequence[Key] = ()) -> Log:
    """Put the segments together, oldest first as in the survey, and compare the log with what is known from outside."""
    findings = [*survey.findings]
    used: set[str] = set()
    for before, after in zip([None, *segments], segments, strict=False):
        findings += after.findings
        findings += _check_link(before, after, used) if after.header else []
    headers = [each.header for each in segments if each.header]
    origin = headers[0].origin if headers else "unknown"
    first = headers[0].vkey if headers and headers[0].start == 0 else None
    pins = [each.vkey for each in keys if each.name == origin]
    if first and pins and first not in pins:
        findings.append(
            Finding(OTHER_FIRST_KEY, segments[0].file, f"the log begins with {first}, not with the given key")
        )
    settled = [each for each in segments if each.pruned is None or each.start in survey.pruned]
    unannounced, unread = _check_announcements(settled)
    findings += unannounced
    roots = dict(pair for each in segments for pair in each.roots)
    own = [(each.source, _check_statement(each, origin, segments, roots)) for each in survey.own]
    anchors = [
        (each.source, _check_statement(each, origin, segments, roots))
        for each in survey.anchors
        if each.origin == origin
    ]
    findings += [Finding(wrong[0], source, wrong[1]) for source, wrong in own if isinstance(wrong, tuple)]
    findings += [Finding(CONTRADICTED, source, wrong[1]) for source, wrong in anchors if isinstance(wrong, tuple)]
    size = next((each.end for each in reversed(segments) if each.end is not None), 0)
    return Log(
        survey.directory,
        origin,
        first,
        tuple((each.start, each.vkey) for each in headers),
        first in pins,
        size,
        roots.get(size),
        segments[-1].waiting,
        len(segments),
        tuple((each.start, each.end or each.start) for each in segments if each.kind == "pruned"),
        unread,
        (_first(each.times[0] for each in segments), _first(each.times[1] for each in reversed(segments))),
        sum(outcome is True for _, outcome in anchors),
        sum(outcome is None for _, outcome in anchors),
        tuple(findings),
    )


def _check_link(before: Segment | None, after: Segment, used: set[str]) -> list[Finding]:
    """Whether a segment continues the one before: its place, its tree, and its key."""
    assert after.header  # noqa: S101 - for the type checker
    header, found = after.header, partial(Finding, file=after.file)
    if header.vkey in used:
        return [found(KEY_NOT_VOUCHED, message="the key of an earlier segment is used again")]
    used.add(header.vkey)
    if before is None:
        if header.start:
            return [found(MISSING, message=f"the log begins with event {header.start}: what was before it is missing")]
        return [found(BAD_HEADER, message="the first segment names a key before it")] if header.roll else []
    if before.end is not None and before.end != header.start:
        if before.end > header.start:
            return [found(NOT_CONTINUED, message=f"begins with event {header.start}, and {before.file} has it, too")]
        message = f"events {before.end} to {header.start - 1} are missing before it"
        return [found(MISSING, message=message, sequences=(before.end, header.start - 1))]
    if before.end is not None and dict(before.roots)[before.end] != header.root:
        return [found(NOT_CONTINUED, message=f"is not the continuation of {before.file}: their trees differ")]
    if before.header is None:  # there is a finding about that
        return []
    if not before.header.vouches_for(header):
        return [found(KEY_NOT_VOUCHED, message=f"its key is not signed for by the key of {before.file}")]
    return []


def _check_announcements(segments: Sequence[Segment]) -> tuple[list[Finding], int]:
    """What was pruned must have been announced by an event of the log, after it.

    The event itself may be in a segment that was pruned later; how often that was so is counted.
    """
    told = [each for segment in segments for each in segment.announcements]
    gone = [each.pruned for each in segments if each.pruned and each.kind == "pruned"]
    findings, unread = [], 0
    for seal in (each.pruned for each in segments if each.pruned):
        commit, stated = _COMMIT.fullmatch(seal.commit), (seal.pruned or {}).get("sequence")
        root = commit[2].decode() if commit else ""
        if any(
            sequence >= seal.end
            and (details.get("segment"), details.get("root")) == (seal.start, root)
            and details.get("sha256") in (seal.plain[1], seal.packed[1])
            for sequence, details in told
        ):
            continue
        if any(isinstance(stated, int) and seal.end <= each.start <= stated < each.end for each in gone):
            unread += 1
            continue
        message, events = "was pruned, says its seal, and no event of the log tells so", (seal.start, seal.end - 1)
        findings.append(Finding(NOT_ANNOUNCED, f"seg-{seal.start:012d}.seal", message, sequences=events))
    return findings, unread


def _check_statement(
    statement: Checkpoint, origin: str, segments: Sequence[Segment], roots: dict[int, bytes]
) -> Literal[True] | tuple[str, str] | None:
    """True when the log agrees with a checkpoint, what is wrong when it does not, None when that cannot be told."""
    size, end = statement.size, segments[-1].end
    if statement.origin != origin:
        return BAD_CHECKPOINT, f"is about another log, {statement.origin}"
    if end is not None and size > end:
        return CUT, f"the end of the log is missing: it has {end} events, and has had {size}"
    ends = [*(each.start for each in segments[1:]), 1 << 63]
    headers = [each.header for each, end in zip(segments, ends, strict=True) if each.start <= size <= end]
    keys = [Key.parse(each.vkey) for each in headers if each]
    if keys and not any(statement.is_signed_by(key) for key in keys):
        return BAD_CHECKPOINT, f"is not signed by the key that the log had at {size} events"
    if not keys or size not in roots:
        return None
    if roots[size] != statement.root:
        return BAD_CHECKPOINT, f"the log had another tree head at {size} events: it was rewritten"
    return True


def _first(values: Iterable[int | None]) -> int | None:
    return next((each for each in values if each is not None), None)


# ---- PROOFS: about one event, and about two checkpoints ------------------------------------------------------------


def check_proof(line: bytes, proof: str, keys: Sequence[Key]) -> tuple[int, Checkpoint]:
    """The index at which the log holds this event, and the checkpoint that says so (c2sp.org/tlog-proof).

    Raises:
        ValueError: it proves nothing about this event.
    """
    head, _, note = proof.partition("\n\n")
    lines = head.split("\n")
    if lines[0] != PROOF:
        raise ValueError(f"not a proof: the first line is not {PROOF}")
    if len(lines) > 1 and lines[1].startswith("extra "):
        del lines[1]
    if len(lines) < 2 or not lines[1].startswith("index "):
        raise ValueError("not a proof: the line with the index is missing")
    index, path = number(lines[1].removeprefix("index ")), [base64(each, 32) for each in lines[2:]]
    checkpoint = Checkpoint.parse(note, "proof")
    if not any(checkpoint.is_signed_by(key) for key in keys):
        raise ValueError("the checkpoint in it is not signed by a key that was given")
    if root_of_inclusion(leaf_hash(line.removesuffix(b"\n")), index, checkpoint.size, path) != checkpoint.root:
        raise ValueError(f"the event is not the one that the log has at index {index}")
    return index, checkpoint


def size_of(proof: str) -> int:
    """The size of the log in which the proof is. Raises ValueError when it is none."""
    return Checkpoint.parse(proof.partition("\n\n")[2], "proof").size


def keys_at(chain: Sequence[Header], keys: Sequence[Key], size: int) -> list[Key]:
    """The keys by which a log signs when it has `size` events, according to the headers of its segments, oldest first.

    Raises:
        ValueError: the chain does not begin with one of the keys, or somewhere a key was not signed for by the last.
    """
    if not chain or chain[0].vkey not in {each.vkey for each in keys}:
        raise ValueError("the chain of keys does not begin with a key that was given")
    for before, after in pairwise(chain):
        if after.start < before.start or not before.vouches_for(after):
            raise ValueError(f"the key from event {after.start} on is not signed for by the one before it")
    ends = [each.start for each in chain[1:]] + [1 << 63]
    return [Key.parse(each.vkey) for each, end in zip(chain, ends, strict=True) if each.start <= size <= end]


def check_consistency(old: Checkpoint, new: Checkpoint, path: Sequence[bytes], keys: Sequence[Key]) -> None:
    """Check that the log of the newer checkpoint begins with that of the older one.

    Raises:
        ValueError: it does not, or one of them is not signed by the keys.
    """
    for each in (old, new):
        if not any(each.is_signed_by(key) for key in keys):
            raise ValueError(f"{each.source}: not signed by a key that was given")
    if old.origin != new.origin:
        raise ValueError(f"two logs: {old.origin} and {new.origin}")
    if not is_consistent(old.size, old.root, new.size, new.root, path):
        raise ValueError(f"the log with {new.size} events does not begin with the one that had {old.size}")


# ---- COMMAND LINE --------------------------------------------------------------------------------------------------


def read_keys(values: Iterable[str]) -> list[Key]:
    """Verifier keys, or files of them: the last word of each line that is neither empty nor a comment.

    Raises:
        UnusableError: one is not a verifier key.
    """
    keys = []
    for value in values:
        lines = Path(value).read_text(errors="replace").splitlines() if Path(value).is_file() else [value]
        for words in filter(None, (each.partition("#")[0].split() for each in lines)):
            try:
                keys.append(Key.parse(words[-1]))
            except ValueError as error:
                raise UnusableError(f"{value}: neither a verifier key nor a file of them: {error}") from error
    return keys


def read_chain(text: bytes) -> list[Header]:
    """The headers of a log's segments, one a line, oldest first. Raises ValueError."""
    return [Header.parse(line) for line in text.splitlines() if line.strip()]


def read_anchors(paths: Iterable[Path]) -> list[Checkpoint]:
    """The checkpoints of files, and of all files below directories; in a directory, what else is there is passed over.

    Raises:
        UnusableError: a file cannot be read, holds something else, or there is none.
    """
    anchors = []
    for path in paths:
        files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
        found = []
        for file in files:
            try:
                found += read_checkpoints(file, torn=file != path)
            except (OSError, ValueError) as error:
                if file == path:
                    raise UnusableError(f"{file}: not a file of checkpoints: {error}") from error
        if not found:
            raise UnusableError(f"{path}: no checkpoint there")
        anchors += found
    return anchors


def report(log: Log) -> str:
    """What was found about a log, for people."""
    pruned = "".join(f", {start} to {end - 1} pruned" for start, end in log.pruned)
    pruned += f" ({log.pruned_unread} of these announced where it was pruned, too)" if log.pruned_unread else ""
    key = "as given" if log.pinned else "NOT COMPARED: give the one that you were told with --key"
    anchors = f"{log.anchors} agree, {log.anchors_unchecked} cannot be checked"
    if not log.anchors:
        anchors += ": that all was rolled back to an older state would not be noticed"
    first, last = (_date(each) for each in log.times)
    rows = [
        ("log", f"{log.origin} in {log.directory}"),
        ("events", f"{log.size}, from {first} to {last}{pruned}; {log.waiting} not yet acknowledged"),
        ("segments", str(log.segments)),
        ("first key", f"{log.first_vkey} ({key})"),
        ("anchors", anchors),
        ("tree head", b64encode(log.root).decode() if log.root else "unknown"),
        ("result", f"{len(log.findings)} findings" if log.findings else "nothing found"),
    ]
    return "\n".join([*(f"{name:10} {printable(text)}" for name, text in rows), *map(str, log.findings)])


def _date(milliseconds: int | None) -> str:
    try:
        return datetime.fromtimestamp((milliseconds or 0) / 1000, UTC).isoformat(" ", "seconds")
    except (ValueError, OverflowError, OSError):  # somebody has signed nonsense
        return str(milliseconds)


def _log(arguments: argparse.Namespace) -> bool:
    keys, anchors = read_keys(arguments.key), read_anchors(arguments.anchor)
    found = False
    with ProcessPoolExecutor(max(1, arguments.jobs or 1)) as pool:
        for directory in arguments.directory:
            log = verify_log(directory, keys=keys, anchors=anchors, every_commit=arguments.every_commit, run=pool.map)
            _print(report(log))
            found = found or bool(log.findings)
    return found


def _proof(arguments: argparse.Namespace) -> bool:
    line, proof, keys = arguments.event.read_bytes(), arguments.proof.read_bytes(), read_keys(arguments.key)
    chain = arguments.chain.read_bytes() if arguments.chain else None
    try:
        if chain is not None:
            keys = keys_at(read_chain(chain), keys, size_of(proof.decode()))
        index, checkpoint = check_proof(line, proof.decode(), keys)
    except ValueError as error:
        _print(f"not proven: {error}")
        return True
    _print(f"proven: event {index} of {checkpoint.origin}, in its first {checkpoint.size} events")
    return False


def _consistency(arguments: argparse.Namespace) -> bool:
    try:
        (old,), (new,) = read_checkpoints(arguments.old), read_checkpoints(arguments.new)
        path = [base64(each, 32) for each in arguments.proof.read_text().split()]
        check_consistency(old, new, path, read_keys(arguments.key))
    except ValueError as error:
        _print(f"not proven: {error}")
        return True
    _print(f"proven: {new.origin} with {new.size} events begins with the {old.size} of {old.source}")
    return False


_EXAMPLES: Final = """For example:

  python verifier.py log state/audit/main/w0 --key key-of-the-log.txt --anchor anchors/
  python verifier.py proof event.json event.tlog-proof --chain log.keys --key 'gw.example/w0+18d4e562+AQOhB7/z...'
  python verifier.py consistency checkpoint-of-may checkpoint-of-june proof.txt --key keys.txt

Exit codes: 0 as it should be, 1 something was found, 2 it could not be verified."""


def _parser() -> argparse.ArgumentParser:
    looks: dict[str, Any] = {"epilog": _EXAMPLES, "formatter_class": argparse.RawDescriptionHelpFormatter}
    parser = argparse.ArgumentParser(description="Verify the record of a gateway.", **looks)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    log = verbs.add_parser("log", help="verify logs: every event, every segment, every key", **looks)
    log.add_argument("directory", type=Path, nargs="+", help="where the segments are")
    log.add_argument(
        "--anchor", type=Path, action="append", default=[], help="checkpoints kept elsewhere, or directory"
    )
    log.add_argument("--every-commit", action="store_true", help="every commit, not only the last of a segment")
    log.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (default: one a processor)")
    proof = verbs.add_parser("proof", help="check that a log holds one event", **looks)
    proof.add_argument("event", type=Path, help="the line of the event, as it stands in the log")
    proof.add_argument("proof", type=Path, help="its .tlog-proof")
    proof.add_argument("--chain", type=Path, help="the .keys beside it: how the given key vouches for later ones")
    both = verbs.add_parser("consistency", help="check that one checkpoint continues another", **looks)
    both.add_argument("old", type=Path)
    both.add_argument("new", type=Path)
    both.add_argument("proof", type=Path, help="the hashes (RFC 9162, 2.1.4), one base64 a line")
    for verb, function in ((log, _log), (proof, _proof), (both, _consistency)):
        verb.add_argument("--key", action="append", default=[], help="verifier key, or file of them; may be repeated")
        verb.set_defaults(function=function)
    return parser


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. The exit code: 0 as it should be, 1 something was found, 2 it could not be verified."""
    parsed = _parser().parse_args(arguments)
    try:
        return 1 if parsed.function(parsed) else 0
    except (UnusableError, OSError) as error:
        sys.stderr.write(f"error: {printable(str(error))}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
