"""The Merkle tree of a log, read from its files: any hash of it, and the lists of hashes that prove something.

Hashes come from four places: the `.tree` files hold the complete subtrees of 2^8, 2^16 and 2^24 events; the header of
each segment holds the subtrees of everything before it, which are the left siblings that a proof needs when the events
before are pruned; the events themselves give what lies below; and the right edge of the tree is put together from all
of these.
"""

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final, Self

from gateway.audit.chain import Commit
from gateway.audit.directory import SegmentFiles, known
from gateway.audit.leaves import BLOCK, Leaves, PlainLeaves, SealedLeaves, TreeFile
from gateway.audit.note import checkpoint
from gateway.audit.sealing.levels import LEVELS
from gateway.audit.segment import Header
from gateway.audit.statements import root_of, tree_of
from gateway.audit.tree import EMPTY_ROOT, node_hash
from gateway.audit.verifier import Checkpoint, Key
from gateway.errors import GatewayError

_BLOCK_LEVEL: Final = BLOCK.bit_length() - 1
_KEPT_BLOCKS: Final = 8


class ProofError(GatewayError):
    """There is no such proof. `hint` says what to do, where there is something."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        self.hint = hint
        super().__init__(message)


class ContradictionError(ProofError):
    """A signed statement and the files contradict each other: somebody has changed one of them."""


class LogTree:
    """The tree of one log, from its files. Open it once: what has been read of sealed events is kept. For one thread.

    `refresh` takes up what the log has got since.
    """

    def __init__(self, directory: Path) -> None:
        """Open the log in this directory.

        Raises:
            ProofError: there is none.
            LedgerError: it is damaged, or of another version.
            OSError: it cannot be read.
        """
        self.directory = directory
        self._leaves: list[Leaves] = []
        self._starts: list[int] = []
        self._left: dict[tuple[int, int], bytes] = {}
        self._inner: dict[tuple[int, int], bytes] = {}
        self._trees: dict[int, TreeFile] = {}
        self._rows = lru_cache(_KEPT_BLOCKS)(self._make_rows)
        self._single = lru_cache(_KEPT_BLOCKS * BLOCK)(self._make_single)
        self.refresh()
        self.origin = self._leaves[0].header.origin

    def refresh(self) -> None:
        """Take up segments and events that have come since, and segments that have been sealed or pruned.

        Raises:
            LedgerError, OSError: as when it is opened.
        """
        self._rows.cache_clear()  # a block that was not full may be full now
        found = known(self.directory)
        if not found:
            raise ProofError(f"{self.directory}: there is no log here", "name the gateway's state directory")
        before = dict(zip(self._starts, self._leaves, strict=True))
        self._leaves = [self._opened(each, before.get(each.start)) for each in found]
        self._starts = [each.start for each in found]
        for each in self._leaves:
            if each.header.start not in before:
                self._note_left(each)

    def _opened(self, files: SegmentFiles, before: Leaves | None) -> Leaves:
        if files.seal.exists() and not (files.lines.exists() and not files.packed.exists()):
            return before if isinstance(before, SealedLeaves) else SealedLeaves(files)
        plain = before if isinstance(before, PlainLeaves) else PlainLeaves(files)
        plain.refresh()
        return plain

    def _note_left(self, leaves: Leaves) -> None:
        """The complete subtrees before a segment: known whether or not their events still are."""
        tree, at = tree_of(self.directory, leaves.header), 0
        for level in reversed(range(tree.size.bit_length())):
            if tree.size >> level & 1:
                self._left[level, at >> level] = tree.stack[(tree.size >> level).bit_count() - 1]
                at += 1 << level

    def close(self) -> None:
        """Close the sealed segments that were read."""
        for each in self._leaves:
            each.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def size(self) -> int:
        """How many events there are with a commit behind them: on the disk, or nearly."""
        return self._leaves[-1].end

    # --- hashes ---

    def node(self, level: int, index: int) -> bytes:
        """The hash of the complete subtree of 2^`level` events that is the `index`-th of its level.

        Raises:
            ProofError: it takes events that are pruned.
        """
        if (found := self._left.get((level, index)) or self._inner.get((level, index))) is not None:
            return found
        if level <= _BLOCK_LEVEL:
            return self._low_node(level, index)
        found = self._stored(level, index) or self._above(level, index)
        self._inner[level, index] = found
        return found

    def _above(self, level: int, index: int) -> bytes:
        return node_hash(self.node(level - 1, 2 * index), self.node(level - 1, 2 * index + 1))

    def _low_node(self, level: int, index: int) -> bytes:
        if level == _BLOCK_LEVEL and (found := self._stored(level, index)) is not None:
            return found
        within = _BLOCK_LEVEL - level
        rows = self._rows(index >> within)
        if rows is not None:
            found = rows[level][index & (1 << within) - 1]
            if level == _BLOCK_LEVEL:
                self._inner[level, index] = found
            return found
        return self._single(level, index)

    def _make_single(self, level: int, index: int) -> bytes:
        """A node in a block of events that several segments share, or that is not full yet."""
        return self._above(level, index) if level else self._leaf(index)

    def _make_rows(self, number: int) -> list[list[bytes]] | None:
        """All levels of one block of events, the events' own first; None unless one segment holds the whole block."""
        leaves = self._of(number * BLOCK)
        if leaves.header.start > number * BLOCK or leaves.end < (number + 1) * BLOCK:
            return None
        row = self._block(leaves, number)
        rows = [list(row)]
        while len(rows[-1]) > 1:
            pairs = iter(rows[-1])
            rows.append([node_hash(left, right) for left, right in zip(pairs, pairs, strict=True)])
        return rows

    def _leaf(self, sequence: int) -> bytes:
        leaves = self._of(sequence)
        number = sequence // BLOCK
        return self._block(leaves, number)[sequence - max(number * BLOCK, leaves.header.start)]

    def _block(self, leaves: Leaves, number: int) -> Sequence[bytes]:
        try:
            return leaves.block(number)
        except LookupError:
            raise ProofError(
                f"{self.directory}: the events {leaves.header.start} to {leaves.end - 1} are pruned",
                "an archive that holds their segment can still prove them",
            ) from None

    def _stored(self, level: int, index: int) -> bytes | None:
        """What the `.tree` file of the segment in which a subtree ends says of it."""
        if level not in LEVELS:
            return None
        leaves = self._of(((index + 1) << level) - 1)
        if isinstance(leaves, PlainLeaves):
            return None
        start = leaves.header.start
        if start not in self._trees:
            self._trees[start] = TreeFile(SegmentFiles(self.directory, start).tree, start, leaves.end)
        return self._trees[start].hash(level, index)

    def _of(self, sequence: int) -> Leaves:
        """The segment that an event is in."""
        found = bisect_right(self._starts, sequence) - 1
        if found < 0 or sequence >= self.size or sequence >= self._leaves[found].end:
            raise ProofError(f"{self.directory}: there is no event {sequence}: the log has {self.size}")
        return self._leaves[found]

    def _head(self, start: int, end: int) -> bytes:
        """The tree head of the events from `start`, where a subtree of their size may begin, to `end`."""
        peaks, at = [], start
        for level in reversed(range((end - start).bit_length())):
            if end - start >> level & 1:
                peaks.append(self.node(level, at >> level))
                at += 1 << level
        head = peaks.pop()
        while peaks:
            head = node_hash(peaks.pop(), head)
        return head

    # --- proofs ---

    def root(self, size: int) -> bytes:
        """The tree head of the first `size` events.

        Raises:
            ProofError: the log has fewer, or what it takes is pruned.
        """
        return self._head(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The proof that event `index` is among the first `size` (RFC 6962 §2.1.1), the leaf's sibling first.

        Raises:
            ProofError: it is not, or what it takes is pruned.
        """
        if not 0 <= index < size:
            raise ProofError(f"event {index} is not among the first {size}")
        path, start, end = [], 0, size
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                path.append(self._head(middle, end))
                end = middle
            else:
                path.append(self._head(start, middle))
                start = middle
        return path[::-1]

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the first `new` events begin with the first `old` (RFC 6962 §2.1.2).

        Raises:
            ProofError: `old` is greater, or what it takes is pruned.
        """
        if not 0 <= old <= new:
            raise ProofError(f"a log of {new} events does not continue one of {old}")
        if old in (0, new):
            return []
        path, start, end = [], 0, new
        while old != end:
            middle = start + _split(end - start)
            if old <= middle:
                path.append(self._head(middle, end))
                end = middle
            else:
                path.append(self._head(start, middle))
                start = middle
        if start:
            path.append(self._head(start, end))
        return path[::-1]

    # --- what is signed ---

    def line(self, sequence: int) -> bytes:
        """The line of an event, without its newline: the bytes that its leaf is the hash of.

        Raises:
            ProofError: there is no such event, or it is pruned.
        """
        try:
            return self._of(sequence).line(sequence)
        except FileNotFoundError:  # sealed since we looked
            self.refresh()
            return self._of(sequence).line(sequence)
        except LookupError:
            raise ProofError(f"{self.directory}: event {sequence} is pruned", "look for it in an archive") from None

    def signed_by(self, signed: Checkpoint) -> str:
        """The verifier key of this log that has signed a checkpoint.

        Raises:
            ContradictionError: none of those that the log had at this size has.
        """
        last = bisect_right(self._starts, signed.size)
        # Two may have signed at one size: the key that ends there, and the one that begins there.
        for each in self._leaves[max(0, last - 2) : last]:
            if signed.is_signed_by(Key.parse(each.header.vkey)):
                return each.header.vkey
        raise ContradictionError(
            f"{self.directory}: no key that the log had at {signed.size} events has signed the checkpoint of that size",
            "gateway audit verify finds what else is wrong; a checkpoint of another log cannot be checked here",
        )

    def checkpoint_at(self, size: int) -> str:
        """The signed note of the commit for exactly this size.

        Raises:
            ProofError: no commit has this size; the nearest ones are named.
        """
        self.refresh()
        leaves = self._leaves[max(0, bisect_right(self._starts, max(0, size - 1)) - 1)]
        try:
            commit = leaves.commit(size) if leaves.header.start <= size <= leaves.end else None
        except LookupError:
            commit = None
        if commit is None:
            before, after = (
                [each for each in leaves.sizes() if each < size],
                [each for each in leaves.sizes() if each > size],
            )
            near = [*before[-1:], *after[:1]]
            raise ProofError(
                f"{self.directory}: no commit has the size {size}",
                f"sizes that have one: {', '.join(map(str, near))}" if near else None,
            )
        return _note(self.origin, commit)


def origin_of(directory: Path) -> str:
    """The origin of the log in a directory, without reading the log.

    Raises:
        ProofError: there is none.
        LedgerError, OSError: its first header cannot be read.
    """
    if not (segments := known(directory)):
        raise ProofError(f"{directory}: there is no log here")
    return _header(segments[0]).origin


def vkeys(directory: Path, count: int) -> list[str]:
    """The keys of the last segments of a log, newest first, without reading the log.

    Raises:
        LedgerError, OSError: a header cannot be read.
    """
    return [_header(each).vkey for each in reversed(known(directory)[-count:])]


def _header(files: SegmentFiles) -> Header:
    return (SealedLeaves if files.seal.exists() else PlainLeaves)(files).header


def _note(origin: str, commit: Commit) -> str:
    return checkpoint(origin, commit.cp, root_of(commit), commit.sig)


def _split(width: int) -> int:
    """The greatest power of two below a number (RFC 6962 §2.1)."""
    return 1 << (width - 1).bit_length() - 1
